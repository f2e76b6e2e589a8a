package testnet

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/wallet"
)

// TestPlainClientsBuy has NIP-90 clients as they are in the wild: they know nothing of the profile, read
// payment-required, pay its bolt11, and wait for the result; in clear, and encrypted as NDK and nostrdvm do.
func TestPlainClientsBuy(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:", nil)
	for name, shape := range map[string]func(t *testing.T, keys *events.Keys) *nostr.Event{
		"in clear": func(*testing.T, *events.Keys) *nostr.Event {
			return &nostr.Event{Kind: 5050, Tags: nostr.Tags{
				{"i", "one two three", "prompt"}, {"param", "top-k", "40"}, {"bid", "100_000", "200000"}, {"p", string(node.Key)}, {"output", "text/plain"},
			}}
		},
		"encrypted": func(t *testing.T, keys *events.Keys) *nostr.Event {
			inside, _ := json.Marshal([][]string{{"i", "one two three", "text"}, {"bid", "100000"}, {"output", "text/plain"}})
			cipher, err := keys.Encrypt(ctx, node.Key, string(inside))
			if err != nil {
				t.Fatal(err)
			}
			return &nostr.Event{Kind: 5050, Content: cipher, Tags: nostr.Tags{{"p", string(node.Key)}, {"encrypted"}}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			keys := events.GenerateKeys()
			p, w := n.Pool(ctx, keys), n.Wallet("plain")
			job := shape(t, keys)
			job.CreatedAt = nostr.Now()
			if err := keys.Sign(ctx, job); err != nil {
				t.Fatal(err)
			}
			sub := p.Subscribe(ctx, nostr.Filter{Kinds: []int{7000, 6050}, Tags: nostr.TagMap{"e": {job.ID}}})
			if err := p.Publish(ctx, job); err != nil {
				t.Fatal(err)
			}
			// what the client reads is put together here by hand, as such clients do, and not by our own parser
			open := func(ev *nostr.Event) (tags nostr.Tags, content string) {
				if ev.Tags.Find("encrypted") == nil {
					return ev.Tags, ev.Content
				}
				plain, err := keys.Decrypt(ctx, events.PubKey(ev.PubKey), ev.Content)
				if err != nil {
					t.Fatal(err)
				}
				if ev.Kind != 7000 {
					return ev.Tags, plain
				}
				if err := json.Unmarshal([]byte(plain), &tags); err != nil {
					t.Fatalf("the encrypted feedback is no tag array: %s", plain)
				}
				return append(tags, ev.Tags...), ""
			}
			var said []string
			for timeout := time.After(15 * time.Second); ; {
				select {
				case ev := <-sub.Events:
					tags, content := open(ev)
					if ev.Kind == 6050 {
						if content != "one two three" {
							t.Errorf("the result is %q", content)
						}
						if got := strings.Join(said, " "); got != "payment-required processing" {
							t.Errorf("before the result it said %q", got)
						}
						quiet := time.After(500 * time.Millisecond)
						select {
						case ev := <-sub.Events:
							t.Errorf("after the result comes kind %d %v", ev.Kind, ev.Tags)
						case <-quiet:
						}
						return
					}
					status := tags.Find("status")
					if status == nil {
						t.Fatalf("feedback without a status: %v", tags)
					}
					said = append(said, status[1])
					if status[1] == "payment-required" {
						amount := tags.Find("amount")
						if amount == nil || len(amount) < 3 || amount[1] != "32000" {
							t.Fatalf("amount %v", amount)
						}
						if _, err := w.(wallet.Payer).Pay(ctx, amount[2], 0); err != nil {
							t.Fatal(err)
						}
					}
				case <-timeout:
					t.Fatalf("no result, it said %v", said)
				}
			}
		})
	}
}
