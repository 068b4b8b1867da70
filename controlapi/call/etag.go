package call

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"

	"signpost/internal/model"
)

// Etag is the newest mod revision of the keys that a thing is kept in: any later
// write to one of them makes it another.
func Etag(revs ...int64) string {
	var newest int64
	for _, r := range revs {
		newest = max(newest, r)
	}
	return `"` + strconv.FormatInt(newest, 16) + `"`
}

// CheckEtag refuses a change whose caller decided on another state. An empty etag
// was not given.
func CheckEtag(given, subject string, revs ...int64) error {
	if given == "" || strings.Trim(given, `"`) == strings.Trim(Etag(revs...), `"`) {
		return nil
	}
	return model.E(model.Aborted, "change", subject).In("etag").Because("it was changed since it had this etag").Hint("read it again and decide anew")
}

const defaultPage = 100

// PageSize is how many things a page has when a request asks for n; 0: 100.
func PageSize(n int32) int {
	if n == 0 {
		return defaultPage
	}
	return int(n)
}

// List is one question that is answered page by page: what is listed, with all that
// chooses from it.
type List string

// ListOf is the list that these words, which choose from it, make.
func ListOf(words ...string) List { return List(strings.Join(words, "\x00")) }

// mark ties a token to its list.
func (l List) mark() []byte {
	sum := sha256.Sum256([]byte(l))
	return sum[:8]
}

// Token hides where a list goes on, so that clients do not come to rely on how it is
// ordered.
func (l List) Token(at string) string {
	if at == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(append(l.mark(), at...))
}

// Read is where a token says that the list goes on; "" without one. Errors: Invalid
// for what was not given out for this list.
func (l List) Read(token string) (string, error) {
	if token == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	at, mine := bytes.CutPrefix(raw, l.mark())
	if err != nil || !mine || len(at) == 0 {
		return "", BadToken(token)
	}
	return string(at), nil
}

// BadToken is the error of a page token that is of no page of the list.
func BadToken(token string) error {
	return model.E(model.Invalid, "list", "").In("page_token").Because(strconv.Quote(token) + " is not one that was given out for this list").
		Hint("start without one, and change nothing but the page size from page to page")
}
