package notify

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip44"
	"github.com/nbd-wtf/go-nostr/nip59"

	"infernet/events"
	"infernet/internal/pool"
	"infernet/relay"
)

// startRelay runs a real relay until the test ends.
func startRelay(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := relay.Open(ctx, relay.Config{Dir: filepath.Join(t.TempDir(), "relay"), Listen: "127.0.0.1:0"})
	ok(t, err)
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return r.URL()
}

// opened reads a gift wrap with go-nostr's own code, as the owner's client does.
func opened(t *testing.T, owner *events.Keys, wrap *nostr.Event) nostr.Event {
	t.Helper()
	decrypt := func(other, text string) (string, error) {
		key, err := nip44.GenerateConversationKey(other, owner.Secret())
		if err != nil {
			return "", err
		}
		return nip44.Decrypt(text, key)
	}
	rumor, err := nip59.GiftUnwrap(*wrap, decrypt)
	ok(t, err)
	text, err := decrypt(wrap.PubKey, wrap.Content)
	ok(t, err)
	var seal nostr.Event
	ok(t, json.Unmarshal([]byte(text), &seal))
	if seal.Kind != 13 || len(seal.Tags) != 0 {
		t.Errorf("the seal is of kind %d with %d tags", seal.Kind, len(seal.Tags))
	}
	if inside, err := decrypt(seal.PubKey, seal.Content); err != nil || strings.Contains(inside, `"sig"`) {
		t.Errorf("the message is signed: %s, %v", inside, err)
	}
	for name, at := range map[string]nostr.Timestamp{"seal": seal.CreatedAt, "wrap": wrap.CreatedAt} {
		if age := time.Since(at.Time()); age < 0 || age > 49*time.Hour {
			t.Errorf("the %s is %s old", name, age)
		}
	}
	return rumor
}

// TestTheOwnerReadsPrivateMessages sends over a real relay, and reads with another implementation of NIP-17.
func TestTheOwnerReadsPrivateMessages(t *testing.T) {
	url := startRelay(t)
	node, owner := events.GenerateKeys(), events.GenerateKeys()
	p := pool.New(t.Context(), []string{url}, pool.WithSigner(node))
	defer p.Close()
	way := &Nostr{Pool: p, Signer: node, Owner: owner.PublicKey()}
	n := Notice{ID: "x", At: events.At(time.Now()), Level: Warning, Title: "GPU lost", Text: "a < b & \"c\"", Job: events.ID(strings.Repeat("ab", 32))}
	ok(t, way.Send(t.Context(), n))
	ok(t, way.Send(t.Context(), n))
	found, err := p.Query(t.Context(), nostr.Filter{Kinds: []int{1059}, Tags: nostr.TagMap{"p": {string(owner.PublicKey())}}})
	ok(t, err)
	if len(found) != 2 || found[0].PubKey == found[1].PubKey {
		t.Fatalf("%d wraps, by %s and %s", len(found), found[0].PubKey, found[len(found)-1].PubKey)
	}
	first, second := opened(t, owner, found[0]), opened(t, owner, found[1])
	if first.ID != second.ID {
		t.Error("two tries are two messages")
	}
	if first.Kind != 14 || first.PubKey != string(node.PublicKey()) || !strings.Contains(first.Content, n.Text) || !strings.HasPrefix(first.Content, n.Title) {
		t.Errorf("the message is %s", first)
	}
	for _, wrap := range found {
		if strings.Contains(wrap.String(), string(node.PublicKey())) || strings.Contains(wrap.String(), n.Title) || strings.Contains(wrap.String(), string(n.Job)) {
			t.Error("the wrap shows who wrote, or what")
		}
	}
	if _, err := nip59.GiftUnwrap(*found[0], func(other, text string) (string, error) {
		return events.GenerateKeys().Decrypt(t.Context(), events.PubKey(other), text)
	}); err == nil {
		t.Error("a stranger reads it")
	}
}

// TestMessagesGoWhereTheOwnerWantsThem publishes the owner's list of relays (kind 10050), as its client does.
func TestMessagesGoWhereTheOwnerWantsThem(t *testing.T) {
	market, inbox := startRelay(t), startRelay(t)
	node, owner := events.GenerateKeys(), events.GenerateKeys()
	p := pool.New(t.Context(), []string{market}, pool.WithSigner(node))
	defer p.Close()
	list := &nostr.Event{Kind: 10050, CreatedAt: nostr.Now(), Tags: nostr.Tags{{"relay", "http://127.0.0.1"}, {"relay", inbox}}}
	ok(t, owner.Sign(t.Context(), list))
	ok(t, p.Publish(t.Context(), list))
	ok(t, (&Nostr{Pool: p, Signer: node, Owner: owner.PublicKey()}).Send(t.Context(), Notice{Title: "a", Level: Info}))
	theirs := pool.New(t.Context(), []string{inbox})
	defer theirs.Close()
	wraps := nostr.Filter{Kinds: []int{1059}, Tags: nostr.TagMap{"p": {string(owner.PublicKey())}}}
	if found, err := theirs.Query(t.Context(), wraps); err != nil || len(found) != 1 {
		t.Errorf("the inbox has %d messages, %v", len(found), err)
	}
	if found, err := p.Query(t.Context(), wraps); err != nil || len(found) != 0 {
		t.Errorf("the market has %d messages, %v", len(found), err)
	}
}
