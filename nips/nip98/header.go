package nip98

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/nbd-wtf/go-nostr"
)

// Scheme is how the Authorization header begins.
const Scheme = "Nostr"

// MaxHeader is the longest value read, in bytes: an event with a URL of some kilobytes.
const MaxHeader = 12 << 10

// Header is the value of the Authorization header that carries a signed event.
func Header(ev *nostr.Event) string {
	body, err := json.Marshal(ev)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return Scheme + " " + base64.StdEncoding.EncodeToString(body)
}

// Parse reads the value of an Authorization header; nothing is verified yet. Base64 is taken as the NIP writes it, and
// in the form for URLs, with or without padding, as clients write both.
func Parse(header string) (*nostr.Event, error) {
	if len(header) > MaxHeader {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrMalformed, len(header), MaxHeader)
	}
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, Scheme) {
		return nil, fmt.Errorf("%w: the scheme is not %s", ErrMalformed, Scheme)
	}
	token = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(strings.TrimSpace(token), "="))
	body, err := base64.RawStdEncoding.Strict().DecodeString(token)
	if err != nil || strings.ContainsAny(token, "\r\n") { // which the decoder passes over
		return nil, fmt.Errorf("%w: not base64", ErrMalformed)
	}
	var fields struct {
		ID, PubKey, Sig string
		Kind            int
		CreatedAt       int64 `json:"created_at"`
		Content         string
		Tags            [][]string
	}
	if err := json.Unmarshal(body, &fields); err != nil || !utf8.Valid(body) {
		return nil, fmt.Errorf("%w: no JSON of an event", ErrMalformed)
	}
	if fields.Kind < 0 || fields.Kind > 65535 || fields.CreatedAt < 0 || fields.CreatedAt > 1<<40 {
		return nil, fmt.Errorf("%w: kind or created_at is out of bounds", ErrMalformed)
	}
	if !isHex(fields.ID, 64) || !isHex(fields.PubKey, 64) || !isHex(fields.Sig, 128) {
		return nil, fmt.Errorf("%w: id, pubkey or sig is no lower-case hex", ErrMalformed)
	}
	ev := &nostr.Event{
		ID: fields.ID, PubKey: fields.PubKey, Sig: fields.Sig, Kind: fields.Kind,
		CreatedAt: nostr.Timestamp(fields.CreatedAt), Content: fields.Content,
	}
	for _, tag := range fields.Tags {
		ev.Tags = append(ev.Tags, tag)
	}
	return ev, nil
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}
