package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr/nip19"
	"github.com/spf13/cobra"

	"infernet/events"
	"infernet/fleet"
)

// asker is a command about one node: the one of this folder, or the one that an owner names.
type asker func(cmd *cobra.Command, args []string) (c fleet.Caller, node events.PubKey, done func(), err error)

// askIn is how long an answer may take.
const askIn = 20 * time.Second

// asks makes a command that asks a node and shows the answer.
func (a *app) asksNode(use, short, example, object string, args cobra.PositionalArgs, who asker, show func(ctx context.Context, cmd *cobra.Command, call func(method string, params, result any) error) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: example, Annotations: says(object), Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, node, done, err := who(cmd, args)
			if err != nil {
				return err
			}
			defer done()
			ctx, cancel := context.WithTimeout(cmd.Context(), askIn)
			defer cancel()
			return show(ctx, cmd, func(method string, params, result any) error {
				return a.told(c.Call(ctx, node, method, params, result))
			})
		},
	}
}

// told adds to an error of a node what to do.
func (a *app) told(err error) error {
	if err == nil {
		return nil
	}
	if strings.Contains(err.Error(), fleet.ErrNoNode.Error()) {
		return withHint(fmt.Errorf("%w in %s", fleet.ErrNoNode, a.settings.text("data_dir")), "infernet provide")
	}
	return err
}

// here is the node of this folder.
func (a *app) here(cmd *cobra.Command, _ []string) (fleet.Caller, events.PubKey, func(), error) {
	c, done, err := a.caller(cmd.Context())
	return c, "", done, err
}

func (a *app) provideStatusCommand() *cobra.Command {
	return a.statusOf("status", "infernet provide status", cobra.NoArgs, a.here)
}

const statusObject = "node, name, relays, owned, version, at, since, state, why, engine, wallet, running, waiting, slots, open, seen (relays), machine (cpu, cores, memory, cards), load (the newest sample), today (jobs, delivered, failed, paid and owed in msat), rev, refused, alerts"

func (a *app) statusOf(use, example string, args cobra.PositionalArgs, who asker) *cobra.Command {
	return a.asksNode(use, "How the node is doing", example, statusObject, args, who, func(_ context.Context, _ *cobra.Command, call func(string, any, any) error) error {
		var r fleet.Report
		if err := call(fleet.Status, nil, &r); err != nil {
			return err
		}
		if a.json {
			a.object(a.Out, r)
			return nil
		}
		return a.showReport(&r)
	})
}

func (a *app) showReport(r *fleet.Report) error {
	line := func(what, format string, args ...any) {
		fmt.Fprintf(a.Out, "%-8s %s\n", what, a.shown(fmt.Sprintf(format, args...)))
	}
	npub, err := nip19.EncodePublicKey(string(r.Node))
	if err != nil {
		return fmt.Errorf("the node names no key: %w", err)
	}
	state := r.State
	if r.Why != "" {
		state += ": " + r.Why
	}
	line("node", "%s  %s", r.Name, npub)
	line("state", "%s, up %s, version %s", state, roughly(time.Since(r.Since.Time())), r.Version)
	line("engine", "%s", r.Engine)
	line("wallet", "%s", r.Wallet)
	line("jobs", "%d of %d slots, %d wait, %d open", r.Running, r.Slots, r.Waiting, r.Open)
	line("today", "%s earned, %d jobs: %d delivered, %d failed%s", r.Today.Paid.Human(), r.Today.Jobs, r.Today.Delivered, r.Today.Failed, owes(r.Today.Owed))
	line("machine", "%s, %d cores, %s", r.Machine.CPU, r.Machine.Cores, size(r.Machine.Memory))
	if r.Load != nil {
		line("load", "%s", loadLine(r.Load))
		for _, c := range r.Machine.Cards {
			line("gpu", "%s: %s", c.Name, cardLine(&c, r.Load))
		}
	}
	for _, relay := range r.Seen {
		line("relay", "%s %s", relay.URL, map[bool]string{true: "connected", false: "does not answer"}[relay.Connected])
	}
	if r.Rev > 0 || r.Refused != "" {
		line("settings", "rev %d%s", r.Rev, map[bool]string{true: "; newer ones are refused: " + r.Refused}[r.Refused != ""])
	}
	if r.Alerts > 0 {
		line("alerts", "%d", r.Alerts)
	}
	return nil
}

func owes(m events.Msat) string {
	if m == 0 {
		return ""
	}
	return ", " + m.Human() + " owed back"
}

