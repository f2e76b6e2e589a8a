package blob

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// kindToken is a Blossom authorization (BUD-11).
const kindToken = 24242

// What a token allows (BUD-11).
const (
	verbUpload = "upload"
	verbDelete = "delete"
	verbList   = "list"
)

// tokenLife is how long the tokens of our client are good for: long enough for a large file on a slow line.
const tokenLife = time.Hour

// maxToken is how many bytes a token may have in its header.
const maxToken = 16 << 10

// token makes the Authorization header for one verb on one server and the files that it names.
func token(ctx context.Context, s events.Signer, now time.Time, verb, host string, sums ...string) (string, error) {
	ev := &nostr.Event{
		Kind: kindToken, CreatedAt: nostr.Timestamp(now.Unix()), Content: "infernet: " + verb,
		Tags: nostr.Tags{{"t", verb}, {"expiration", strconv.FormatInt(now.Add(tokenLife).Unix(), 10)}},
	}
	if host != "" {
		ev.Tags = append(ev.Tags, nostr.Tag{"server", host})
	}
	for _, sum := range sums {
		ev.Tags = append(ev.Tags, nostr.Tag{"x", sum})
	}
	if err := s.Sign(ctx, ev); err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return "Nostr " + base64.RawURLEncoding.EncodeToString([]byte(ev.String())), nil
}

// holder is who may do what, as a token says it.
type holder struct {
	key  events.PubKey
	sums []string // the files that it names
}

// names says whether the token is for a file.
func (h *holder) names(sum string) bool { return slices.Contains(h.sums, sum) }

// authorize reads and checks a request's token (BUD-11). Errors are *refusal with 401.
func (s *Server) authorize(r *http.Request, verb string) (*holder, error) {
	no := func(format string, args ...any) error { return refuse(http.StatusUnauthorized, format, args...) }
	scheme, body, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "nostr") || body == "" {
		return nil, no("a Nostr authorization for %s is needed (BUD-11)", verb)
	}
	if len(body) > maxToken {
		return nil, no("the authorization has more than %d bytes", maxToken)
	}
	raw, err := decodeToken(strings.TrimSpace(body))
	if err != nil {
		return nil, no("the authorization is no base64")
	}
	var ev nostr.Event
	if err := json.Unmarshal(raw, &ev); err != nil {
		return nil, no("the authorization is no event")
	}
	now := s.Now()
	switch {
	case ev.Kind != kindToken:
		return nil, no("the authorization is of kind %d, not %d", ev.Kind, kindToken)
	case ev.CreatedAt.Time().After(now.Add(events.MaxFuture)):
		return nil, no("the authorization is of the future")
	}
	if err := events.Verify(&ev); err != nil {
		return nil, no("the authorization: %v", err)
	}
	h := &holder{key: events.PubKey(ev.PubKey)}
	var expires int64
	var verbs, servers []string
	for _, tag := range ev.Tags {
		if len(tag) < 2 {
			continue
		}
		switch tag[0] {
		case "t":
			verbs = append(verbs, tag[1])
		case "expiration":
			expires, _ = strconv.ParseInt(tag[1], 10, 64)
		case "server":
			servers = append(servers, strings.ToLower(tag[1]))
		case "x":
			h.sums = append(h.sums, tag[1])
		}
	}
	switch {
	case !slices.Contains(verbs, verb):
		return nil, no("the authorization is not for %s", verb)
	case expires <= now.Unix():
		return nil, no("the authorization has expired, or does not say when it does")
	case len(servers) > 0 && !slices.ContainsFunc(servers, s.isMe(r)):
		return nil, no("the authorization is for %.100s, and not for this server; if that is its name, its operator sets relay.url", strings.Join(servers, ", "))
	}
	return h, nil
}

// decodeToken reads both forms of base64: BUD-11's, and the older one that many clients still write.
func decodeToken(s string) ([]byte, error) {
	s = strings.TrimRight(s, "=")
	if strings.ContainsAny(s, "+/") {
		return base64.RawStdEncoding.DecodeString(s)
	}
	return base64.RawURLEncoding.DecodeString(s)
}
