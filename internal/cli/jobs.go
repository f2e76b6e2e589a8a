package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/events"
	"infernet/internal/ledger"
)

func (a *app) jobListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:         "list",
		Short:       "The jobs bought here, newest first",
		Example:     "infernet job list",
		Annotations: says("job, at (unix seconds), end (empty while open), paid_msat, sure (the wallet said so)"),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l, err := a.openLedger()
			if err != nil {
				return err
			}
			defer l.Close()
			rows, err := l.Jobs(ledger.Customer, limit)
			if err != nil {
				return err
			}
			if a.json {
				for _, r := range rows {
					out := map[string]any{"job": r.Job, "at": r.At.Unix(), "end": r.End}
					if c, err := l.Commitment(r.Job); err == nil && c != nil {
						out["paid_msat"], out["sure"] = c.Amount, c.Settled
					}
					a.object(a.Out, out)
				}
				return nil
			}
			return a.columns("JOB\tSUBMITTED\tPAID\tEND", func(w io.Writer) {
				for _, r := range rows {
					paid := "-"
					if c, err := l.Commitment(r.Job); err == nil && c != nil {
						if paid = c.Amount.Human(); !c.Settled {
							paid += "?"
						}
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.Job, r.At.Local().Format(time.DateTime), paid, or(r.End, "open"))
				}
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many")
	return cmd
}

// wholeID finds the job that an id, or its beginning, or "last" names.
func (a *app) wholeID(l *ledger.Ledger, arg string) (events.ID, error) {
	rows, err := l.Jobs(ledger.Customer, 10_000)
	if err != nil {
		return "", err
	}
	if arg == "last" && len(rows) > 0 {
		return rows[0].Job, nil
	}
	var found events.ID
	for _, r := range rows {
		if !strings.HasPrefix(string(r.Job), strings.ToLower(arg)) {
			continue
		}
		if found != "" {
			return "", usage("more than one job begins with %s", arg)
		}
		found = r.Job
	}
	if found == "" {
		return "", withHint(usage("there is no job %s in the ledger", arg), "infernet job list")
	}
	return found, nil
}

// ended is how a job ended, "" while it is open.
func ended(l *ledger.Ledger, id events.ID) string {
	rows, err := l.Jobs(ledger.Customer, 10_000)
	if err != nil {
		return ""
	}
	for _, r := range rows {
		if r.Job == id {
			return r.End
		}
	}
	return ""
}

func (a *app) jobShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "show ID",
		Short:       "Where a job stands, and every event of it as one line",
		Long:        "Reads the job's events from the ledger and the relays and says where it stands. The beginning of the id is enough, or\n'last' for the newest job.",
		Example:     "infernet job show last",
		Annotations: says("job, state, node, content, conflict, cancelled, events"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.jobShow(cmd.Context(), args[0])
		},
	}
}

func (a *app) jobShow(ctx context.Context, arg string) error {
	c, done, err := a.looker(ctx)
	if err != nil {
		return err
	}
	defer done()
	id, err := a.wholeID(c.Ledger, arg)
	if err != nil {
		return err
	}
	job, said, err := c.Look(ctx, id)
	if err != nil {
		return err
	}
	if a.json {
		out := map[string]any{"job": id, "state": job.State, "conflict": job.Conflict, "cancelled": job.Cancelled, "events": len(said)}
		if job.Best != nil {
			out["node"] = job.Best.Node
		}
		if r := job.Result(); r != nil && !r.Closed && r.Sealed == nil {
			out["content"] = r.Content
		}
		a.object(a.Out, out)
		return nil
	}
	fmt.Fprintf(a.Out, "%s\n", job.State)
	if job.Best != nil {
		fmt.Fprintf(a.Out, "node %s\n", job.Best.Node)
	}
	fmt.Fprintln(a.Out, oneLine(job.Request))
	for _, m := range said {
		fmt.Fprintln(a.Out, oneLine(m))
	}
	return nil
}
