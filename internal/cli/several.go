package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/consumer/quorum"
	"infernet/events"
)

// severalFlags are what a job of several nodes can be told.
type severalFlags struct {
	nodes string
	plan  quorum.Plan
}

func (s *severalFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.nodes, "nodes", "", "buy the job from so many nodes, directly, and compare; auto is one that is known to be good, else three")
	f.IntVar(&s.plan.Need, "need", 0, "how many nodes have to agree; more than half if 0")
	f.StringVar(&s.plan.Verify, "verify", quorum.Exact, "when answers are the same: "+strings.Join(quorum.Verifies, ", "))
	f.Float64Var(&s.plan.Tolerance, "tolerance", 0.01, "how far numbers may differ with --verify tolerance, as a part of the larger")
	f.Float64Var(&s.plan.Alike, "alike", 0.9, "least cosine of answers with --verify embedding")
	f.StringVar(&s.plan.Embedder, "embedder", "", "model of the embeddings of --verify embedding; any if unset")
	f.StringVar(&s.plan.Same, "verify-command", "", "with --verify command: told two files, it ends with 0 if they say the same, with 1 if not")
	f.StringVar(&s.plan.Aggregate, "aggregate", quorum.Majority, "what becomes of the answers: "+strings.Join(quorum.Aggregates, ", "))
	f.StringVar(&s.plan.Combine, "aggregate-command", "", "with --aggregate command: a JSON array of the answers on its stdin, the answer on its stdout")
	f.StringVar(&s.plan.Score, "score-command", "", "with --aggregate best-of: an answer on its stdin, a number on its stdout")
}

// read reads the plan; false if one node is to do the job.
func (s *severalFlags) read(cmd *cobra.Command, o *consumer.Order) (bool, error) {
	if s.nodes == "" {
		for _, flag := range []string{"need", "verify", "tolerance", "alike", "embedder", "verify-command", "aggregate", "aggregate-command", "score-command"} {
			if cmd.Flags().Changed(flag) {
				return false, withHint(usage("--%s is for several nodes", flag), "infernet run --nodes 3 %s", quoted(tryPrompt))
			}
		}
		return false, nil
	}
	if s.nodes != "auto" {
		n, err := strconv.Atoi(s.nodes)
		if err != nil || n < 1 {
			return false, usage("--nodes %q: a number of nodes, or auto", s.nodes)
		}
		s.plan.Nodes = n
	}
	if o.Way != consumer.Direct && cmd.Flags().Changed("way") || o.Node != "" {
		return false, usage("--nodes: each of several nodes is asked directly; leave --way and --node out")
	}
	if err := s.plan.Check(); err != nil {
		return false, usage("--nodes: %w", err)
	}
	if !events.Kinds[o.Kind].GivesText() {
		return false, usage("--nodes: only answers that are text can be compared, and kind %d gives files", o.Kind)
	}
	return true, nil
}

// several buys a job from several nodes, and shows what came of it.
func (a *app) several(ctx context.Context, c *consumer.Consumer, o consumer.Order, p quorum.Plan, verbose bool) error {
	show := a.newShower(verbose)
	out, err := quorum.Buy(ctx, c, o, p, func(s consumer.Step) {
		s.Delta = "" // of several answers at once
		if s.Verdicts != nil || s.Event != nil || s.Note != "" {
			show.step(s)
		}
	})
	if show.waiting != nil {
		show.waiting.end()
	}
	var disagree *quorum.DisagreeError
	if out == nil || err != nil && !errors.As(err, &disagree) {
		return err
	}
	if a.json {
		var nodes []map[string]any
		for _, x := range out.Answers {
			row := map[string]any{"node": x.Node, "job": x.Job, "group": x.Group}
			if x.Got != nil {
				row["content"], row["model"], row["paid_msat"] = x.Got.Text, x.Got.Model, x.Got.Paid
			} else {
				row["error"] = x.Err.Error()
			}
			nodes = append(nodes, row)
		}
		a.object(a.Out, map[string]any{"content": out.Text, "agree": out.Agree, "need": out.Need, "paid_msat": out.Paid, "nodes": nodes})
		return err
	}
	if err == nil {
		fmt.Fprintln(a.Out, a.shown(out.Text))
	}
	for _, x := range out.Answers {
		word := "agrees"
		switch {
		case x.Err != nil:
			fmt.Fprintf(a.Err, "node %s  failed: %s\n", cutKey(string(x.Node)), cell(x.Err.Error()))
			continue
		case x.Group > 0 || err != nil:
			word = fmt.Sprintf("says: %s", cell(short(strings.Join(strings.Fields(x.Got.Text), " "), 60)))
		}
		fmt.Fprintf(a.Err, "node %s  job %s  %s  %s\n", cutKey(string(x.Node)), cutKey(string(x.Job)), x.Got.Paid.Human(), word)
	}
	if err == nil {
		fmt.Fprintf(a.Err, "%d of %d agree · %s\n", out.Agree, len(out.Answers), out.Paid.Human())
	}
	return err
}
