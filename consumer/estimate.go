package consumer

import (
	"context"
	"slices"
	"strings"

	"infernet/events"
)

// Estimate says what an order would cost at one node's announced prices, without asking it: about what, and the most that
// its node may ask. Both are 0 of a free model. Errors: *events.ParamError, and ErrUnknownNode.
func (c *Consumer) Estimate(ctx context.Context, o Order, node *events.Announcement) (about, most events.Msat, err error) {
	o.Way, o.Node, o.MaxCost = Direct, node.Author, events.MaxMsat
	for range o.Files { // as they will be, uploaded
		o.Inputs = append(slices.Clip(o.Inputs), events.Input{Value: strings.Repeat("0", 64), Type: "blob"})
	}
	j := &job{c: c, order: o}
	if err := j.build(ctx); err != nil {
		return 0, 0, err
	}
	most = *j.req.Bid
	found := false
	for _, m := range node.Profile.Market.Models {
		if want := j.req.Model(); want != "" && m.ID != want || !slices.Contains(m.Kinds, o.Kind) {
			continue
		}
		if cost := j.about(m); !found || cost < about {
			about, found = cost, true
		}
	}
	return min(about, most), most, nil
}
