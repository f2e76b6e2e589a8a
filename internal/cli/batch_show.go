package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"infernet/consumer/batch"
)

// progress shows how far a batch is: one line that changes at a terminal, else a line now and then.
type progress struct {
	*app
	live  bool
	width int
	last  time.Time
}

// tellEvery is how often a line says how far a batch is, where it is not at a terminal.
const tellEvery = 5 * time.Second

func (a *app) newProgress() *progress {
	f, ok := a.Err.(*os.File)
	return &progress{app: a, live: ok && term.IsTerminal(int(f.Fd()))}
}

func (p *progress) show(st batch.Status) {
	switch {
	case p.json:
	case p.live:
		line := batchLine(st)
		fmt.Fprintf(p.Err, "\r%-*s", p.width, line)
		p.width = len(line)
	case time.Since(p.last) >= tellEvery:
		p.last = time.Now()
		p.tell("batch  ", "%s", batchLine(st))
	}
}

// clear takes the line away that changes, for another.
func (p *progress) clear() {
	if p.live && p.width > 0 {
		fmt.Fprintf(p.Err, "\r%s\r", strings.Repeat(" ", p.width))
		p.width = 0
	}
}

// findBatch opens the batches and finds the one that was meant.
func (a *app) findBatch(arg string) (*batch.Store, string, error) {
	store, err := a.openBatches()
	if err != nil {
		return nil, "", err
	}
	id, err := store.Whole(strings.ToLower(arg))
	if err != nil {
		store.Close()
		if errors.Is(err, batch.ErrUnknown) {
			err = withHint(usage("%w", err), "infernet batch list")
		}
		return nil, "", err
	}
	return store, id, nil
}

// batchObject is a batch's state as JSON.
func batchObject(st batch.Status) map[string]any {
	return map[string]any{
		"batch": st.ID, "name": st.Name, "state": st.State, "at": st.At.Unix(), "total": st.Total, "delivered": st.Delivered, "failed": st.Failed,
		"running": st.Running, "percent": st.Percent(), "paid_msat": st.Paid, "max_total_msat": st.MaxTotal, "eta_s": int64(st.ETA / time.Second),
	}
}

const batchFields = "batch, name, state (open, done, cancelled), at (unix seconds), total, delivered, failed, running, percent, paid_msat, max_total_msat (0: no bound), eta_s (0 if not known)"

func (a *app) batchStatusCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "status ID",
		Short:       "How far a batch is, what it has cost, and how long it will take",
		Example:     "infernet batch status last",
		Annotations: says(batchFields),
		Args:        cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			store, id, err := a.findBatch(args[0])
			if err != nil {
				return err
			}
			defer store.Close()
			l, err := a.openLedger()
			if err != nil {
				return err
			}
			defer l.Close()
			st, err := store.Status(id, l)
			if err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, batchObject(st))
				return nil
			}
			fmt.Fprintf(a.Out, "%s  %s\n%s\n", st.ID, cell(st.Name), batchLine(st))
			if st.Running > 0 {
				fmt.Fprintf(a.Out, "%d under way\n", st.Running)
			}
			return nil
		},
	}
}

func (a *app) batchListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:         "list",
		Short:       "The batches, newest first",
		Example:     "infernet batch list",
		Annotations: says(batchFields),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if limit < 1 {
				return usage("--limit %d: at least 1", limit)
			}
			store, err := a.openBatches()
			if err != nil {
				return err
			}
			defer store.Close()
			ids, err := store.All(limit)
			if err != nil {
				return err
			}
			var all []batch.Status
			for _, id := range ids {
				st, err := store.Status(id, nil)
				if err != nil {
					return err
				}
				all = append(all, st)
			}
			if a.json {
				for _, st := range all {
					a.object(a.Out, batchObject(st))
				}
				return nil
			}
			if len(all) == 0 {
				fmt.Fprintln(a.Err, "there is no batch yet")
			}
			return a.columns("BATCH\tFILE\tSUBMITTED\tSTATE\tDONE\tFAILED\tOF\tPAID", func(w io.Writer) {
				for _, st := range all {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.0f %%\t%d\t%d\t%s\n", st.ID, cell(short(st.Name, 24)), st.At.Local().Format(time.DateTime), st.State, st.Percent(), st.Failed, st.Total, st.Paid.Human())
				}
			})
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many")
	return cmd
}

func (a *app) batchResultsCommand() *cobra.Command {
	var failed bool
	cmd := &cobra.Command{
		Use:         "results ID",
		Short:       "The results that are there, in the order of the lines; also while it runs",
		Example:     "infernet batch results last",
		Annotations: says("as batch submit"),
		Args:        cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			store, id, err := a.findBatch(args[0])
			if err != nil {
				return err
			}
			defer store.Close()
			return store.Results(id, func(line string) error {
				if failed && !lineFailed(line) {
					return nil
				}
				_, err := fmt.Fprintln(a.Out, line)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&failed, "failed", false, "only of lines that failed")
	return cmd
}

// lineFailed says whether a result is no answer.
func lineFailed(line string) bool {
	var r struct {
		Content  *string `json:"content"`
		Response *struct {
			Status int `json:"status_code"`
		} `json:"response"`
	}
	return json.Unmarshal([]byte(line), &r) == nil && r.Content == nil && (r.Response == nil || r.Response.Status != 200)
}

func (a *app) batchCancelCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "cancel ID",
		Short:       "Buy nothing more for a batch",
		Long:        "What is under way is brought to its end, for it may be paid; a process that runs the batch ends then. Results stay.",
		Example:     "infernet batch cancel last",
		Annotations: says(batchFields),
		Args:        cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			store, id, err := a.findBatch(args[0])
			if err != nil {
				return err
			}
			defer store.Close()
			if err := store.Cancel(id); err != nil {
				return withHint(err, "infernet batch status %s", id)
			}
			st, err := store.Status(id, nil)
			if err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, batchObject(st))
				return nil
			}
			fmt.Fprintf(a.Out, "%s\n", batchLine(st))
			return nil
		},
	}
}
