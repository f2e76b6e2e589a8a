package testnet

import (
	"context"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
)

// TestAnOfferThatCameMeanwhileIsTaken has a plain job whose only offer came while its customer was away: who goes on with the
// job finds it with the relay, and pays at once instead of waiting for another until the deadline.
func TestAnOfferThatCameMeanwhileIsTaken(t *testing.T) {
	t.Parallel()
	n := Start(t)
	node := n.Provider("node", "echo:", nil)
	buyer := n.Buyer("buyer")
	id, err := buyer.Submit(ctx, Text("one two three", func(o *consumer.Order) { o.Way, o.Node, o.Life = consumer.Plain, node.Key, time.Minute }))
	if err != nil {
		t.Fatal(err)
	}
	asking := n.Pool(ctx, nil)
	Eventually(t, "the node asks for money", func() bool {
		found, err := asking.Query(ctx, nostr.Filter{Kinds: []int{events.KindFeedback}, Tags: nostr.TagMap{"e": {string(id)}}})
		return err == nil && len(found) > 0
	})
	within, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	got, err := buyer.Resume(within, id, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != "one two three" || got.Paid == 0 {
		t.Errorf("delivered %q for %s", got.Text, got.Paid.Human())
	}
}
