package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"time"

	"github.com/spf13/cobra"

	"infernet/events"
	"infernet/fleet"
	"infernet/internal/ledger"
	"infernet/internal/notify"
)

func (a *app) nodesWatchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "watch",
		Short: "Tell when a node of yours is missed, and when it is back; runs until it is ended",
		Long: "Listens for the heartbeats of your nodes. A node that misses three of them (6 minutes) is told of once, in the ways that are\n" +
			"set for notices (notify.owner, notify.webhook, notify.desktop), and once more when it is back. 'infernet up' does the same.",
		Example: "infernet nodes watch", Annotations: says("node, name, down, last (unix seconds)"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			signer, unlocked, err := a.ownerKey(cmd.Context())
			if err != nil {
				return err
			}
			defer unlocked()
			known, err := a.roster()
			if err != nil {
				return err
			}
			var relays []string
			for _, one := range known.Nodes {
				relays = append(relays, one.Relays...)
			}
			o, done, err := a.owner(cmd.Context(), relays)
			if err != nil {
				return err
			}
			defer done()
			var l *ledger.Ledger // nothing is muted here
			outbox, err := a.openOutbox(o.Pool, signer, l, nil)
			if err != nil {
				return err
			}
			defer outbox.Close()
			ctx, stop := context.WithCancel(cmd.Context())
			told := make(chan struct{})
			go func() { defer close(told); outbox.Run(ctx) }()
			defer func() { stop(); <-told }()
			err = a.watchNodes(ctx, o, func() *notify.Outbox { return outbox }, true)
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
}

// rosterEvery is how often a watcher looks whether the list of nodes has changed.
const rosterEvery = 30 * time.Second

// watchNodes tells of nodes that are missed, until ctx ends.
func (a *app) watchNodes(ctx context.Context, o *fleet.Owner, outbox func() *notify.Outbox, loud bool) error {
	for {
		r, err := a.newest(ctx, o)
		if err != nil {
			return err
		}
		names := map[events.PubKey]string{}
		var keys []events.PubKey
		for _, one := range r.Nodes {
			names[one.Node] = one.Name
			keys = append(keys, one.Node)
		}
		if len(keys) == 0 && loud && !a.json {
			a.tell("nodes  ", "none yet; infernet nodes add --help")
		}
		watching, stop := context.WithCancel(ctx)
		changed := make(chan struct{})
		go func() { // the list may change meanwhile
			defer close(changed)
			tick := time.NewTicker(rosterEvery)
			defer tick.Stop()
			for {
				select {
				case <-watching.Done():
					return
				case <-tick.C:
				}
				if now, err := a.newest(watching, o); err == nil && !reflect.DeepEqual(now.Nodes, r.Nodes) {
					stop()
					return
				}
			}
		}()
		o.Watch(watching, keys, func(s fleet.Sight) { a.missed(s, names[s.Node], outbox(), loud) })
		stop()
		<-changed
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// missed tells that a node went or is back.
func (a *app) missed(s fleet.Sight, name string, outbox *notify.Outbox, loud bool) {
	since := "it was never heard"
	if s.Last > 0 {
		since = "last heard " + s.Last.Time().UTC().Format(time.RFC3339)
	}
	n := notify.Notice{Level: notify.Urgent, Incident: "node/" + string(s.Node), Title: name + " is missed: no heartbeat for 6 minutes", Text: since + ". Key " + string(s.Node) + "."}
	switch {
	case !s.Down:
		n.Over, n.Level, n.Title = true, notify.Info, name+" is back"
	case s.Closed:
		n.Level, n.Text = notify.Warning, "Its last word was that it takes no more jobs: it was shut down, or paused. "+n.Text
	}
	if loud && a.json {
		a.object(a.Out, map[string]any{"node": s.Node, "name": name, "down": s.Down, "last": s.Last})
	} else if loud {
		fmt.Fprintf(a.Out, "%s  %s\n", time.Now().Format(time.TimeOnly), cell(map[bool]string{true: n.Title, false: name + " is there"}[s.Down]))
	}
	if outbox == nil {
		return
	}
	if _, err := outbox.Tell(n); err != nil {
		a.log.Error("cannot tell of a node", "node", s.Node, "err", err)
	}
}

// watchOwn is the watcher of 'infernet up': it watches where this folder's user has nodes.
func (a *app) watchOwn(ctx context.Context, outbox func() *notify.Outbox) {
	r, err := a.roster()
	if err != nil || len(r.Nodes) == 0 {
		return
	}
	if _, err := os.Stat(or(a.settings.text("nodes.key"), a.settings.path("owner.key"))); err != nil {
		return
	}
	own := *a.settings // its relays are not the node's
	b := &app{IO: a.IO, args: a.args, settings: own.changed(nil), json: a.json, log: a.log}
	var relays []string
	for _, one := range r.Nodes {
		relays = append(relays, one.Relays...)
	}
	o, done, err := b.owner(ctx, relays)
	if err != nil {
		a.log.Warn("your nodes are not watched", "err", err)
		return
	}
	defer done()
	if err := b.watchNodes(ctx, o, outbox, false); err != nil && ctx.Err() == nil {
		a.log.Warn("your nodes are not watched", "err", err)
	}
}
