package cli

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
)

func (a *app) jobCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "job", Short: "The jobs that were bought here"}
	cmd.AddCommand(a.jobSubmitCommand(), a.jobListCommand(), a.jobShowCommand(), a.jobWatchCommand(), a.jobCancelCommand())
	return cmd
}

func (a *app) jobSubmitCommand() *cobra.Command {
	var o orderFlags
	var detach bool
	cmd := &cobra.Command{
		Use:     "submit PROMPT",
		Short:   "Submit a job and print its id; then wait for the result",
		Long:    "Prints the job's id on stdout and waits for the result as run does. With --detach it returns at once:\n'infernet job watch ID' goes on from there: it chooses an offer, pays and shows the result.",
		Example: "infernet job submit \"Spell lantern\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			prompt, err := a.prompt(args[0])
			if err != nil {
				return err
			}
			order, err := a.order(cmd, &o, prompt)
			if err != nil {
				return err
			}
			c, done, err := a.buyer(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if detach {
				id, err := c.Submit(cmd.Context(), order)
				if err != nil {
					return err
				}
				a.printID(id)
				return nil
			}
			show, printed := &shower{app: a, verbose: o.verbose}, false
			got, err := c.Do(cmd.Context(), order, func(s consumer.Step) {
				if !printed {
					printed = true
					a.printID(s.Job)
				}
				show.step(s)
			})
			return show.end(got, err)
		},
	}
	o.add(cmd)
	cmd.Flags().BoolVar(&detach, "detach", false, "only submit")
	return cmd
}

func (a *app) printID(id events.ID) {
	if a.json {
		a.object(a.Out, map[string]any{"job": id})
		return
	}
	fmt.Fprintln(a.Out, id)
}

// openLedger opens the customer's ledger.
func (a *app) openLedger() (*ledger.Ledger, error) {
	if err := a.settings.makeDataDir(); err != nil {
		return nil, err
	}
	return ledger.Open(a.settings.path("customer.db"))
}

func (a *app) jobListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "The jobs bought here, newest first",
		Example: "infernet job list",
		Args:    cobra.NoArgs,
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
					a.object(a.Out, map[string]any{"job": r.Job, "at": r.At.Unix(), "end": r.End})
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

// wholeID finds the job that an id, or its beginning, names.
func (a *app) wholeID(l *ledger.Ledger, arg string) (events.ID, error) {
	rows, err := l.Jobs(ledger.Customer, 10_000)
	if err != nil {
		return "", err
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

func (a *app) jobShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Where a job stands, and every event of it as one line",
		Long:    "Reads the job's events from the ledger and the relays and says where it stands. The beginning of the id is enough.",
		Example: "infernet job show 1a2b3c4d",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.jobShow(cmd.Context(), args[0])
		},
	}
}

func (a *app) jobShow(ctx context.Context, arg string) error {
	c, done, err := a.buyer(ctx)
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

func (a *app) jobWatchCommand() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:     "watch ID",
		Short:   "Go on with an unfinished job until its result is here",
		Example: "infernet job watch 1a2b3c4d",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, done, err := a.buyer(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			id, err := a.wholeID(c.Ledger, args[0])
			if err != nil {
				return err
			}
			show := &shower{app: a, verbose: verbose}
			got, err := c.Resume(cmd.Context(), id, show.step)
			return show.end(got, err)
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print every event of the job")
	return cmd
}

func (a *app) jobCancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "cancel ID",
		Short:   "Say that a job is not wanted any more",
		Long:    "Publishes a cancellation, signed by the job's key. What was paid in advance for work that has begun is not paid back.",
		Example: "infernet job cancel 1a2b3c4d",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, done, err := a.buyer(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			id, err := a.wholeID(c.Ledger, args[0])
			if err != nil {
				return err
			}
			if err := c.Cancel(cmd.Context(), id); err != nil {
				return err
			}
			a.printID(id)
			return nil
		},
	}
}
