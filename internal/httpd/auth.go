package httpd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"

	"infernet/nips/nip98"
)

// Caller is who sends a request, as it has proved.
type Caller struct {
	PubKey string   // the Nostr key that signed, or that the app key acts for; "" if none is known
	Key    string   // the app key's id; "" if a Nostr key has signed
	Scopes []string // what the app key is for; nil of a Nostr key
}

// Known says whether the caller has proved anything.
func (c Caller) Known() bool { return c.PubKey != "" || c.Key != "" }

// CallerOf is who sends the request whose context this is; nobody known on mounts for Anyone.
func CallerOf(ctx context.Context) Caller {
	if v := visitOf(ctx); v != nil {
		return v.caller
	}
	return Caller{}
}

// proof is what a request shows: a signed event in a header, or an app key.
type proof struct {
	event string // the Authorization header
	key   string
}

// KeyProtocol is how a browser, which cannot set a WebSocket's headers, shows an app key: as a subprotocol key.<app key>
// beside the one that it means to speak. In the address it would be logged.
const KeyProtocol = "key."

// readProof finds what a request shows. Two proofs are none: what reads the one and what reads the other would differ.
func readProof(h http.Header) (p proof, err error) {
	shown := 0
	for _, value := range h.Values("Authorization") {
		scheme, token, _ := strings.Cut(value, " ")
		switch strings.ToLower(scheme) {
		case "nostr":
			p.event = value
		case "bearer":
			p.key = strings.TrimSpace(token)
		default:
			return p, errors.New("the Authorization header is neither of Nostr (NIP-98) nor Bearer")
		}
		shown++
	}
	for _, value := range h.Values("X-Api-Key") { // as clients of some APIs send it
		p.key = strings.TrimSpace(value)
		shown++
	}
	if strings.EqualFold(h.Get("Upgrade"), "websocket") {
		for _, list := range h.Values("Sec-Websocket-Protocol") {
			for protocol := range strings.SplitSeq(list, ",") {
				if key, ok := strings.CutPrefix(strings.TrimSpace(protocol), KeyProtocol); ok {
					p.key = key
					shown++
				}
			}
		}
	}
	switch {
	case shown > 1:
		return p, errors.New("more than one proof is shown, and it is not said which holds")
	case shown == 1 && p.event == "" && p.key == "":
		return p, errors.New("the app key is empty")
	}
	return p, nil
}

// prove is the WWW-Authenticate header of a 401.
const prove = `Nostr, Bearer realm="infernet"`

// identify says who sends a request, or why it is not let in.
func (s *Server) identify(r *http.Request, m *mount) (Caller, *Refusal) {
	if m.Access == Anyone {
		return Caller{}, nil
	}
	p, err := readProof(r.Header)
	var (
		who Caller
		no  *Refusal
	)
	switch {
	case err != nil:
		no = refusal(http.StatusUnauthorized, "%v", err)
	case m.Placeholder && m.Access == Optional && p.event == "" && !strings.HasPrefix(p.key, KeyPrefix):
	case p.event != "":
		who, no = s.identifySigner(r, m, p.event)
	case p.key != "":
		who, no = s.identifyKey(m, p.key)
	case m.Access == Known:
		no = refusal(http.StatusUnauthorized, "sign the request with a Nostr key (NIP-98), or send an app key as Authorization: Bearer")
	}
	if no != nil && no.Status == http.StatusUnauthorized {
		no.Prove = prove
	}
	return who, no
}

func (s *Server) identifyKey(m *mount, secret string) (Caller, *Refusal) {
	key, err := s.Keys.find(secret, s.Now())
	if err != nil {
		return Caller{}, refusal(http.StatusUnauthorized, "%v", err)
	}
	who := Caller{PubKey: key.Owner, Key: key.ID, Scopes: append([]string{}, key.Scopes...)}
	if !key.may(m.Scope) {
		return who, refusal(http.StatusForbidden, "the app key %s is not for %s", key.ID, m.Scope)
	}
	return who, allowed(m, who)
}

func allowed(m *mount, who Caller) *Refusal {
	if m.Allow != nil && !m.Allow(who) {
		return refusal(http.StatusForbidden, "this caller is known, but not for this")
	}
	return nil
}

// identifySigner checks a signed event, cheap things first. The body is read only once its sender is one that may send it.
func (s *Server) identifySigner(r *http.Request, m *mount, header string) (Caller, *Refusal) {
	ev, err := nip98.Parse(header)
	if err != nil {
		return Caller{}, refusal(http.StatusUnauthorized, "%v", err)
	}
	now := s.Now()
	if err := nip98.VerifyHead(ev, nip98.Request{URL: s.base(r).String() + r.URL.RequestURI(), Method: r.Method}, now); err != nil {
		return Caller{}, refusal(http.StatusUnauthorized, "%v", err)
	}
	who := Caller{PubKey: ev.PubKey}
	if no := allowed(m, who); no != nil {
		return who, no
	}
	switch err := s.replay.first(ev.Sig, ev.PubKey, ev.CreatedAt.Time(), nip98.Expires(ev), now); {
	case errors.Is(err, errFull):
		no := refusal(http.StatusTooManyRequests, "%v", err)
		no.Retry = int(nip98.Window.Seconds())
		return who, no
	case err != nil:
		return who, refusal(http.StatusUnauthorized, "%v", err)
	}
	body, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return who, refusal(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", large.Limit)
	case err != nil:
		return who, refusal(http.StatusRequestTimeout, "the body did not come in time")
	}
	if err := nip98.VerifyBody(ev, body); err != nil {
		return who, refusal(http.StatusUnauthorized, "%v", err)
	}
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return who, nil
}