// roughly is a length of time in its two largest units.
func roughly(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d < time.Minute:
		return d.String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// size is a number of bytes for people; ? if it is not known.
func size(n int64) string {
	switch {
	case n < 0:
		return "?"
	case n < 10<<20:
		return fmt.Sprintf("%d KB", n>>10)
	case n < 10<<30:
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d GB", n>>30)
}

func knownAs(value float64, unit string) string {
	if value < 0 {
		return "?"
	}
	return fmt.Sprintf("%.0f%s", value, unit)
}

func loadLine(s *fleet.Sample) string {
	return fmt.Sprintf("processor %s, memory %s, disk %s free", knownAs(s.CPU, " %"), size(s.Memory), size(s.Free))
}

func cardLine(c *fleet.Card, s *fleet.Sample) string {
	if slices.Contains(s.Lost, c.ID) {
		return "lost: it says nothing any more"
	}
	for _, r := range s.Cards {
		if r.ID == c.ID {
			return fmt.Sprintf("%s busy, %s of %s, %s, %s", knownAs(r.Busy, " %"), size(r.Used), size(c.Memory), knownAs(r.Celsius, " °C"), knownAs(r.Watts, " W"))
		}
	}
	return "not read yet"
}

func (a *app) provideJobsCommand() *cobra.Command {
	return a.jobsOf("jobs", "infernet provide jobs", cobra.NoArgs, a.here)
}

func (a *app) jobsOf(use, example string, args cobra.PositionalArgs, who asker) *cobra.Command {
	var limit int
	var live bool
	cmd := a.asksNode(use, "The jobs that the node took on, newest first", example, "job, role, seq, kind, model, peer (the customer's key), at, done, end, paid (msat), sure, owed (msat), in, out, ms", args, who,
		func(_ context.Context, _ *cobra.Command, call func(string, any, any) error) error {
			if limit < 1 {
				return usage("--limit %d: at least 1", limit)
			}
			in, rows := fleet.JobsAsked{Live: live}, fleet.Done{}
			for in.Limit = min(limit, 50); ; in.Limit = min(limit-len(rows.Jobs), 50) {
				var page fleet.Done
				if err := call(fleet.Jobs, in, &page); err != nil {
					return err
				}
				rows.Jobs = append(rows.Jobs, page.Jobs...)
				if in.Before = page.Next; page.Next == "" || len(rows.Jobs) >= limit {
					break
				}
			}
			if a.json {
				for _, j := range rows.Jobs {
					a.object(a.Out, j)
				}
				return nil
			}
			return a.columns("JOB\tTAKEN\tMODEL\tIN\tOUT\tTIME\tPAID\tSTATE", func(w io.Writer) {
				for _, j := range rows.Jobs {
					fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n", cutKey(string(j.ID)), j.At.Time().Local().Format(time.DateTime), or(j.Model, "-"), j.In, j.Out,
						(time.Duration(j.Ms) * time.Millisecond).String(), j.Paid.Human(), stateWord(j.End))
				}
			})
		})
	cmd.Flags().IntVar(&limit, "limit", 20, "how many")
	cmd.Flags().BoolVar(&live, "live", false, "only those that may still change")
	return cmd
}

func (a *app) provideEarningsCommand() *cobra.Command {
	return a.earningsOf("earnings", "infernet provide earnings --days 30", cobra.NoArgs, a.here)
}

func (a *app) earningsOf(use, example string, args cobra.PositionalArgs, who asker) *cobra.Command {
	var days int
	cmd := a.asksNode(use, "What the node earned, by day (UTC) and model", example, "days (day, jobs, delivered, failed, paid and owed in msat), models (the same by model), total", args, who,
		func(_ context.Context, _ *cobra.Command, call func(string, any, any) error) error {
			var e fleet.Earned
			if err := call(fleet.Earnings, fleet.EarningsAsked{Days: days}, &e); err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, e)
				return nil
			}
			return a.columns("WHEN\tEARNED\tJOBS\tDELIVERED\tFAILED\tOWED", func(w io.Writer) {
				row := func(name string, s fleet.Sum) {
					fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", name, s.Paid.Human(), s.Jobs, s.Delivered, s.Failed, s.Owed.Human())
				}
				for _, d := range e.Days {
					row(d.Day, d.Sum)
				}
				row("all", e.Total)
				for _, model := range slices.Sorted(maps.Keys(e.Models)) {
					row(or(model, "-"), e.Models[model])
				}
			})
		})
	cmd.Flags().IntVar(&days, "days", 7, "how many days, at most 90")
	return cmd
}

func (a *app) provideMetricsCommand() *cobra.Command {
	return a.metricsOf("metrics", "infernet provide metrics", cobra.NoArgs, a.here)
}

func (a *app) metricsOf(use, example string, args cobra.PositionalArgs, who asker) *cobra.Command {
	return a.asksNode(use, "How the machine was doing in the last minutes", example, "at, cpu (percent), memory, free (bytes), cards (id, busy percent, used bytes, celsius, watts), lost (-1 is not known)", args, who,
		func(_ context.Context, _ *cobra.Command, call func(string, any, any) error) error {
			var all fleet.Samples
			if err := call(fleet.Metrics, nil, &all); err != nil {
				return err
			}
			if a.json {
				for _, s := range all.Samples {
					a.object(a.Out, s)
				}
				return nil
			}
			return a.columns("AT\tPROCESSOR\tMEMORY\tFREE\tCARDS", func(w io.Writer) {
				for _, s := range all.Samples {
					var cards []string
					for _, c := range s.Cards {
						cards = append(cards, fmt.Sprintf("%s %s %s %s", knownAs(c.Busy, "%"), size(c.Used), knownAs(c.Celsius, "°C"), knownAs(c.Watts, "W")))
					}
					for _, id := range s.Lost {
						cards = append(cards, id+" is lost")
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.At.Time().Local().Format(time.TimeOnly), knownAs(s.CPU, " %"), size(s.Memory), size(s.Free), or(strings.Join(cards, "; "), "-"))
				}
			})
		})
}
