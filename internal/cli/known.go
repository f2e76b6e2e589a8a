package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/consumer/track"
	"infernet/events"
)

func (a *app) openTrack() (*track.Record, error) {
	if err := a.settings.makeDataDir(); err != nil {
		return nil, err
	}
	return track.Open(a.settings.path("nodes.db"), a.log)
}

func (a *app) marketKnownCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "known",
		Short: "What was measured here of the nodes that were bought from, and which have a pause",
		Long: "What your own jobs have shown: speed, failures, and what was paid for what had been said. The router puts it before all\n" +
			"else. A node that fails has a pause, twice as long with each failure in a row; one that sent a wrong invoice or result a long\n" +
			"one. 'infernet market forget NODE' ends it.",
		Example:     "infernet market known",
		Annotations: says("node, model, jobs, failed (0 to 1), first_ms, tokens_per_s, dear (paid for what had been said), late (took for what had been said), lied, paused_until (unix seconds, 0 if not), why, at"),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			r, err := a.openTrack()
			if err != nil {
				return err
			}
			defer r.Close()
			all, err := r.All()
			if err != nil {
				return err
			}
			if a.json {
				for _, k := range all {
					until := int64(0)
					if time.Now().Before(k.Until) {
						until = k.Until.Unix()
					}
					a.object(a.Out, map[string]any{
						"node": k.Node, "model": k.Model, "jobs": k.Jobs, "failed": k.Failed, "first_ms": k.First.Milliseconds(), "tokens_per_s": k.Rate,
						"dear": k.Dear, "late": k.Late, "lied": k.Lied, "paused_until": until, "why": k.Why, "at": k.At.Unix(),
					})
				}
				return nil
			}
			if len(all) == 0 {
				fmt.Fprintln(a.Err, "no job was bought here yet")
			}
			return a.columns("NODE\tMODEL\tJOBS\tFAILED\tFIRST\tTOK/S\tLAST\tPAUSE", func(w io.Writer) {
				for _, k := range all {
					first, rate, pause := "-", "-", "-"
					if k.First > 0 {
						first = k.First.Round(time.Millisecond).String()
					}
					if k.Rate > 0 {
						rate = fmt.Sprintf("%.1f", k.Rate)
					}
					if left := time.Until(k.Until); left > 0 {
						pause = fmt.Sprintf("%s: %s", left.Round(time.Second), k.Why)
					}
					fmt.Fprintf(w, "%s\t%s\t%d\t%.0f %%\t%s\t%s\t%s\t%s\n", cutKey(string(k.Node)), cell(k.Model), k.Jobs, 100*k.Failed, first, rate, age(time.Since(k.At)), cell(pause))
				}
			})
		},
	}
}

func (a *app) marketForgetCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "forget NODE",
		Short:       "Forget what was measured of a node, and end its pause",
		Example:     "infernet market forget $NODE",
		Annotations: says("node"),
		Args:        cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := a.openTrack()
			if err != nil {
				return err
			}
			defer r.Close()
			key, err := nodeKey(args[0])
			if err != nil {
				return withHint(usage("%w", err), "infernet market known")
			}
			all, err := r.All()
			if err != nil {
				return err
			}
			var found events.PubKey
			for _, k := range all {
				if strings.HasPrefix(string(k.Node), string(key)) {
					if found != "" && found != k.Node {
						return usage("more than one node begins with %s", key)
					}
					found = k.Node
				}
			}
			if found == "" {
				return withHint(usage("nothing was measured of node %s", cutKey(string(key))), "infernet market known")
			}
			if _, err := r.Forget(found); err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, map[string]any{"node": found})
				return nil
			}
			fmt.Fprintf(a.Out, "%s\n", found)
			return nil
		},
	}
}
