package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"infernet/fleet"
	"infernet/internal/store"
)

func (a *app) topCommand() *cobra.Command {
	var once, all bool
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "top [NODE…]",
		Short: "Watch nodes live: use of the machine, queue, jobs and money",
		Long: "Shows the node of this machine, or those of your nodes that you name, again and again: processor, cards, memory, jobs that\n" +
			"run and wait, what the day has earned, incidents, the last jobs. Keys: p pauses a node, r has it take jobs again, arrows\n" +
			"choose among several, q ends. Where no terminal is, or with --once, it shows how things are and ends.",
		Example:     "infernet top --once",
		Annotations: says("name, report (as of 'infernet provide status'), jobs (as of 'infernet provide jobs'), days (as of 'infernet provide earnings'), samples (as of 'infernet provide metrics'), open (incidents), error"),
		Args:        cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if every < 200*time.Millisecond {
				return usage("--every %s: at least 200ms", every)
			}
			nodes, done, err := a.topNodes(cmd, args, all)
			if err != nil {
				return err
			}
			defer done()
			return a.top(cmd.Context(), nodes, every, once)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "show how things are now, and end")
	cmd.Flags().BoolVar(&all, "all", false, "all of your nodes")
	cmd.Flags().DurationVar(&every, "every", 2*time.Second, "how often each node is asked")
	return cmd
}

// watched is a node that is looked at, and how it is asked.
type watched struct {
	name string
	call func(ctx context.Context, method string, params, result any) error
}

// glance is what one look at a node has shown.
type glance struct {
	Name    string         `json:"name"`
	Report  *fleet.Report  `json:"report"`
	Jobs    []store.Job    `json:"jobs"`
	Days    []fleet.Day    `json:"days"`
	Samples []fleet.Sample `json:"samples"`
	Open    []string       `json:"open"`
	Error   string         `json:"error"` // "" if it answered
}

// shownJobs is how many of the last jobs are looked at.
const shownJobs = 30

// look asks a node how it is. What it does not answer stays empty.
func (w *watched) look(ctx context.Context) glance {
	g := glance{Name: w.name}
	var (
		report  fleet.Report
		done    fleet.Done
		earned  fleet.Earned
		samples fleet.Samples
		told    fleet.Told
	)
	for _, one := range []struct {
		method         string
		params, result any
	}{
		{fleet.Status, nil, &report},
		{fleet.Metrics, nil, &samples},
		{fleet.Jobs, fleet.JobsAsked{Limit: shownJobs}, &done},
		{fleet.Earnings, fleet.EarningsAsked{Days: 7}, &earned},
		{fleet.Alerts, fleet.AlertsAsked{Limit: 1}, &told},
	} {
		if err := w.call(ctx, one.method, one.params, one.result); err != nil {
			g.Error = err.Error()
			return g
		}
	}
	g.Report, g.Jobs, g.Days, g.Samples, g.Open = &report, done.Jobs, earned.Days, samples.Samples, told.Open
	if g.Name == "" {
		g.Name = report.Name
	}
	return g
}

// topNodes are the nodes that are to be watched: this machine's, or the named ones of the owner's.
func (a *app) topNodes(cmd *cobra.Command, args []string, all bool) (nodes []*watched, done func(), err error) {
	if len(args) == 0 && !all {
		here := func(ctx context.Context, method string, params, result any) error {
			local, err := fleet.Dial(ctx, a.settings.path("node")) // each time anew: it may have been started again
			if err != nil {
				return err
			}
			defer local.Close()
			return local.Call(ctx, "", method, params, result)
		}
		if err := here(cmd.Context(), fleet.Status, nil, nil); err != nil {
			return nil, nil, a.told(err)
		}
		return []*watched{{call: here}}, func() {}, nil
	}
	// what the relays say would be written over the screen
	quiet := &app{IO: a.IO, args: a.args, settings: a.settings, json: true, log: slog.New(slog.DiscardHandler)}
	known, err := a.roster()
	if err != nil {
		return nil, nil, err
	}
	var relays []string
	for _, one := range known.Nodes {
		relays = append(relays, one.Relays...)
	}
	o, done, err := quiet.owner(cmd.Context(), relays)
	if err != nil {
		return nil, nil, err
	}
	if known, err = quiet.newest(cmd.Context(), o); err != nil {
		done()
		return nil, nil, err
	}
	meant := known.Nodes
	if !all {
		meant = nil
	}
	for _, arg := range args {
		one, err := known.find(arg)
		if err != nil {
			done()
			return nil, nil, err
		}
		meant = append(meant, one)
	}
	if len(meant) == 0 {
		done()
		_, err := known.find("")
		return nil, nil, err
	}
	for _, one := range meant {
		nodes = append(nodes, &watched{name: cell(one.Name), call: func(ctx context.Context, method string, params, result any) error {
			return o.Call(ctx, one.Node, method, params, result)
		}})
	}
	return nodes, done, nil
}

// screen is the terminal that a person looks at; nil if there is none.
func (a *app) screen() *os.File {
	to := a.Out
	if out, ok := to.(*answer); ok {
		to = out.to
	}
	if file, ok := to.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return file
	}
	return nil
}

// plainWidth is how wide a frame is where there is no terminal.
const plainWidth = 110

// top shows nodes again and again, or once.
func (a *app) top(ctx context.Context, nodes []*watched, every time.Duration, once bool) error {
	_, typed := a.terminal()
	screen := a.screen()
	if !a.json && !once && typed && screen != nil {
		return a.topLive(ctx, nodes, every, a.In, screen)
	}
	for {
		b := board{every: every}
		for _, w := range nodes {
			looking, cancel := context.WithTimeout(ctx, askIn)
			g := w.look(looking)
			cancel()
			if ctx.Err() != nil {
				return nil
			}
			if g.Error != "" && len(nodes) == 1 && (once || !a.json) {
				return a.told(errors.New(g.Error))
			}
			if a.json {
				a.object(a.Out, g)
			}
			b.seen = append(b.seen, seen{glance: g, at: time.Now()})
		}
		if !a.json {
			for i := range b.seen {
				b.at = i
				if _, err := io.WriteString(a.Out, b.details(plainWidth, 0)); err != nil {
					return err
				}
				if i+1 < len(b.seen) {
					fmt.Fprintln(a.Out)
				}
			}
		}
		if once || !a.json {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(every):
		}
	}
}

// word says what a node is asked to do, for the line at the bottom.
func word(method string) string {
	return map[string]string{fleet.Pause: "takes no new jobs", fleet.Resume: "takes jobs"}[method]
}
