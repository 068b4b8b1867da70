package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"signpost/internal/version"
)

// The headers of the Standard Webhooks specification, which libraries of receivers read.
const (
	headerID        = "Webhook-Id"
	headerTime      = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

const (
	keyPrefix      = "whsec_"
	leastKey       = 24 // octets
	mostKey        = 64
	mostKeys       = 4
	mostOfResponse = 4 << 10
)

// parseKeys reads keys, one a line: whsec_ and base64 of 24 to 64 octets. What is sent is
// signed with all of them, so that a receiver can change from one to the next.
func parseKeys(text string) (keys [][]byte, err error) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, keyPrefix))
		if err != nil || !strings.HasPrefix(line, keyPrefix) || len(key) < leastKey || len(key) > mostKey {
			return nil, errors.New("a line of the file is not " + keyPrefix + " and base64 of 24 to 64 octets")
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > mostKeys {
		return nil, fmt.Errorf("the file has %d keys, not 1 to %d", len(keys), mostKeys)
	}
	return keys, nil
}

// sign is the value of the signature header: for each key "v1," and base64 of HMAC-SHA256
// over id, time and body with dots between.
func sign(keys [][]byte, id, at string, body []byte) string {
	var all []string
	for _, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(id + "." + at + "."))
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}

// finalError is of a message that would be refused again.
type finalError struct{ error }

func isFinal(err error) bool { return errors.As(err, new(finalError)) }

// post makes one attempt. Errors name neither the URL, which may have a secret in it, nor
// what the receiver said.
//
//	the receiver says           the message is
//	2xx                         taken
//	408, 425, 429, 5xx, nothing tried again
//	anything else               given up: it would say the same again; redirects are not followed
func (h *Hook) post(ctx context.Context, m Message) error {
	ctx, cancel := context.WithTimeout(ctx, h.config.Timeout)
	defer cancel()
	keys, err := h.keys.read()
	if err != nil {
		return fmt.Errorf("key-file: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.config.URL, bytes.NewReader(m.Body))
	if err != nil {
		return finalError{errors.New("the URL is none")} // was looked at
	}
	at := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "signpost/"+version.Version)
	req.Header.Set(headerID, m.ID)
	req.Header.Set(headerTime, at)
	req.Header.Set(headerSignature, sign(keys, m.ID, at, m.Body))
	resp, err := h.client.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, mostOfResponse) // so that the connection can be used again
	switch code := resp.StatusCode; {
	case code >= 200 && code <= 299:
		return nil
	case code >= 500, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		return fmt.Errorf("it answers %d", code)
	default:
		return finalError{fmt.Errorf("it answers %d", code)}
	}
}
