package events

import (
	"errors"
	"fmt"
	"time"

	"github.com/nbd-wtf/go-nostr"
)

// ID is an event's id: 64 lower-case hex characters (NIP-01).
type ID string

// PubKey is a party's public key: 64 lower-case hex characters (NIP-01, BIP-340).
type PubKey string

// Unix is a moment in whole seconds since 1970.
type Unix int64

// At is the moment of t, cut to the second.
func At(t time.Time) Unix { return Unix(t.Unix()) }

// Time is the moment as a time.Time.
func (u Unix) Time() time.Time { return time.Unix(int64(u), 0) }

// Add is the moment d later, cut to the second.
func (u Unix) Add(d time.Duration) Unix { return u + Unix(d/time.Second) }

// ErrMalformed is wrapped by every error of Parse and Open: the event does not follow the grammar.
var ErrMalformed = errors.New("malformed event")

// ErrForeign is wrapped, beside ErrMalformed, when the event is none of the market's.
var ErrForeign = errors.New("not a market event")

// Head is what every message has: who signed it, when, and until when relays keep it.
type Head struct {
	ID      ID     // empty until signed
	Author  PubKey // empty until signed
	At      Unix   // created_at; never later than now + MaxFuture
	Expires Unix   // NIP-40 "delete me"; 0 if unset. No deadline: those are tags of their own
}

func (h *Head) head() *Head { return h }

// Signed gives the message's id, author and times.
func (h *Head) Signed() Head { return *h }

// Message is any message of the market.
type Message interface {
	// Event is the message as a Nostr event in clear, not yet signed; Sign makes the event that travels.
	Event() *nostr.Event
	// Signed gives the message's id, author and times.
	Signed() Head

	head() *Head
}

// About is a message that belongs to one job.
type About interface {
	Message
	// About is the job's id: the id of its request.
	About() ID
}

// Event kinds that are no job kinds (PROTOCOL table; NIP-89, NIP-90, NIP-09, NIP-85).
const (
	KindCancel       = 5
	KindFeedback     = 7000
	KindHeartbeat    = 11998
	KindChunk        = 21999
	KindReputation   = 30382 // about a key
	KindReputationOf = 30384 // about an address
	KindReview       = 31117
	KindAnnouncement = 31990
)

// Limits that every reader and relay holds.
const (
	MaxFuture    = 60 * time.Second // created_at may be this much ahead of the reader's clock
	MaxEvent     = 60_000           // bytes of one serialised event
	MaxEncrypted = 40_000           // bytes of inline text in an encrypted message
	MaxSealed    = 24_000           // bytes of a sealed result
	KeepJob      = 7 * 24 * time.Hour
	KeepReceipt  = 30 * 24 * time.Hour
)

// Profile is the name of this protocol in a request's `profile` tag.
const Profile = "infernet/1"

// Parse reads one event of the market. Encrypted requests and feedback come back as *Closed, encrypted results and
// chunks with their content still closed; their parties use Open. Parse checks the grammar, not the signature (Verify).
// Errors wrap ErrMalformed; events that are none of the market's wrap ErrForeign too.
func Parse(ev *nostr.Event) (Message, error) {
	m, err := parse(ev)
	if err != nil {
		return nil, fmt.Errorf("%w: kind %d: %w", ErrMalformed, ev.Kind, err)
	}
	return m, nil
}

// IsMarket says whether Parse knows the kind.
func IsMarket(kind int) bool {
	switch kind {
	case KindCancel, KindFeedback, KindHeartbeat, KindChunk, KindReputation, KindReputationOf, KindReview, KindAnnouncement:
		return true
	}
	_, request := Kinds[kind]
	_, result := Kinds[kind-1000]
	return request || result
}

func parse(ev *nostr.Event) (Message, error) {
	if !IsMarket(ev.Kind) {
		return nil, ErrForeign
	}
	r := read(liberal(ev, IsEncrypted(ev)))
	if r.has("encrypted") {
		return parseClosed(r)
	}
	return parseOpen(r)
}

// parseOpen reads an event whose tags lie open: a clear one, or one whose party has just opened it.
func parseOpen(r *reader) (Message, error) {
	switch kind := r.ev.Kind; kind {
	case KindCancel:
		return parseCancel(r)
	case KindFeedback:
		return parseFeedback(r)
	case KindHeartbeat:
		return parseHeartbeat(r)
	case KindChunk:
		return parseChunk(r)
	case KindReputation, KindReputationOf:
		return parseReputation(r)
	case KindReview:
		return parseReview(r)
	case KindAnnouncement:
		return parseAnnouncement(r)
	default:
		if _, ok := Kinds[kind]; ok {
			return parseRequest(r)
		}
		return parseResult(r)
	}
}

// Verify checks an event's id and signature (NIP-01). Lengths come first: a signature that is too long kills go-nostr's check
// by libsecp256k1.
func Verify(ev *nostr.Event) error {
	if len(ev.Sig) != 128 || len(ev.PubKey) != 64 {
		return fmt.Errorf("%w: a signature has 128 hex characters and a key 64, not %d and %d", ErrMalformed, len(ev.Sig), len(ev.PubKey))
	}
	if !ev.CheckID() {
		return fmt.Errorf("%w: id is not the event's hash", ErrMalformed)
	}
	ok, err := ev.CheckSignature()
	if err != nil {
		return fmt.Errorf("%w: signature: %w", ErrMalformed, err)
	}
	if !ok {
		return fmt.Errorf("%w: signature does not match", ErrMalformed)
	}
	return nil
}
