package batch

import (
	"context"

	"infernet/consumer"
	"infernet/events"
)

// Estimate is what a batch would cost at the nodes that are there now.
type Estimate struct {
	About, Most events.Msat
	Lines       int
	Nodes       int // that can do its first line
}

// looked is how many lines an estimate is made of; of a longer file it takes some, evenly.
const looked = 2000

// EstimateLines says what lines would cost, without buying anything. A line that nobody can do while others of its kind are
// served is a *LineError.
func EstimateLines(ctx context.Context, c *consumer.Consumer, items []Item, plain bool, base consumer.Order, api API) (e Estimate, err error) {
	step := max(1, (len(items)+looked-1)/looked)
	var about, most, n float64
	for i := 0; i < len(items); i += step {
		req, err := items[i].request(plain, base, api)
		if err != nil {
			return e, &LineError{items[i].Line, err}
		}
		o := req.Order()
		ranked, err := c.Rank(ctx, o)
		if err != nil {
			return e, err
		}
		if len(ranked) == 0 {
			if none := c.Nobody(ctx, o); none != nil && len(none.Near) > 0 {
				return e, &LineError{items[i].Line, none}
			}
			continue // they may come
		}
		if i == 0 {
			e.Nodes = len(ranked)
		}
		about += float64(ranked[0].About)
		most += float64(ranked[0].Most)
		n++
	}
	e.Lines = len(items)
	if n > 0 {
		e.About, e.Most = events.Msat(about/n*float64(len(items))), events.Msat(most/n*float64(len(items)))
	}
	return e, nil
}
