package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/pool"
)

// Kinds of NIP-17 and NIP-59.
const (
	kindSeal    = 13
	kindMessage = 14
	kindWrap    = 1059
	kindRelays  = 10050 // where somebody wants private messages
)

// maxRelays is how many of the owner's relays get a message.
const maxRelays = 3

// Nostr tells notices as private messages to the owner's key (NIP-17): which node wrote them, and what, only the owner can
// read. They go to the relays that the owner wants them at (kind 10050), and to the pool's own if none is known.
type Nostr struct {
	Pool   *pool.Pool
	Signer events.Signer
	Owner  events.PubKey
	Whose  func() events.PubKey // asked for each notice if Owner is ""; "" is nobody: then there is nobody to tell
	Log    *slog.Logger         // nil: none
}

var _ Way = (*Nostr)(nil)

// Name names the way.
func (w *Nostr) Name() string { return "nostr" }

// Send sends a notice. The message inside is the same in every try, so that its reader shows it once.
func (w *Nostr) Send(ctx context.Context, n Notice) error {
	owner := w.Owner
	if owner == "" && w.Whose != nil {
		owner = w.Whose()
	}
	if owner == "" {
		return nil
	}
	wrap, err := wrapFor(ctx, w.Signer, owner, n.rumor(w.Signer.PublicKey(), owner))
	if err != nil {
		return err
	}
	relays := w.relays(ctx, owner)
	if len(relays) == 0 {
		return w.Pool.Publish(ctx, wrap)
	}
	opts := []pool.Option{pool.WithSigner(w.Signer)}
	if w.Log != nil {
		opts = append(opts, pool.WithLog(w.Log))
	}
	theirs := pool.New(ctx, relays, opts...)
	defer theirs.Close()
	return theirs.Publish(ctx, wrap)
}

// relays are where the owner wants private messages, as far as the pool's relays know.
func (w *Nostr) relays(ctx context.Context, owner events.PubKey) (relays []string) {
	found, err := w.Pool.Query(ctx, nostr.Filter{Kinds: []int{kindRelays}, Authors: []string{string(owner)}})
	if err != nil {
		return nil
	}
	var newest *nostr.Event
	for _, ev := range found {
		if newest == nil || ev.CreatedAt > newest.CreatedAt {
			newest = ev
		}
	}
	if newest == nil {
		return nil
	}
	for tag := range newest.Tags.FindAll("relay") {
		if len(relays) < maxRelays && (strings.HasPrefix(tag[1], "wss://") || strings.HasPrefix(tag[1], "ws://")) {
			relays = append(relays, tag[1])
		}
	}
	return relays
}

// rumor is a notice as the message inside.
func (n *Notice) rumor(author, reader events.PubKey) *nostr.Event {
	return &nostr.Event{
		PubKey: string(author), Kind: kindMessage, CreatedAt: nostr.Timestamp(n.At), Content: n.message(),
		Tags: nostr.Tags{{"p", string(reader)}, {"subject", n.Title}},
	}
}

// message is a notice as a person reads it.
func (n *Notice) message() string {
	lines := []string{n.Title}
	if n.Text != "" {
		lines = append(lines, "", n.Text)
	}
	if n.Job != "" {
		lines = append(lines, "", "job "+string(n.Job))
	}
	return strings.Join(lines, "\n")
}

// wrapFor closes an unsigned event twice (NIP-59): sealed by its author for the reader, and wrapped by a key that is used
// once. Both times lie up to two days back, by chance.
func wrapFor(ctx context.Context, author events.Signer, reader events.PubKey, rumor *nostr.Event) (*nostr.Event, error) {
	if rumor.PubKey != string(author.PublicKey()) {
		return nil, errors.New("gift wrap: the message is another author's")
	}
	rumor.ID, rumor.Sig = rumor.GetID(), ""
	seal, err := closeIn(ctx, author, reader, kindSeal, nil, unsigned(rumor))
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	wrap, err := closeIn(ctx, events.GenerateKeys(), reader, kindWrap, nostr.Tags{{"p", string(reader)}}, seal)
	if err != nil {
		return nil, fmt.Errorf("gift wrap: %w", err)
	}
	return wrap, nil
}

// unsigned is an event without the sig field, which a rumor must not have.
func unsigned(ev *nostr.Event) any {
	return map[string]any{
		"id": ev.ID, "pubkey": ev.PubKey, "created_at": ev.CreatedAt, "kind": ev.Kind, "tags": ev.Tags, "content": ev.Content,
	}
}

func closeIn(ctx context.Context, s events.Signer, reader events.PubKey, kind int, tags nostr.Tags, inside any) (*nostr.Event, error) {
	plain, err := json.Marshal(inside)
	if err != nil {
		return nil, err
	}
	cipher, err := s.Encrypt(ctx, reader, string(plain))
	if err != nil {
		return nil, err
	}
	if tags == nil {
		tags = nostr.Tags{}
	}
	back := rand.N(48 * time.Hour)
	ev := &nostr.Event{Kind: kind, Tags: tags, Content: cipher, CreatedAt: nostr.Timestamp(time.Now().Add(-back).Unix())}
	return ev, s.Sign(ctx, ev)
}
