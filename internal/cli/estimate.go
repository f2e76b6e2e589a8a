package cli

import (
	"context"
	"fmt"
	"io"

	"infernet/consumer"
	"infernet/events"
)

// estimate says what a job would cost, without submitting it.
func (a *app) estimate(ctx context.Context, order consumer.Order) error {
	c, done, err := a.buyer(ctx)
	if err != nil {
		return err
	}
	defer done()
	q, err := c.Quote(ctx, order)
	if err != nil {
		return err
	}
	if a.json {
		a.object(a.Out, map[string]any{
			"node": q.Node, "model": q.Model, "low_msat": q.Low, "about_msat": q.About, "most_msat": q.Most, "fee_msat": q.Fee,
			"parts": append([]consumer.Part{}, q.Parts...), "candidates": verdicts(q.All),
		})
		return nil
	}
	fmt.Fprintf(a.Out, "%s to %s, at most %s\n", q.Low.Human(), q.About.Human(), q.Most.Human())
	fmt.Fprintf(a.Out, "at node %s, model %s\n\n", cutKey(string(q.Node)), cell(or(q.Model, "any")))
	if err := a.columns("PART\tUNITS\tPER 1000\tCOST", func(w io.Writer) {
		for _, p := range q.Parts {
			units, price := "", ""
			if p.Units > 0 {
				units, price = fmt.Sprintf("up to %d", p.Units), p.Price.Human()
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Name, units, price, p.Cost.Human())
		}
		if q.Fee > 0 {
			fmt.Fprintf(w, "fee\t\t\tup to %s\n", q.Fee.Human())
		}
	}); err != nil {
		return err
	}
	var low, high events.Msat
	others := 0
	for _, v := range q.All[1:] {
		if v.Out {
			continue
		}
		if others++; others == 1 || v.About < low {
			low = v.About
		}
		high = max(high, v.About)
	}
	if others > 0 {
		fmt.Fprintf(a.Out, "\n%s more: %s to %s\n", count(others, "node"), low.Human(), high.Human())
	}
	return nil
}
