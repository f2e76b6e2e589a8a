// Package nip98 is HTTP auth on the wire (NIP-98): an event of kind 27235 in the Authorization header says who sends a
// request, and is good for this one URL, method and body only.
//
// It is pure message code. It cannot know whether an event was used before: who verifies must remember its signature for as
// long as it could be shown again (Expires). Begin with Request, Header and Verify.
package nip98

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"
)

// Kind is the kind of such events.
const Kind = 27235

// Window is how far an event's time may be from the verifier's clock, either way.
const Window = 60 * time.Second

// What is wrong with an event. Verify and Parse wrap one of them.
var (
	ErrMalformed = errors.New("no event of NIP-98")
	ErrTime      = errors.New("signed too long ago or in the future")
	ErrURL       = errors.New("signed for another URL")
	ErrMethod    = errors.New("signed for another method")
	ErrPayload   = errors.New("signed for another body")
	ErrSignature = errors.New("the signature does not match")
)

// Request is what an event speaks for.
type Request struct {
	URL    string // absolute, with the query
	Method string
	Body   []byte // nil or empty if there is none
	Salt   string // tells two like requests of one second apart, of which a verifier would take the one only; in a tag of its own
}

// Event is the event that speaks for a request, to be signed and sent at once.
func (r Request) Event(at time.Time) *nostr.Event {
	ev := &nostr.Event{
		Kind: Kind, CreatedAt: nostr.Timestamp(at.Unix()),
		Tags: nostr.Tags{{"u", r.URL}, {"method", strings.ToUpper(r.Method)}},
	}
	if len(r.Body) > 0 {
		ev.Tags = append(ev.Tags, nostr.Tag{"payload", PayloadHash(r.Body)})
	}
	if r.Salt != "" {
		ev.Tags = append(ev.Tags, nostr.Tag{"salt", r.Salt})
	}
	return ev
}

// PayloadHash is what the payload tag says of a body: its SHA-256 in hex.
func PayloadHash(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// Expires is when an event can no longer be shown: until then its signature has to be remembered. Not its id:
// a client that asks twice in a second may sign the same event twice.
func Expires(ev *nostr.Event) time.Time { return ev.CreatedAt.Time().Add(Window + time.Second) }

// Verify holds a signed event against the request that carries it. A body has to be signed for, too: an event without
// payload, which the NIP lets a server accept, could be sent with another one.
func Verify(ev *nostr.Event, r Request, now time.Time) error {
	if err := VerifyHead(ev, r, now); err != nil {
		return err
	}
	return VerifyBody(ev, r.Body)
}

// VerifyHead is Verify but for the body: a server that knows the sender may then read one.
func VerifyHead(ev *nostr.Event, r Request, now time.Time) error {
	if ev.Kind != Kind {
		return fmt.Errorf("%w: kind %d, not %d", ErrMalformed, ev.Kind, Kind)
	}
	if off := now.Sub(ev.CreatedAt.Time()); off >= Window+time.Second || off < -Window { // its time has whole seconds
		return fmt.Errorf("%w: by %s, more than %s; check the clock", ErrTime, off.Truncate(time.Second), Window)
	}
	u, err := only(ev, "u")
	if err != nil {
		return err
	}
	signed, err := canonical(u)
	if err != nil {
		return fmt.Errorf("%w: u %w", ErrMalformed, err)
	}
	asked, err := canonical(r.URL)
	if err != nil {
		return fmt.Errorf("the request's URL %w", err)
	}
	if signed != asked {
		return fmt.Errorf("%w: %q, not %q", ErrURL, cut(u), cut(r.URL))
	}
	method, err := only(ev, "method")
	if err != nil {
		return err
	}
	if !strings.EqualFold(method, r.Method) {
		return fmt.Errorf("%w: %q, not %s", ErrMethod, cut(method), r.Method)
	}
	if len(ev.Sig) != 128 || len(ev.PubKey) != 64 { // go-nostr's check by libsecp256k1 dies of a longer one
		return fmt.Errorf("%w: a signature has 128 hex characters and a key 64", ErrSignature)
	}
	if !ev.CheckID() {
		return fmt.Errorf("%w: the id is not the event's hash", ErrSignature)
	}
	if ok, err := ev.CheckSignature(); err != nil || !ok {
		return ErrSignature
	}
	return nil
}

// VerifyBody holds a body against the event's payload.
func VerifyBody(ev *nostr.Event, body []byte) error {
	if len(body) == 0 && ev.Tags.Find("payload") == nil {
		return nil
	}
	hash, err := only(ev, "payload")
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w; add the tag payload, the body's SHA-256 in hex", ErrPayload, err)
	case !strings.EqualFold(hash, PayloadHash(body)):
		return fmt.Errorf("%w: its SHA-256 is %s", ErrPayload, PayloadHash(body))
	}
	return nil
}

// only gives the value of a tag that must be there once: of two, a signer and a verifier may read different ones.
func only(ev *nostr.Event, name string) (string, error) {
	value, seen := "", 0
	for _, tag := range ev.Tags {
		if len(tag) > 0 && tag[0] == name {
			seen++
			if len(tag) > 1 {
				value = tag[1]
			}
		}
	}
	if seen != 1 || value == "" {
		return "", fmt.Errorf("%w: %d tags %q with a value, not one", ErrMalformed, seen, name)
	}
	return value, nil
}
