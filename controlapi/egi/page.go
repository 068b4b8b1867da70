package egi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// pageSize is how many items a page of /api/ has.
const pageSize = 10

// page is the page of a list that the request asks for: of the items that have every word
// of search= in one of these fields, by ordering=, else as they come.
func (c *call) page(items []any, searched ...string) answer {
	rows := make([]row, 0, len(items))
	words := strings.FieldsFunc(strings.ToLower(c.param("search")), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
	for _, item := range items {
		r, err := rowOf(item)
		if err != nil {
			return detail(http.StatusInternalServerError, "Internal error.")
		}
		if r.has(words, searched) {
			rows = append(rows, r)
		}
	}
	for _, field := range slices.Backward(strings.Split(c.param("ordering"), ",")) {
		name, down := strings.CutPrefix(strings.TrimSpace(field), "-")
		slices.SortStableFunc(rows, func(a, b row) int {
			if down {
				a, b = b, a
			}
			return cmp.Compare(a.text(name), b.text(name))
		})
	}
	last := max(1, (len(rows)+pageSize-1)/pageSize)
	at := 1
	switch text := c.param("page"); text {
	case "":
	case "last":
		at = last
	default:
		var err error
		if at, err = strconv.Atoi(text); err != nil || at < 1 || at > last {
			return detail(http.StatusNotFound, "Invalid page.")
		}
	}
	out := struct {
		Count    int     `json:"count"`
		Next     *string `json:"next"`
		Previous *string `json:"previous"`
		Results  []any   `json:"results"`
	}{Count: len(rows), Results: []any{}}
	for _, r := range rows[(at-1)*pageSize : min(at*pageSize, len(rows))] {
		out.Results = append(out.Results, r.item)
	}
	if at < last {
		out.Next = c.pageURL(at + 1)
	}
	if at > 1 {
		out.Previous = c.pageURL(at - 1)
	}
	return answer{status: http.StatusOK, body: out}
}

func (c *call) pageURL(at int) *string {
	query := maps.Clone(c.query)
	query.Del("page")
	if at > 1 {
		query.Set("page", strconv.Itoa(at))
	}
	u := c.base + c.request.URL.EscapedPath()
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	return &u
}

// row is an item with its fields by the names that clients know.
type row struct {
	item   any
	fields map[string]any
}

func rowOf(item any) (row, error) {
	r := row{item: item}
	raw, err := json.Marshal(item)
	if err == nil {
		err = json.Unmarshal(raw, &r.fields)
	}
	return r, err
}

// text is a field to compare; that of one that is not there or null is empty.
func (r row) text(field string) string {
	if v := r.fields[field]; v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

func (r row) has(words, in []string) bool {
	return !slices.ContainsFunc(words, func(w string) bool {
		return !slices.ContainsFunc(in, func(field string) bool { return strings.Contains(strings.ToLower(r.text(field)), w) })
	})
}
