package dump

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"signpost/internal/model"
)

// maxProblems is how many problems are told at once.
const maxProblems = 20

// Read reads a dump. Errors are of kind Invalid and say which object and field is wrong, by
// its place in the dump, model and key; several are joined. Objects of other models, and
// fields that are not known, are read over.
func Read(r io.Reader) (*Dump, error) {
	d := &reader{byKey: map[string]map[string]*object{}}
	if err := d.objects(r); err != nil {
		return nil, err
	}
	out := d.join()
	if len(d.problems) > 0 {
		return nil, errors.Join(d.problems...)
	}
	return out, nil
}

// The models that are read, as Django calls them.
const (
	modelUser         = "auth.user"
	modelAccount      = "social_django.usersocialauth"
	modelDomain       = "main.domain"
	modelHost         = "main.host"
	modelRelated      = "main.relatedhost"
	modelBlacklist    = "main.blacklistedhost"
	modelOrganization = "main.virtualorganization"
	modelMembership   = "main.vomembership"
	modelService      = "main.serviceupdater"
	modelServiceHost  = "main.serviceupdaterhostconfig"
)

var known = map[string]bool{
	modelUser: true, modelAccount: true, modelDomain: true, modelHost: true, modelRelated: true,
	modelBlacklist: true, modelOrganization: true, modelMembership: true, modelService: true, modelServiceHost: true,
}

// object is one object of the dump.
type object struct {
	Model  string                     `json:"model"`
	Key    json.RawMessage            `json:"pk"`
	Fields map[string]json.RawMessage `json:"fields"`
	at     int                        // counted from 1
}

// where is which object it is, for people.
func (o *object) where() string {
	w := "object " + strconv.Itoa(o.at) + " (" + o.Model
	if k := string(o.Key); k != "" && k != "null" {
		w += " " + k
	}
	return w + ")"
}

type reader struct {
	byKey    map[string]map[string]*object // by model and key
	ordered  []*object
	users    map[string]*User
	problems []error
}

func (d *reader) problem(where, field, why, hint string) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, model.E(model.Invalid, "read dump", where).In(field).Because(why).Hint(hint))
	}
}

// objects reads the list.
func (d *reader) objects(r io.Reader) error {
	dec := json.NewDecoder(bufio.NewReaderSize(r, 1<<20))
	broken := func(at int, err error) error {
		where := "octet " + strconv.FormatInt(dec.InputOffset(), 10)
		if at > 0 {
			where = "object " + strconv.Itoa(at) + ", " + where
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it ends in the middle")
		}
		return model.E(model.Invalid, "read dump", where).Because(err.Error()).Hint("give what manage.py dumpdata wrote, whole")
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		if err == nil {
			err = fmt.Errorf("it does not begin with a list, but with %v", t)
		}
		return broken(0, err)
	}
	for at := 1; dec.More(); at++ {
		o := &object{at: at}
		if err := dec.Decode(o); err != nil {
			return broken(at, err)
		}
		o.Model = strings.ToLower(o.Model)
		if o.Model == "" {
			d.problem("object "+strconv.Itoa(at), "model", "it says no model", "give what manage.py dumpdata wrote")
		}
		if known[o.Model] {
			d.add(o)
		}
	}
	if _, err := dec.Token(); err != nil {
		return broken(0, err)
	}
	return nil
}

func (d *reader) add(o *object) {
	keys := []string{string(o.Key)}
	if o.Model == modelUser { // others may refer to people by name (dumpdata --natural-foreign)
		if name := o.Fields["username"]; len(name) > 0 {
			keys = append(keys, "["+string(name)+"]")
		}
	}
	of := d.byKey[o.Model]
	if of == nil {
		of = map[string]*object{}
		d.byKey[o.Model] = of
	}
	for _, k := range keys {
		if k == "" || k == "null" {
			continue
		}
		if other := of[k]; other != nil {
			d.problem(o.where(), "pk", "it is the same as that of object "+strconv.Itoa(other.at), "")
		}
		of[k] = o
	}
	d.ordered = append(d.ordered, o)
}

// The readers of fields: absent or null is the zero value, another type a problem.

func (d *reader) text(o *object, field string, least int) string {
	var s *string
	d.value(o, field, &s, "a string")
	if s == nil || len(*s) < least {
		if least > 0 {
			d.problem(o.where(), field, "it is missing or empty", "")
		}
		return ""
	}
	return *s
}

func (d *reader) flag(o *object, field string, without bool) bool {
	var b *bool
	d.value(o, field, &b, "true or false")
	if b == nil {
		return without
	}
	return *b
}

func (d *reader) number(o *object, field string) int {
	var n *int
	d.value(o, field, &n, "a number")
	if n == nil {
		return 0
	}
	return *n
}

func (d *reader) time(o *object, field string) time.Time {
	var s *string
	d.value(o, field, &s, "a time")
	if s == nil {
		return time.Time{}
	}
	for _, form := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} { // without USE_TZ there is no offset
		if t, err := time.Parse(form, *s); err == nil {
			return t.UTC()
		}
	}
	d.problem(o.where(), field, strconv.Quote(*s)+" is no time of ISO 8601", "")
	return time.Time{}
}

func (d *reader) value(o *object, field string, to any, want string) {
	raw, there := o.Fields[field]
	if !there {
		return
	}
	if err := json.Unmarshal(raw, to); err != nil {
		d.problem(o.where(), field, "it is not "+want, "")
	}
}

// ref is the object that a field refers to; nil when it refers to none. One that is not
// there is a problem.
func (d *reader) ref(o *object, field, of string, needed bool) *object {
	raw := strings.Join(strings.Fields(string(o.Fields[field])), "")
	if strings.HasPrefix(raw, "[") {
		raw = string(o.Fields[field])
		var names []string
		if json.Unmarshal(o.Fields[field], &names) == nil && len(names) == 1 {
			quoted, _ := json.Marshal(names[0]) //nolint:errchkjson // a string is always fine
			raw = "[" + string(quoted) + "]"
		}
	}
	if raw == "" || raw == "null" {
		if needed {
			d.problem(o.where(), field, "it is missing", "")
		}
		return nil
	}
	if found := d.byKey[of][raw]; found != nil {
		return found
	}
	d.problem(o.where(), field, "there is no "+of+" "+raw+" in the dump", "dump the applications auth, social_django and main, whole")
	return nil
}
