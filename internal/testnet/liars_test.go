package testnet

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/consumer/track"
	"infernet/events"
	"infernet/provider"
	"infernet/wallet"
	"infernet/wallet/play"
)

// liar signs for a node what its test changes before.
type liar struct {
	*events.Keys
	change func(ev *nostr.Event) // what is signed
	tell   func(text string) string
}

func (l liar) Sign(ctx context.Context, ev *nostr.Event) error {
	if l.change != nil {
		l.change(ev)
	}
	return l.Keys.Sign(ctx, ev)
}

// Encrypt encrypts another text than was meant.
func (l liar) Encrypt(ctx context.Context, to events.PubKey, text string) (string, error) {
	if l.tell != nil {
		text = l.tell(text)
	}
	return l.Keys.Encrypt(ctx, to, text)
}

// greedy is a wallet that asks for more than was agreed.
type greedy struct{ *play.Wallet }

func (g greedy) Invoice(ctx context.Context, ask wallet.InvoiceRequest) (*wallet.Invoice, error) {
	ask.Amount *= 4
	return g.Wallet.Invoice(ctx, ask)
}

// TestLiarsLoseFavour has four nodes that are cheaper than three honest ones, and lie: about their price (the invoice asks
// for more than the offer), their speed (the offer says at once), their model (the result is another's) and the hash of their
// result. Each loses the buyer's favour within 10 jobs, for good, also over a restart of the buyer.
func TestLiarsLoseFavour(t *testing.T) {
	t.Parallel()
	for _, way := range []string{consumer.Auction, consumer.Direct} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			n := Start(t)
			names := map[events.PubKey]string{}
			start := func(name, engine string, change func(*provider.Config)) {
				node := n.Provider(name, engine, change)
				names[node.Key] = name
			}
			cheap := events.Price{Base: 4000, In: 5_000, Out: 15_000}
			for _, name := range []string{"honest-1", "honest-2", "honest-3"} {
				start(name, "echo:?first=5ms", func(c *provider.Config) { c.Price = events.Price{Base: 5000, In: 20_000, Out: 60_000} })
			}
			start("price", "echo:", func(c *provider.Config) {
				c.Price, c.Wallet = cheap, greedy{c.Wallet.(*play.Wallet)}
			})
			start("speed", "echo:?first=3s", func(c *provider.Config) {
				c.Price = cheap
				c.Signer = liar{Keys: events.GenerateKeys(), tell: func(s string) string { return retag(s, "eta", "1") }} // offers are encrypted
			})
			start("model", "echo:", func(c *provider.Config) {
				c.Price = cheap
				c.Signer = liar{Keys: events.GenerateKeys(), change: func(ev *nostr.Event) {
					if ev.Kind == events.KindText+1000 {
						setTag(ev.Tags, "model", "parrot")
					}
				}}
			})
			if way == consumer.Auction { // an encrypted result has no hash to lie about
				start("hash", "echo:", func(c *provider.Config) {
					c.Price = cheap
					c.Signer = liar{Keys: events.GenerateKeys(), change: func(ev *nostr.Event) {
						if ev.Kind == events.KindText+1000 {
							setTag(ev.Tags, "x", strings.Repeat("0", 64))
						}
					}}
				})
			}
			memory := openTrack(t, filepath.Join(n.Dir, "nodes.db"))
			w, ledger := n.Wallet("buyer"), n.Ledger("buyer")
			buyer := func() *consumer.Consumer {
				return n.Consumer("buyer", func(c *consumer.Config) { c.Wallet, c.Ledger, c.Memory = w.(wallet.Payer), ledger, memory })
			}
			c := buyer()
			jobs := 14
			if way == consumer.Direct {
				jobs = 25
			}
			at, last, delivered := map[string]int{}, map[string]int{}, 0
			for i := range jobs {
				if i == jobs/2 { // what was measured is on the disk
					if err := memory.Close(); err != nil {
						t.Fatal(err)
					}
					memory = openTrack(t, filepath.Join(n.Dir, "nodes.db"))
					c = buyer()
				}
				got, err := c.Do(ctx, Text("spell lantern and sea", func(o *consumer.Order) {
					o.Way, o.First, o.Window = way, false, time.Second
					o.Pay = []string{events.PayPrepaid}
					o.Params = events.Params{{Name: "stream", Values: []string{"true"}}, {Name: "max_tokens", Values: []string{"8"}}}
				}), func(s consumer.Step) {
					node := events.PubKey("")
					switch m := s.Message.(type) {
					case *events.Award:
						node = m.Node
					case *events.Request:
						if len(m.To) == 1 {
							node = m.To[0]
						}
					}
					if node != "" {
						at[names[node]]++
						last[names[node]] = i + 1
					}
				})
				if err == nil {
					delivered++
					if strings.HasPrefix(names[got.Node], "honest") && got.Text != "spell lantern and sea" {
						t.Errorf("job %d: %q", i, got.Text)
					}
				} else if ctx.Err() != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"price", "speed", "model", "hash"} {
				if at[name] > 10 || last[name] > 10 {
					t.Errorf("%s was asked %d times, the last time for job %d", name, at[name], last[name])
				}
				if at[name] == 0 && (name != "hash" || way == consumer.Auction) {
					t.Errorf("%s, which is cheap, was never tried", name)
				}
			}
			for _, name := range []string{"honest-1", "honest-2", "honest-3"} {
				if at[name] == 0 && way == consumer.Direct {
					t.Errorf("%s was never tried", name)
				}
			}
			if delivered < jobs-4 {
				t.Errorf("%d of %d jobs were delivered", delivered, jobs)
			}
			memory.Close()
			var said []string
			for name, times := range at {
				said = append(said, fmt.Sprintf("%s %d (last job %d)", name, times, last[name]))
			}
			slices.Sort(said)
			t.Logf("%s: %d of %d jobs delivered; asked: %s", way, delivered, jobs, strings.Join(said, ", "))
		})
	}
}

func openTrack(t *testing.T, path string) *track.Record {
	t.Helper()
	r, err := track.Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// setTag gives a tag another value.
func setTag(tags nostr.Tags, name, value string) {
	for _, tag := range tags {
		if len(tag) > 1 && tag[0] == name {
			tag[1] = value
		}
	}
}

// retag gives a tag of an encrypted message another value.
func retag(text, name, value string) string {
	before, after, ok := strings.Cut(text, `["`+name+`","`)
	if !ok {
		return text
	}
	_, after, _ = strings.Cut(after, `"`)
	return before + `["` + name + `","` + value + `"` + after
}
