package testnet

import (
	"fmt"
	"strings"
	"testing"

	"infernet/consumer"
	"infernet/relay"
)

// TestACustomerWorksWhereTheRelayWantsIt buys jobs, each with a fresh key, at a relay to which they are a flood: each is
// done, those that the relay wants work for with the work, and none is paid twice.
func TestACustomerWorksWhereTheRelayWantsIt(t *testing.T) {
	n := StartRelay(t, func(c *relay.Config) { c.Work, c.WorkFrom = 12, 0.2 })
	n.Provider("node", "echo:", nil)
	buyer := n.Buyer("buyer")
	worked := 0
	for i := range 4 {
		text := fmt.Sprint("job number ", i)
		got, err := buyer.Do(ctx, Text(text, nil), func(s consumer.Step) {
			if strings.Contains(s.Note, "bits of work") {
				worked++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if got.Result.Content != text {
			t.Errorf("got %q", got.Result.Content)
		}
	}
	if worked == 0 {
		t.Error("the relay never wanted work")
	}
	if open, err := buyer.Unfinished(); err != nil || len(open) > 0 {
		t.Errorf("left open: %v %v", open, err)
	}
	t.Logf("4 jobs, for %d of which the relay wanted work first", worked)
}
