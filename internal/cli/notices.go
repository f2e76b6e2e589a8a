package cli

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"infernet/internal/ledger"
	"infernet/internal/notify"
	"infernet/internal/pool"
	"infernet/internal/store"
)

func (a *app) noticesCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "notices",
		Short: "What happened here that its owner should know, newest first",
		Long: "Lists the notices there were. 'infernet provide' and 'infernet up' tell them as they come, in the ways that are set: as\n" +
			"private messages to the owner's key (notify.owner, NIP-17), to a webhook (notify.webhook), on the desktop (notify.desktop).",
		Example:     "infernet notices",
		Annotations: says("id, at (unix seconds), level (info, warning or urgent), incident, over, title, text, job"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.notices(cmd.Context(), limit)
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "how many")
	cmd.AddCommand(a.noticesTestCommand(), a.noticesMuteCommand())
	return cmd
}

func (a *app) notices(ctx context.Context, limit int) error {
	if limit < 1 {
		return usage("--limit %d: want at least 1", limit)
	}
	var all []notify.Notice
	err := a.look(ctx, func(r store.Reader) error {
		all = nil
		for q := (store.NoticeQuery{}); len(all) < limit; {
			q.Limit = limit - len(all)
			page, err := r.Notices(ctx, q)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			all, q.Before = append(all, page...), page[len(page)-1].Seq
		}
		return nil
	})
	if err != nil {
		return err
	}
	if a.json {
		for _, n := range all {
			a.object(a.Out, map[string]any{
				"id": n.ID, "at": n.At, "level": n.Level, "incident": n.Incident, "over": n.Over, "title": n.Title, "text": n.Text, "job": n.Job,
			})
		}
		return nil
	}
	return a.columns("AT\tLEVEL\tNOTICE", func(w io.Writer) {
		for _, n := range all {
			level := string(n.Level)
			if n.Over {
				level = "over"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", n.At.Time().Local().Format(time.DateTime), level, n.Title)
		}
	})
}

func (a *app) noticesTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "test",
		Short:       "Tell a notice in every way that is set, and say how that went",
		Example:     "infernet notices test",
		Annotations: says("way, state (told or waits), tries, error"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.noticesTest(cmd.Context())
		},
	}
}

func (a *app) noticesTest(ctx context.Context) error {
	if err := a.settings.makeDataDir(); err != nil {
		return err
	}
	signer, done, err := a.signer(ctx, a.settings.path("node.key"))
	if err != nil {
		return err
	}
	defer done()
	var p *pool.Pool
	if a.settings.text("notify.owner") != "" {
		if p, err = a.connect(ctx, signer); err != nil {
			return err
		}
		defer p.Close()
	}
	o, err := a.openOutbox(p, signer, nil, nil)
	if err != nil {
		return err
	}
	defer o.Close()
	n, err := o.Tell(notify.Notice{Level: notify.Urgent, Title: "A test notice", Text: "It was asked for with 'infernet notices test'."})
	if err != nil {
		return err
	}
	if len(o.Ways) == 0 {
		return withHint(fmt.Errorf("the notice is in the list, and there is no way to tell it"), "INFERNET_NOTIFY_DESKTOP=true infernet notices test")
	}
	told, err := a.tried(ctx, o, n.Seq)
	if err != nil {
		return err
	}
	return a.sayTold(told)
}

// tried runs the outbox until a notice was tried once in every way.
func (a *app) tried(ctx context.Context, o *notify.Outbox, seq int64) ([]notify.Delivery, error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { o.Run(ctx) })
	defer running.Wait()
	defer cancel()
	for {
		all, err := o.Deliveries(seq)
		if err != nil {
			return nil, err
		}
		done := true
		for _, d := range all {
			done = done && (d.State != "waits" || d.Tries > 0)
		}
		if done {
			return all, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// sayTold says how a notice was told; an error if some way failed.
func (a *app) sayTold(all []notify.Delivery) error {
	var failed error
	for _, d := range all {
		switch {
		case a.json:
			a.object(a.Out, map[string]any{"way": d.Way, "state": d.State, "tries": d.Tries, "error": d.Error})
		case d.State == "told":
			fmt.Fprintf(a.Out, "%s told\n", d.Way)
		}
		if d.State != "told" {
			failed = withHint(fmt.Errorf("%s: not told: %s", d.Way, d.Error), "infernet provide  # it tries again")
		}
	}
	return failed
}

func (a *app) noticesMuteCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "mute DURATION",
		Short:       "Tell only urgent notices for a while; 0s ends it",
		Long:        "Holds back notices that are not urgent for a while, also over a restart. They are told afterwards. For hours of every day there\nare the settings notify.quiet and notify.zone.",
		Example:     "infernet notices mute 8h",
		Annotations: says("muted_until (unix seconds)"),
		Args:        cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			length, err := time.ParseDuration(args[0])
			if err != nil || length < 0 {
				return withHint(usage("%q is no duration from 0s", args[0]), "infernet notices mute 8h")
			}
			if err := a.settings.makeDataDir(); err != nil {
				return err
			}
			l, err := ledger.Open(a.settings.path("node.db"))
			if err != nil {
				return err
			}
			defer l.Close()
			until := time.Now().Add(length).Truncate(time.Second)
			if err := l.Record(store.Topic, muted, []byte(until.UTC().Format(time.RFC3339))); err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, map[string]any{"muted_until": until.Unix()})
				return nil
			}
			fmt.Fprintf(a.Out, "muted until %s\n", until.Local().Format(time.DateTime))
			return nil
		},
	}
}
