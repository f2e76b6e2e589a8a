package testnet

import (
	"strings"
	"testing"

	"infernet/consumer"
	"infernet/events"
	"infernet/provider"
)

// TestJobsGoToTheHardwareTheyRequire asks for a card: a node without it does not offer, one with it is chosen.
func TestJobsGoToTheHardwareTheyRequire(t *testing.T) {
	n := Start(t)
	n.Provider("plain", "echo:", func(c *provider.Config) { c.Price = events.Price{} })
	big := n.Provider("big", "echo:", func(c *provider.Config) { c.GPUs = []events.GPU{{Name: "NVIDIA RTX 4090", VRAMMB: 24564}} })
	buyer := n.Buyer("buyer")
	nodes, err := buyer.Nodes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes {
		if cards := node.Profile.Market.GPUs; (len(cards) == 1) != (node.Author == big.Key) {
			t.Errorf("node %s announces %+v", node.Profile.Name, cards)
		}
	}
	for _, need := range [][]events.Require{{{Name: "vram_mb", Value: "20000"}}, {{Name: "gpu", Value: "rtx 4090"}, {Name: "vram_mb", Value: "24564"}}} {
		got, err := buyer.Do(ctx, Text("one two", func(o *consumer.Order) { o.Require = need }), nil)
		if err != nil || got.Node != big.Key {
			t.Errorf("%v: %+v, %v", need, got, err)
		}
	}
	for _, need := range []events.Require{{Name: "vram_mb", Value: "30000"}, {Name: "gpu", Value: "H100"}, {Name: "region", Value: "eu"}, {Name: "vram_mb", Value: "much"}} {
		_, err := buyer.Do(ctx, Text("one two", direct(big, func(o *consumer.Order) { o.Require = []events.Require{need} })), nil)
		if err == nil || !strings.Contains(err.Error(), need.Name) {
			t.Errorf("%v: %v", need, err)
		}
	}
}
