package consumer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"infernet/consumer/choose"
	"infernet/events"
)

// Wait is why a job waits, and what would start it. The zero value: it does not wait.
type Wait struct {
	Why   string // "no living node has a card A100"
	Start string // "a node with such a card; the nearest is …"
	Flag  string // of the command line that would do it: --max-cost, --gpu, --model…; "" if none would
	Value string // for the flag
}

// Waits says why a job of the ledger waits, by what the market is now.
func (c *Consumer) Waits(ctx context.Context, j *events.Job) (Wait, error) {
	until := func(at events.Unix) string {
		return fmt.Sprintf("until %s, %s from now", at.Time().Local().Format(time.TimeOnly), at.Time().Sub(c.Now()).Round(time.Second))
	}
	switch j.State {
	case events.StateAwaitPayment:
		for _, m := range j.Best.Invoices {
			return Wait{Why: fmt.Sprintf("node %s waits for %s, %s", short(j.Best.Node), m.Amount.Human(), until(m.Until)), Start: "it is paid when the job is gone on with"}, nil
		}
	case events.StateAwarded:
		return Wait{Why: "node " + short(j.Best.Node) + " was chosen and has not answered yet", Start: "its answer; if it does not come, the next offer is taken when the job is gone on with"}, nil
	case events.StateRunning:
		var lease events.Unix
		for _, m := range j.Best.Runs {
			lease = max(lease, m.Lease)
		}
		return Wait{Why: fmt.Sprintf("node %s works on it, at least %s", short(j.Best.Node), until(lease)), Start: "nothing: the result comes"}, nil
	case events.StateOffered:
		o := j.Offers[0]
		return Wait{Why: fmt.Sprintf("%d offers are there, the cheapest %s of node %s, and none is taken", len(j.Offers), o.Cap.Human(), short(o.Author)),
			Start: "one is taken, and paid, when the job is gone on with, " + until(o.Until)}, nil
	case events.StateOpen:
		o, err := c.Ordered(j.Request.ID)
		if err != nil {
			return Wait{}, err
		}
		return c.missing(ctx, o)
	}
	return Wait{}, nil
}

// missing says what an order that nobody has offered for lacks.
func (c *Consumer) missing(ctx context.Context, o Order) (Wait, error) {
	o.Avoid = nil
	model := (&events.Request{Params: o.Params}).Model()
	rich := o
	rich.MaxCost = events.MaxMsat
	all, err := c.rank(ctx, rich, true)
	if err != nil {
		return Wait{}, err
	}
	if len(all) == 0 {
		none := c.Nobody(ctx, o)
		if len(none.Near) > 0 {
			return Wait{fmt.Sprintf("no living node runs the model %q", model), "a node that does; there is " + strings.Join(none.Near, ", "), "--model", none.Near[0]}, nil
		}
		return Wait{Why: fmt.Sprintf("no living node does jobs of kind %d (%s)", o.Kind, events.Kinds[o.Kind].Name), Start: "a node that does"}, nil
	}
	can := slices.DeleteFunc(slices.Clone(all), func(v choose.Verdict) bool { return v.Out })
	if len(can) == 0 {
		var said []string
		for _, v := range all {
			said = append(said, fmt.Sprintf("%s: %s", short(v.Node), v.Why))
		}
		w := Wait{Why: fmt.Sprintf("no living node that runs it may take it (of %d): %s", len(all), strings.Join(said, "; ")), Start: "a node that fits, or other wishes"}
		if len(o.Require) > 0 {
			w.Start = "a node with such a card, or the job without that wish; cards there are: " + cards(all)
		}
		return w, nil
	}
	cheapest := slices.MinFunc(can, func(a, b choose.Verdict) int { return int(a.About - b.About) })
	if cheapest.About > o.MaxCost {
		return Wait{fmt.Sprintf("the cheapest node asks about %s, and at most %s may be paid: %s are missing", cheapest.About.Human(), o.MaxCost.Human(), (cheapest.About - o.MaxCost).Human()),
			"a higher price, or a cheaper node", "--max-cost", fmt.Sprint(int64(cheapest.Most.CeilSat() / events.Sat))}, nil
	}
	ahead := int64(0)
	for _, v := range can {
		n, err := c.node(ctx, v.Node)
		if err != nil || n.Beat == nil || n.Beat.Load < n.Beat.Capacity {
			return Wait{Why: fmt.Sprintf("%d living nodes could do it, and nobody has offered yet", len(can)), Start: "an offer; it is taken when the job is gone on with"}, nil
		}
		if ahead == 0 || n.Beat.Queue+1 < ahead {
			ahead = n.Beat.Queue + 1
		}
	}
	return Wait{Why: fmt.Sprintf("all %d nodes that could do it are busy; the shortest queue has %d jobs", len(can), ahead-1), Start: "a free slot, or a higher priority", Flag: "--priority", Value: "high"}, nil
}

// cards are the graphics cards of nodes, once each.
func cards(all []choose.Verdict) string {
	var names []string
	for _, v := range all {
		for _, g := range v.GPUs {
			if name := fmt.Sprintf("%s with %d MB", g.Name, g.VRAMMB); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
