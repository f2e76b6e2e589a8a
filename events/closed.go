package events

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nbd-wtf/go-nostr"
)

// Closed is feedback that travels encrypted: who said it to whom about which job is all that outsiders see.
type Closed struct {
	Head
	Kind int // 7000 or 21999
	Job  ID
	To   PubKey
	ev   *nostr.Event
}

// About is the job's id.
func (m *Closed) About() ID { return m.Job }

func (m *Closed) Event() *nostr.Event { return m.ev }

// IsEncrypted says whether an event has the tag, with or without a scheme: nostrdvm and NDK write it bare.
func IsEncrypted(ev *nostr.Event) bool {
	return slices.ContainsFunc(ev.Tags, func(t nostr.Tag) bool { return len(t) > 0 && t[0] == "encrypted" })
}

// outer are the tags of an encrypted event that stay outside, by kind; every other tag goes into the content.
func outer(kind int) []string {
	if kind == KindFeedback || kind == KindChunk {
		return []string{"e", "p", "encrypted", "expiration"}
	}
	return []string{"p", "encrypted", "profile", "deadline", "expiration", "alt"}
}

// isResult says whether the kind is a result's: there only the content is encrypted, and it is the result itself.
func isResult(kind int) bool {
	_, ok := Kinds[kind-1000]
	return ok
}

// parseClosed reads what outsiders see of an encrypted event.
func parseClosed(r *reader) (Message, error) {
	switch kind := r.ev.Kind; {
	case kind == KindFeedback || kind == KindChunk:
		m := &Closed{Head: r.head(), Kind: kind, Job: r.needID("e"), To: r.needKey("p"), ev: r.ev}
		return m, r.err
	case isResult(kind):
		m, err := parseResult(r)
		if err == nil {
			m.(*Result).Closed = true
		}
		return m, err
	default:
		m, err := parseRequest(r)
		if err == nil {
			m.(*Request).Closed = true
		}
		return m, err
	}
}

// Sign makes the event that travels: signed, and encrypted first where the message says so. The message learns its id,
// author and time.
func Sign(ctx context.Context, m Message, s Signer) (*nostr.Event, error) {
	ev := m.Event()
	if IsEncrypted(ev) {
		if err := closeFor(ctx, ev, s); err != nil {
			return nil, fmt.Errorf("encrypt kind %d: %w", ev.Kind, err)
		}
	}
	if ev.CreatedAt == 0 {
		ev.CreatedAt = nostr.Now()
	}
	if err := s.Sign(ctx, ev); err != nil {
		return nil, fmt.Errorf("sign kind %d: %w", ev.Kind, err)
	}
	h := m.head()
	h.ID, h.Author, h.At = ID(ev.ID), PubKey(ev.PubKey), Unix(ev.CreatedAt)
	return ev, nil
}

// closeFor moves what is secret into the encrypted content. The event's one `p` is the peer.
func closeFor(ctx context.Context, ev *nostr.Event, s Signer) error {
	p := ev.Tags.Find("p")
	if p == nil {
		return fmt.Errorf("nobody to encrypt to")
	}
	plain := ev.Content
	if !isResult(ev.Kind) {
		keep := outer(ev.Kind)
		var inside, outside nostr.Tags
		for _, tag := range ev.Tags {
			if slices.Contains(keep, tag[0]) {
				outside = append(outside, tag)
			}
			if !slices.Contains(keep, tag[0]) || tag[0] == "e" {
				inside = append(inside, tag)
			}
		}
		if ev.Kind == KindFeedback || ev.Kind == KindChunk {
			inside = append(inside, nostr.Tag{"content", ev.Content})
		}
		body, err := json.Marshal(inside)
		if err != nil {
			return err
		}
		plain, ev.Tags = string(body), outside
	}
	if len(plain) > MaxEncrypted {
		return fmt.Errorf("%d bytes of text, at most %d travel encrypted", len(plain), MaxEncrypted)
	}
	cipher, err := s.Encrypt(ctx, PubKey(p[1]), plain)
	if err != nil {
		return err
	}
	ev.Content = cipher
	return nil
}

// Open reads an event as Parse does, opening it first if it is encrypted and s is one of its two parties. An event that
// s cannot open comes back as Parse gives it.
func Open(ctx context.Context, ev *nostr.Event, s Signer) (Message, error) {
	if !IsMarket(ev.Kind) || !IsEncrypted(ev) {
		return Parse(ev)
	}
	to := PubKey(addressee(ev))
	if to == "" {
		return Parse(ev)
	}
	peer := PubKey(ev.PubKey)
	switch s.PublicKey() {
	case to:
	case peer:
		peer = to
	default:
		return Parse(ev)
	}
	plain, err := decrypt(ctx, ev, peer, s)
	if err != nil {
		return nil, fmt.Errorf("%w: kind %d: decrypt: %w", ErrMalformed, ev.Kind, err)
	}
	clear := *ev
	clear.Content = plain
	if !isResult(ev.Kind) {
		if err := unpack(&clear, plain); err != nil {
			return nil, fmt.Errorf("%w: kind %d: encrypted tags: %w", ErrMalformed, ev.Kind, err)
		}
	}
	if err := refuseLegacy(ev, clear.Tags); err != nil {
		return nil, fmt.Errorf("%w: kind %d: %w", ErrMalformed, ev.Kind, err)
	}
	m, err := parseOpen(read(liberal(&clear, false)))
	if err != nil {
		return nil, fmt.Errorf("%w: kind %d: %w", ErrMalformed, ev.Kind, err)
	}
	return m, nil
}

// unpack puts the tags that travelled encrypted back among the others. What stands inside counts.
func unpack(ev *nostr.Event, plain string) error {
	var inside [][]*string
	if err := json.Unmarshal([]byte(plain), &inside); err != nil || inside == nil {
		return fmt.Errorf("no JSON array of tags of strings")
	}
	tags, content := nostr.Tags{}, ""
	names := map[string]bool{}
	for _, values := range inside {
		if len(values) == 0 {
			return fmt.Errorf("empty tag")
		}
		tag := make(nostr.Tag, len(values))
		for i, value := range values {
			if value == nil { // a null: Go would read it as "", others not at all
				return fmt.Errorf("a tag holds strings only")
			}
			tag[i] = *value
		}
		if tag[0] == "content" && len(tag) > 1 {
			content = tag[1]
			continue
		}
		if tag[0] == "e" {
			if out := ev.Tags.Find("e"); out != nil && len(tag) > 1 && out[1] != tag[1] {
				return fmt.Errorf("it is about job %s outside and %s inside", quote(out[1]), quote(tag[1]))
			}
		}
		if tag[0] == "p" || tag[0] == "encrypted" {
			continue // whom it is for stands outside only
		}
		names[tag[0]] = true
		tags = append(tags, tag)
	}
	for _, tag := range ev.Tags {
		if len(tag) > 0 && !names[tag[0]] {
			tags = append(tags, tag)
		}
	}
	ev.Tags, ev.Content = tags, content
	return nil
}
