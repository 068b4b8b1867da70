package controlapi

import (
	"encoding/base64"
	"strconv"
	"strings"

	"signpost/internal/model"
)

// etag is the newest mod revision of the keys that a thing is kept in: any later
// write to one of them makes it another.
func etag(revs ...int64) string {
	var newest int64
	for _, r := range revs {
		newest = max(newest, r)
	}
	return `"` + strconv.FormatInt(newest, 16) + `"`
}

// checkEtag refuses a change whose caller decided on another state. An empty etag
// was not given.
func checkEtag(given, subject string, revs ...int64) error {
	if given == "" || strings.Trim(given, `"`) == strings.Trim(etag(revs...), `"`) {
		return nil
	}
	return model.E(model.Aborted, "change", subject).In("etag").Because("it was changed since it had this etag").Hint("read it again and decide anew")
}

const defaultPage = 100

func pageSize(n int32) int {
	if n == 0 {
		return defaultPage
	}
	return int(n)
}

// pageToken hides where a list goes on, so that clients do not come to rely on
// how it is ordered.
func pageToken(at string) string {
	if at == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(at))
}

func readPageToken(token string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", badToken(token)
	}
	return string(raw), nil
}

func badToken(token string) error {
	return model.E(model.Invalid, "list", "").In("page_token").Because("\"" + token + "\" is not one that was given out").Hint("start without one")
}
