package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/consumer/batch"
	"infernet/consumer/gateway"
	"infernet/events"
)

func (a *app) batchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "batch",
		Short: "Buy many jobs out of a file, and go on after whatever happens",
		Long: "A file of OpenAI's batch format (one request a line, with custom_id, url and body), or of prompts, one a line. Each line is\n" +
			"bought once, from the node that is best at the moment, several at a time; one that is slow is bought from another node as well,\n" +
			"and one of the two is paid. What is bought is written down first: after a crash 'infernet batch resume' goes on.",
	}
	cmd.AddCommand(a.batchSubmitCommand(), a.batchResumeCommand(), a.batchStatusCommand(), a.batchResultsCommand(), a.batchCancelCommand(), a.batchListCommand())
	return cmd
}

// batchAPI reads a line's request as the gateway does.
func batchAPI(path string, body json.RawMessage, base consumer.Order) (batch.Request, error) {
	r, err := gateway.ReadRequest(path, body, base)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (a *app) openBatches() (*batch.Store, error) {
	if err := a.settings.makeDataDir(); err != nil {
		return nil, err
	}
	return batch.OpenStore(a.settings.path("batches.db"))
}

// batchFlags are what a batch can be told.
type batchFlags struct {
	orderFlags
	parallel, tries int
	maxTotal        int64
	out             string
	detach, again   bool
}

func (a *app) batchSubmitCommand() *cobra.Command {
	var b batchFlags
	cmd := &cobra.Command{
		Use:   "submit FILE",
		Short: "Buy the lines of a file; results on stdout as they come, progress on stderr",
		Long: "FILE - reads stdin. All lines are read first: one that cannot be bought is told by its number before anything is paid.\n" +
			"The flags are those of run, and hold for each line, where its request says nothing itself.\n\n" +
			"Results come as lines of JSON, in the order in which they are made: of OpenAI's format for requests, and for prompts line,\n" +
			"content or error, job, node, paid_msat, tries. With --detach only the id is printed; 'infernet batch resume ID' buys.",
		Example:     "infernet batch submit prompts.txt\ninfernet batch submit requests.jsonl -o results.jsonl",
		Annotations: says("line, content, error, job, node, paid_msat, tries; or as OpenAI's batches: id, custom_id, response, error, infernet"),
		Args:        cobra.ExactArgs(1),
		RunE:        func(cmd *cobra.Command, args []string) error { return a.batchSubmit(cmd, &b, args[0]) },
	}
	b.add(cmd)
	f := cmd.Flags()
	f.Lookup("way").DefValue = consumer.Direct
	f.Lookup("out").Usage = "file that results are appended to, instead of stdout"
	f.IntVar(&b.parallel, "parallel", 8, "jobs at once")
	f.IntVar(&b.tries, "tries", 5, "how often a line is tried before it has failed for good")
	f.Int64Var(&b.maxTotal, "max-total", 0, "most satoshi that the whole batch may cost; no bound if 0")
	f.BoolVar(&b.detach, "detach", false, "only write it down")
	f.BoolVar(&b.again, "again", false, "buy it although the same file is under way")
	return cmd
}

func (a *app) batchSubmit(cmd *cobra.Command, b *batchFlags, path string) error {
	base, err := a.batchBase(cmd, b)
	if err != nil {
		return err
	}
	var body []byte
	if path == "-" {
		body, err = io.ReadAll(a.In)
	} else {
		body, err = os.ReadFile(path)
	}
	if err != nil {
		return usage("%w", err)
	}
	items, plain, err := batch.Read(bytes.NewReader(body), base, batchAPI)
	if err != nil {
		return a.brokenLine(path, err)
	}
	store, err := a.openBatches()
	if err != nil {
		return err
	}
	defer store.Close()
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	if open, err := store.Find(hash); err != nil {
		return err
	} else if open != "" && !b.again && !b.estimate {
		return withHint(usage("this file is under way already, as batch %s", open), "infernet batch resume %s", open)
	}
	var c *consumer.Consumer
	if !b.detach {
		var done func()
		if c, done, err = a.buyer(cmd.Context()); err != nil {
			return err
		}
		defer done()
		e, err := batch.EstimateLines(cmd.Context(), c, items, plain, base, batchAPI)
		if err != nil {
			return a.brokenLine(path, err)
		}
		if b.estimate {
			return a.showBatchEstimate(e)
		}
		if !a.json {
			a.tell("batch  ", "%d lines, about %s, at most %s; %s", e.Lines, e.About.Human(), e.Most.Human(), count(e.Nodes, "node"))
		}
		if most := events.Msat(b.maxTotal) * events.Sat; most > 0 && e.About > most {
			return withHint(usage("the batch would cost about %s, and --max-total allows %s", e.About.Human(), most.Human()),
				"%s", again(a.args, "--max-total", fmt.Sprint(int64(e.Most.CeilSat()/events.Sat))))
		}
	}
	name := filepath.Base(path)
	id, err := store.Create(batch.Spec{
		Name: name, Hash: hash, Plain: plain, Base: base, Parallel: b.parallel, Tries: b.tries, MaxTotal: events.Msat(b.maxTotal) * events.Sat,
	}, items)
	if err != nil {
		return err
	}
	if b.detach {
		if a.json {
			a.object(a.Out, map[string]any{"batch": id})
			return nil
		}
		fmt.Fprintln(a.Out, id)
		return nil
	}
	return a.runBatch(cmd.Context(), store, c, id, b.out)
}

// batchBase is what each line's order begins with.
func (a *app) batchBase(cmd *cobra.Command, b *batchFlags) (base consumer.Order, err error) {
	if a.settings.source["run.way"] == "default" {
		a.settings.put("run.way", consumer.Direct, "batch")
	}
	b.noStream, b.out = true, b.file
	b.file = ""
	for flag, n := range map[string]int64{"parallel": int64(b.parallel), "tries": int64(b.tries)} {
		if n < 1 || n > 10_000 {
			return base, usage("--%s %d: 1 to 10000", flag, n)
		}
	}
	if b.maxTotal < 0 || b.maxTotal > int64(events.MaxMsat/events.Sat) {
		return base, usage("--max-total: %d satoshi", b.maxTotal)
	}
	if base, err = a.order(cmd, &b.orderFlags, "a line"); err != nil {
		return base, err
	}
	base.Inputs = base.Inputs[1:]
	return base, nil
}

// brokenLine says which line of a file cannot be bought.
func (a *app) brokenLine(path string, err error) error {
	var line *batch.LineError
	if !errors.As(err, &line) {
		var none *consumer.NoOffersError
		if errors.As(err, &none) {
			return err
		}
		return usage("%s: %w", path, err)
	}
	return withHint(usage("%s: %w; nothing was bought", path, err), "${EDITOR:-vi} +%d %s", line.Line, quoted(path))
}

func (a *app) showBatchEstimate(e batch.Estimate) error {
	if a.json {
		a.object(a.Out, map[string]any{"lines": e.Lines, "about_msat": e.About, "most_msat": e.Most, "nodes": e.Nodes})
		return nil
	}
	fmt.Fprintf(a.Out, "%d lines, about %s, at most %s\n", e.Lines, e.About.Human(), e.Most.Human())
	return nil
}

func (a *app) batchResumeCommand() *cobra.Command {
	var out string
	var maxTotal int64
	cmd := &cobra.Command{
		Use:         "resume ID",
		Short:       "Go on with a batch; its new results on stdout",
		Long:        "Goes on where it was left: jobs that were bought are waited for, not bought again. The beginning of the id is enough, or\n'last'. Results that were there already are shown by 'infernet batch results'.",
		Example:     "infernet batch resume last",
		Annotations: says("as batch submit"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, id, err := a.findBatch(args[0])
			if err != nil {
				return err
			}
			defer store.Close()
			if cmd.Flags().Changed("max-total") {
				if maxTotal < 0 || maxTotal > int64(events.MaxMsat/events.Sat) {
					return usage("--max-total: %d satoshi", maxTotal)
				}
				if err := store.SetMaxTotal(id, events.Msat(maxTotal)*events.Sat); err != nil {
					return err
				}
			}
			st, err := store.Status(id, nil)
			if err != nil {
				return err
			}
			if st.State == batch.Done || st.State == batch.Cancelled && st.Running == 0 {
				return withHint(fmt.Errorf("batch %s is over: %s", id, st.State), "infernet batch results %s", id)
			}
			c, done, err := a.buyer(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			return a.runBatch(cmd.Context(), store, c, id, out)
		},
	}
	cmd.Flags().StringVarP(&out, "out", "o", "", "file that results are appended to, instead of stdout")
	cmd.Flags().Int64Var(&maxTotal, "max-total", 0, "most satoshi that the whole batch may cost from now on; no bound if 0")
	return cmd
}

// runBatch runs a batch and shows what comes of it.
func (a *app) runBatch(ctx context.Context, store *batch.Store, c *consumer.Consumer, id, out string) error {
	unlock, err := a.settings.lock("batch-" + id)
	if err != nil {
		return err
	}
	defer os.Remove(a.settings.path("batch-" + id + ".lock"))
	defer unlock()
	to := a.Out
	if out != "" {
		f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
		if err != nil {
			return usage("--out: %w", err)
		}
		defer f.Close()
		to = f
	}
	if !a.json {
		a.tell("batch  ", "%s; whatever happens, it goes on with: infernet batch resume %s", id, id)
	}
	p := a.newProgress()
	alarm := func(m consumer.Alarm) {
		p.clear()
		a.alarm("batch "+id, m)
	}
	err = store.Run(ctx, c, batchAPI, id, batch.Options{
		Log: a.log, Progress: p.show, Alarm: alarm,
		Result: func(line string) {
			p.clear()
			fmt.Fprintln(to, line)
		},
	})
	p.clear()
	st, statusErr := store.Status(id, c.Ledger)
	if statusErr != nil {
		return errors.Join(err, statusErr)
	}
	if !a.json {
		a.tell("batch  ", "%s", batchLine(st))
	}
	var budget *batch.BudgetError
	switch {
	case errors.As(err, &budget):
		return withHint(err, "infernet batch resume %s --max-total %d", id, int64((budget.Most*2).CeilSat()/events.Sat))
	case err != nil:
		return withHint(err, "infernet batch resume %s", id)
	case st.Failed > 0:
		return withHint(&failedLines{st.Failed, st.Total}, "infernet batch results --failed %s", id)
	}
	return nil
}

// failedLines says that a batch is over, and that some of its lines have no answer.
type failedLines struct{ failed, total int }

func (e *failedLines) Error() string { return fmt.Sprintf("%d of %d lines failed", e.failed, e.total) }

// batchCode is the exit code of how a batch ended; 0 if it is not a batch's.
func batchCode(err error) int {
	var (
		lines  *failedLines
		budget *batch.BudgetError
	)
	switch {
	case errors.As(err, &lines):
		return exitFailed
	case errors.As(err, &budget):
		return exitUnpaid
	}
	return 0
}

// count is a number of things in words.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// batchLine is a batch's state in one line.
func batchLine(st batch.Status) string {
	s := fmt.Sprintf("%s  %.0f %%  %d of %d", st.State, st.Percent(), st.Delivered+st.Failed, st.Total)
	if st.Failed > 0 {
		s += fmt.Sprintf(", %d failed", st.Failed)
	}
	s += "  " + st.Paid.Human()
	if st.ETA > 0 && st.State == batch.Open {
		s += "  about " + roughly(st.ETA) + " left"
	}
	return s
}
