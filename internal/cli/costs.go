package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/store"
)

// cost is what was bought under one name: of a day, a model, a node or a kind.
type cost struct {
	Name    string
	Jobs    int
	Failed  int
	Paid    events.Msat
	Unsure  events.Msat // of it, what the wallet has not confirmed
	Owed    events.Msat // what nodes said that they owe back
	In, Out int64
	Took    time.Duration
}

// costsBy are the ways to sum up, and what names a job there.
var costsBy = map[string]func(j *store.Job) string{
	"day":   func(j *store.Job) string { return j.At.Time().UTC().Format(time.DateOnly) },
	"month": func(j *store.Job) string { return j.At.Time().UTC().Format("2006-01") },
	"model": func(j *store.Job) string { return or(j.Model, "-") },
	"node":  func(j *store.Job) string { return or(cutKey(string(j.Peer)), "-") },
	"kind":  func(j *store.Job) string { return fmt.Sprintf("%d %s", j.Kind, events.Kinds[j.Kind].Name) },
	"all":   func(*store.Job) string { return "all" },
}

func (a *app) costsCommand() *cobra.Command {
	var by string
	var since time.Duration
	cmd := &cobra.Command{
		Use:   "costs",
		Short: "What was spent on jobs, by day, model, node or kind",
		Long: "Sums up the jobs that were bought here, out of the history: what was paid (without the fees of the payments), what was used,\n" +
			"how many failed. Below it, what is left of the day's budget (run.budget).",
		Example:     "infernet costs\ninfernet costs --by model --since 720h",
		Annotations: says("name, jobs, failed, paid_msat, unsure_msat (not confirmed by the wallet), owed_msat (back), in, out, work_ms"),
		Args:        cobra.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return a.costs(cmd.Context(), by, since) },
	}
	cmd.Flags().StringVar(&by, "by", "day", "what is summed up: day, month, model, node, kind or all")
	cmd.Flags().DurationVar(&since, "since", 0, "only jobs of the last so long; all if 0")
	return cmd
}

func (a *app) costs(ctx context.Context, by string, since time.Duration) error {
	name, ok := costsBy[by]
	if !ok {
		return usage("--by %q: there are day, month, model, node, kind, all", by)
	}
	if since < 0 {
		return usage("--since %s is below 0", since)
	}
	sums := map[string]*cost{}
	err := a.look(ctx, func(r store.Reader) error {
		clear(sums)
		q := store.JobQuery{Role: ledger.Customer, Limit: 1000}
		if since > 0 {
			q.Since = events.At(time.Now().Add(-since))
		}
		for {
			page, err := r.Jobs(ctx, q)
			if err != nil {
				return err
			}
			for i := range page {
				j := &page[i]
				c := sums[name(j)]
				if c == nil {
					c = &cost{Name: name(j)}
					sums[c.Name] = c
				}
				c.add(j)
			}
			if len(page) == 0 {
				return nil
			}
			mark := page[len(page)-1].Mark()
			q.Before = &mark
		}
	})
	if err != nil {
		return err
	}
	var rows []*cost
	total := cost{Name: "total"}
	for _, c := range sums {
		rows = append(rows, c)
		total.Jobs, total.Failed, total.Paid, total.Owed = total.Jobs+c.Jobs, total.Failed+c.Failed, total.Paid+c.Paid, total.Owed+c.Owed
		total.In, total.Out = total.In+c.In, total.Out+c.Out
	}
	slices.SortFunc(rows, func(x, y *cost) int {
		if by == "day" || by == "month" {
			return cmp.Compare(y.Name, x.Name)
		}
		return cmp.Or(cmp.Compare(y.Paid, x.Paid), cmp.Compare(x.Name, y.Name))
	})
	if a.json {
		for _, c := range rows {
			a.object(a.Out, map[string]any{
				"name": c.Name, "jobs": c.Jobs, "failed": c.Failed, "paid_msat": c.Paid, "unsure_msat": c.Unsure, "owed_msat": c.Owed, "in": c.In, "out": c.Out,
				"work_ms": c.Took.Milliseconds(),
			})
		}
		return nil
	}
	if len(rows) == 0 {
		fmt.Fprintln(a.Err, "no job was bought here yet")
	}
	if len(rows) > 1 {
		rows = append(rows, &total)
	}
	head := map[string]string{"day": "DAY (UTC)", "month": "MONTH (UTC)", "model": "MODEL", "node": "NODE", "kind": "KIND", "all": "ALL"}[by]
	if err := a.columns(head+"\tJOBS\tFAILED\tPAID\tOWED BACK\tIN\tOUT", func(w io.Writer) {
		for _, c := range rows {
			paid := c.Paid.Human()
			if c.Unsure > 0 {
				paid += "?"
			}
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%d\t%d\n", cell(c.Name), c.Jobs, c.Failed, paid, c.Owed.Human(), c.In, c.Out)
		}
	}); err != nil {
		return err
	}
	return a.leftToday()
}

func (c *cost) add(j *store.Job) {
	c.Jobs++
	c.Paid += j.Paid
	c.Owed += j.Owed
	c.In += j.In
	c.Out += j.Out
	c.Took += time.Duration(j.Ms) * time.Millisecond
	if !j.Sure {
		c.Unsure += j.Paid
	}
	if word := stateWord(j.End); word == "failed" {
		c.Failed++
	}
}

// leftToday says what of the day's budget is spent, if there is one.
func (a *app) leftToday() error {
	day := events.Msat(a.settings.number("run.budget")) * events.Sat
	if day == 0 {
		return nil
	}
	l, err := a.openLedger()
	if err != nil {
		return err
	}
	defer l.Close()
	spent, err := l.SpentSince(time.Now().Add(-24 * time.Hour))
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Err, "of the day's %s, %s are spent or under way (%.0f %%)\n", day.Human(), spent.Human(), 100*float64(spent)/float64(day))
	return nil
}
