package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/store"
)

func (a *app) jobListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:         "list",
		Short:       "The jobs bought here, newest first",
		Example:     "infernet job list",
		Annotations: says("job, at (unix seconds), end (empty while open), cancelled, model, node, paid_msat, sure (the wallet said so)"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.jobList(cmd.Context(), limit)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many")
	return cmd
}

func (a *app) jobList(ctx context.Context, limit int) error {
	if limit < 1 {
		return usage("--limit %d: at least 1", limit)
	}
	var rows []store.Job
	err := a.look(ctx, func(r store.Reader) error {
		rows = nil
		for q := (store.JobQuery{Role: ledger.Customer}); len(rows) < limit; {
			q.Limit = limit - len(rows)
			page, err := r.Jobs(ctx, q)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			mark := page[len(page)-1].Mark()
			rows, q.Before = append(rows, page...), &mark
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a.json {
		gone, err := a.cancelledOf(rows)
		if err != nil {
			return err
		}
		for _, r := range rows {
			out := map[string]any{"job": r.ID, "at": r.At, "end": r.End, "model": r.Model, "node": r.Peer, "cancelled": gone[r.ID] || r.End == consumer.Cancelled}
			if r.Paid > 0 {
				out["paid_msat"], out["sure"] = r.Paid, r.Sure
			}
			a.object(a.Out, out)
		}
		return nil
	}
	if len(rows) == 0 {
		fmt.Fprintln(a.Err, "no job was bought here yet")
	}
	gone, err := a.cancelledOf(rows)
	if err != nil {
		return err
	}
	return a.columns("JOB\tSUBMITTED\tPAID\tSTATE", func(w io.Writer) {
		for _, r := range rows {
			paid := "-"
			if r.Paid > 0 {
				if paid = r.Paid.Human(); !r.Sure {
					paid += "?"
				}
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", cutKey(string(r.ID)), r.At.Time().Local().Format(time.DateTime), paid, stateOf(r, gone[r.ID]))
		}
	})
}

// stateOf is where a job of the list stands. gone says that an open one was cancelled: what is out for it is not back yet.
func stateOf(r store.Job, gone bool) string {
	switch {
	case gone && r.Paid > 0:
		return "cancelled, money not back yet"
	case gone:
		return "cancelled"
	}
	return stateWord(r.End)
}

// cancelledOf finds those among the open jobs that the customer has cancelled.
func (a *app) cancelledOf(rows []store.Job) (gone map[events.ID]bool, err error) {
	open := slices.DeleteFunc(slices.Clone(rows), func(r store.Job) bool { return r.End != "" })
	if len(open) == 0 { // the history alone answers
		return nil, nil
	}
	l, err := a.openLedger()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	gone = map[events.ID]bool{}
	for _, r := range open {
		kept, err := l.Events(r.ID)
		if err != nil {
			return nil, err
		}
		for _, ev := range kept {
			if ev.Kind == events.KindCancel && r.Role == ledger.Customer {
				gone[r.ID] = true
			}
		}
	}
	return gone, nil
}

// findJob finds the job that was meant, and how it ended, before any relay is asked; "" while it is open.
func (a *app) findJob(arg string) (id events.ID, end string, err error) {
	l, err := a.openLedger()
	if err != nil {
		return "", "", err
	}
	defer l.Close()
	if id, err = a.wholeID(l, arg); err != nil {
		return "", "", err
	}
	return id, ended(l, id), nil
}

// wholeID finds the job that an id, or its beginning, or "last" names.
func (a *app) wholeID(l *ledger.Ledger, arg string) (events.ID, error) {
	rows, err := l.Jobs(ledger.Customer, 10_000)
	if err != nil {
		return "", err
	}
	if len(rows) == 0 {
		return "", withHint(usage("no job was bought here yet"), "infernet run %s", quoted(tryPrompt))
	}
	if arg == "last" {
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

// stateWord is how a job ended, in one word.
func stateWord(end string) string {
	switch end {
	case "":
		return "open"
	case consumer.Delivered, consumer.Cancelled:
		return end
	}
	return "failed"
}

func (a *app) jobShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "show ID",
		Short:       "Where a job stands, and every event of it as one line",
		Long:        "Reads the job's events from the ledger and the relays and says where it stands. The beginning of the id is enough, or\n'last' for the newest job.",
		Example:     "infernet job show last",
		Annotations: says("job, state, end, node, content, conflict, cancelled, events, waits (why, empty if it does not), starts (what would start it)"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.jobShow(cmd.Context(), args[0])
		},
	}
}

// isHeld says whether a node's invoice only locks the money.
func isHeld(said []events.Message, node events.PubKey) bool {
	return slices.ContainsFunc(said, func(m events.Message) bool {
		invoice, ok := m.(*events.Invoice)
		return ok && invoice.Author == node && invoice.Pay == events.PayHold
	})
}

func (a *app) jobShow(ctx context.Context, arg string) error {
	id, end, err := a.findJob(arg)
	if err != nil {
		return err
	}
	c, done, err := a.looker(ctx)
	away := errors.Is(err, errNoRelay)
	if away { // the ledger has what matters
		fmt.Fprintf(a.Err, "%s; what follows is out of the ledger\n", hide(err.Error()))
		c, done, err = a.reader()
	}
	if err != nil {
		return err
	}
	defer done()
	job, said, err := c.Look(ctx, id)
	if err != nil {
		return err
	}
	waits := consumer.Wait{}
	if end == "" && !away {
		if waits, err = c.Waits(ctx, job); err != nil {
			a.log.Info("cannot say why the job waits", "err", err)
		}
	}
	if a.json {
		out := map[string]any{
			"waits": waits.Why, "starts": waits.Start,
			"job": id, "state": job.State, "end": end, "conflict": job.Conflict, "cancelled": job.Cancelled, "events": len(said) + 1, // with the request
		}
		if job.Best != nil {
			out["node"] = job.Best.Node
		}
		if r := job.Result(); r != nil && !r.Closed && r.Sealed == nil {
			out["content"] = r.Content
		}
		a.object(a.Out, out)
		return nil
	}
	state := stateWord(end)
	paid, err := c.Ledger.Commitment(id)
	if err != nil {
		return err
	}
	out := end == "" && paid != nil && !paid.Settled // money that may come back
	switch {
	case out && job.Cancelled:
		state = "cancelled, money not back yet"
	case end == "":
		state = string(job.State)
	case state != end:
		state += ": " + end
	}
	fmt.Fprintf(a.Out, "%s\njob  %s\n", state, id)
	if job.Best != nil {
		fmt.Fprintf(a.Out, "node %s\n", job.Best.Node)
	}
	switch {
	case paid == nil:
	case out && isHeld(said, paid.Payee):
		fmt.Fprintf(a.Out, "locked %s, payment hash %s\n", paid.Amount.Human(), paid.Hash)
	case out:
		fmt.Fprintf(a.Out, "perhaps paid %s, payment hash %s\n", paid.Amount.Human(), paid.Hash)
	default:
		fmt.Fprintf(a.Out, "paid %s, payment hash %s\n", paid.Amount.Human(), paid.Hash)
	}
	if out {
		fmt.Fprintf(a.Err, "to learn what became of the money: %s\n", a.callable("infernet job watch "+cutKey(string(id))))
	}
	if waits.Why != "" {
		fmt.Fprintf(a.Out, "%s\n%s\n", a.fold("waits: "+waits.Why, "; "), a.fold("start: "+waits.Start, "; "))
		if flag := waits.Flag; flag != "" {
			fmt.Fprintf(a.Out, "try   --%s\n", strings.TrimSpace(strings.TrimPrefix(flag, "--")+" "+waits.Value))
		}
	}
	fmt.Fprintln(a.Out, a.fold(oneLine(job.Request), "  "))
	for _, m := range said {
		fmt.Fprintln(a.Out, a.fold(oneLine(m), "  "))
	}
	if r := job.Result(); r != nil && !r.Closed && r.Sealed == nil {
		fmt.Fprintf(a.Out, "\n%s\n", a.shown(r.Content))
	} else if r != nil {
		fmt.Fprintf(a.Err, "the answer is sealed; to read it: infernet job watch %s\n", cutKey(string(id)))
	}
	return nil
}
