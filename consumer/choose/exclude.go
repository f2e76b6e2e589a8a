package choose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"infernet/events"
)

// excluded says why a candidate cannot be taken; "" if it can.
func excluded(x Candidate, c Controls, need Need, now time.Time) string {
	switch {
	case len(c.Only) > 0 && place(c.Only, x.Node) < 0:
		return "only names others"
	case place(c.Ignore, x.Node) >= 0:
		return "ignore names it"
	case x.caught() && now.Before(x.Until):
		return fmt.Sprintf("it lied (%s) and is not asked for %s", x.Why, x.Until.Sub(now).Round(time.Second))
	case c.MaxPrice != nil && c.MaxPrice.In != nil && x.Price.In > *c.MaxPrice.In:
		return fmt.Sprintf("it asks %s for 1000 units in, max_price allows %s", x.Price.In.Human(), c.MaxPrice.In.Human())
	case c.MaxPrice != nil && c.MaxPrice.Out != nil && x.Price.Out > *c.MaxPrice.Out:
		return fmt.Sprintf("it asks %s for 1000 units out, max_price allows %s", x.Price.Out.Human(), c.MaxPrice.Out.Human())
	case c.Context > 0 && x.Context < c.Context:
		return fmt.Sprintf("its model holds %d tokens, %d are wanted", x.Context, c.Context)
	case c.Digest != "" && !strings.HasPrefix(strings.TrimPrefix(x.Digest, "sha256:"), strings.TrimPrefix(strings.ToLower(c.Digest), "sha256:")):
		return fmt.Sprintf("its model's file is %s, wanted is %.12s", or(x.Digest, "not named"), c.Digest)
	}
	for _, want := range need.Require {
		if !has(x.GPUs, want) {
			return fmt.Sprintf("its machine shows no %s %s", want.Name, want.Value)
		}
	}
	switch {
	case x.About > need.MaxCost:
		return fmt.Sprintf("the job would cost about %s there, at most %s may be paid", x.About.Human(), need.MaxCost.Human())
	case x.Most > 0 && !need.Wallet:
		return "it is not free, and there is no wallet"
	}
	return ""
}

// has says whether a machine's cards are what a job requires: one whose name holds a word, or one with so much memory.
// What else can be required is for the node to say.
func has(cards []events.GPU, want events.Require) bool {
	switch want.Name {
	case "gpu":
		word := func(s string) string {
			return strings.NewReplacer(" ", "", "_", "", "-", "").Replace(strings.ToLower(s))
		}
		return slices.ContainsFunc(cards, func(g events.GPU) bool { return strings.Contains(word(g.Name), word(want.Value)) })
	case "vram_mb":
		least, err := strconv.Atoi(want.Value)
		return err == nil && slices.ContainsFunc(cards, func(g events.GPU) bool { return g.VRAMMB >= least })
	}
	return true
}

// place is where a node stands in a list of keys or their beginnings; -1 if nowhere.
func place(keys []events.PubKey, node events.PubKey) int {
	return slices.IndexFunc(keys, func(key events.PubKey) bool { return strings.HasPrefix(string(node), strings.ToLower(string(key))) })
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
