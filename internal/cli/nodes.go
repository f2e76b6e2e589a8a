package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/spf13/cobra"

	"infernet/events"
	"infernet/fleet"
	"infernet/internal/ledger"
)

func (a *app) nodesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "nodes",
		Short: "Your nodes, wherever they run: see how they do and steer them, through relays",
		Long: "A node is yours once it obeys your key: 'infernet nodes add' with the address that the node shows, or its key, or the IP\n" +
			"address or name of its machine, and the one-time code in its log. From then on you see and steer it from anywhere, without\n" +
			"an open port. Your key is in owner.key in the data folder (the setting nodes.key names another file, which may hold a\n" +
			"bunker's address); the list of your nodes lies encrypted on your relays. NODE is a name of 'infernet nodes list', or the\n" +
			"beginning of a key.",
	}
	one := cobra.ExactArgs(1)
	cmd.AddCommand(
		a.nodesAddCommand(), a.nodesListCommand(), a.nodesRemoveCommand(),
		a.statusOf("status NODE", "infernet nodes status attic", one, a.there),
		a.metricsOf("metrics NODE", "infernet nodes metrics attic", one, a.there),
		a.jobsOf("jobs NODE", "infernet nodes jobs attic", one, a.there),
		a.earningsOf("earnings NODE", "infernet nodes earnings attic --days 30", one, a.there),
		a.alertsOf("alerts NODE", "infernet nodes alerts attic", one, a.there),
		a.nodesModelsCommand(), a.nodesSetCommand(), a.nodesSettingsCommand(),
		a.nodesPauseCommand("pause", "Have a node take no new jobs; what was taken goes on", "true"),
		a.nodesPauseCommand("resume", "Have a node take jobs again", "false"),
		a.nodesWatchCommand(),
	)
	return cmd
}

// ownerKey opens the owner's key; it is made if there is none.
func (a *app) ownerKey(ctx context.Context) (events.Signer, func(), error) {
	if err := a.settings.makeDataDir(); err != nil {
		return nil, nil, err
	}
	return a.signer(ctx, or(a.settings.text("nodes.key"), a.settings.path("owner.key")))
}

// owner opens the owner's side, on the relays of this machine and on those named.
func (a *app) owner(ctx context.Context, relays []string) (*fleet.Owner, func(), error) {
	signer, unlocked, err := a.ownerKey(ctx)
	if err != nil {
		return nil, nil, err
	}
	if a.settings.source["relays"] == "default" && len(relays) > 0 {
		a.settings.put("relays", "", "the node")
	}
	all := append(a.settings.list("relays"), relays...)
	slices.Sort(all)
	a.settings.put("relays", strings.Join(slices.Compact(all), ","), a.settings.source["relays"])
	p, err := a.connect(ctx, signer)
	if err != nil {
		unlocked()
		return nil, nil, err
	}
	return &fleet.Owner{Signer: signer, Pool: p}, func() { p.Close(); unlocked() }, nil
}

// roster is the owner's list of nodes, as this machine last knew it.
type roster struct {
	At    events.Unix   `json:"at"`
	Nodes []fleet.Owned `json:"nodes"`
}

const rosterTopic = "nodes"

// roster reads the list; without any it is empty.
func (a *app) roster() (r roster, err error) {
	if _, err := os.Stat(a.settings.path("owner.db")); err != nil {
		return r, nil
	}
	l, err := ledger.Open(a.settings.path("owner.db"))
	if err != nil {
		return r, err
	}
	defer l.Close()
	records, err := l.Records(rosterTopic, 0)
	for _, one := range records {
		err = errors.Join(err, json.Unmarshal(one.Value, &r))
	}
	return r, err
}

// keepRoster writes the list down, and publishes it unless o is nil.
func (a *app) keepRoster(ctx context.Context, o *fleet.Owner, r roster) error {
	l, err := ledger.Open(a.settings.path("owner.db"))
	if err != nil {
		return err
	}
	defer l.Close()
	if o != nil {
		at, err := o.SaveList(ctx, r.Nodes, r.At)
		if err != nil {
			return fmt.Errorf("the list of nodes cannot be kept on the relays: %w", err)
		}
		r.At = at
	}
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return l.Record(rosterTopic, "list", body)
}

// newest is the list, as relays have it where that is newer: another machine of the owner's may have changed it.
func (a *app) newest(ctx context.Context, o *fleet.Owner) (roster, error) {
	r, err := a.roster()
	if err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	nodes, at, err := o.List(ctx)
	if err != nil {
		a.log.Warn("the list of nodes on the relays is not known", "err", err)
	}
	if at > r.At {
		r = roster{at, nodes}
		return r, a.keepRoster(ctx, nil, r)
	}
	return r, nil
}

// find gives the node that was meant by its name or the beginning of its key.
func (r roster) find(text string) (fleet.Owned, error) {
	var found []fleet.Owned
	var names []string
	key, _ := publicKey(text)
	for _, one := range r.Nodes {
		names = append(names, one.Name)
		if one.Name == text || one.Node == key {
			return one, nil
		}
		if len(text) >= 4 && strings.HasPrefix(string(one.Node), strings.ToLower(text)) {
			found = append(found, one)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return fleet.Owned{}, usage("more than one of your nodes begins with %s", text)
	case len(r.Nodes) == 0:
		return fleet.Owned{}, withHint(usage("you have no node yet"), "infernet nodes add --help")
	}
	return fleet.Owned{}, withHint(usage("you have no node %q%s", text, meant(text, names)), "infernet nodes list")
}

// there is the node that the owner names.
func (a *app) there(cmd *cobra.Command, args []string) (fleet.Caller, events.PubKey, func(), error) {
	known, err := a.roster()
	if err != nil {
		return nil, "", nil, err
	}
	var relays []string
	one, missing := known.find(args[0])
	if missing == nil {
		relays = one.Relays
	}
	o, done, err := a.owner(cmd.Context(), relays)
	if err != nil {
		return nil, "", nil, err
	}
	if missing != nil { // another machine may have added it
		if known, err = a.newest(cmd.Context(), o); err == nil {
			one, err = known.find(args[0])
		}
		if err != nil {
			done()
			return nil, "", nil, err
		}
	}
	return o, one.Node, done, nil
}

func (a *app) nodesAddCommand() *cobra.Command {
	var code, name string
	cmd := &cobra.Command{
		Use:   "add ADDRESS",
		Short: "Become the owner of a node",
		Long: "ADDRESS is what the node shows (infernet:npub1…, also as a QR code: 'infernet provide owner'), or its key (npub or hex), or the\n" +
			"IP address or name of its machine, with a port if that is not 3000. The one-time code is in the node's log. A node whose\n" +
			"setting provide.owner names your key needs no code.",
		Example:     "infernet nodes add $NODE_ADDRESS --name attic",
		Annotations: says("node, name, relays"),
		Args:        cobra.ExactArgs(1),
		RunE:        func(cmd *cobra.Command, args []string) error { return a.nodesAdd(cmd.Context(), args[0], code, name) },
	}
	cmd.Flags().StringVar(&code, "code", "", "the one-time code that the node shows")
	cmd.Flags().StringVar(&name, "name", "", "what you call it; its own name if unset")
	return cmd
}

func (a *app) nodesAdd(ctx context.Context, text, code, name string) error {
	at, err := fleet.Find(ctx, &http.Client{Timeout: askIn}, text)
	if err != nil {
		return withHint(usage("%w", err), "infernet nodes add --help")
	}
	o, done, err := a.owner(ctx, at.Relays)
	if err != nil {
		return err
	}
	defer done()
	asking, cancel := context.WithTimeout(ctx, claimIn)
	defer cancel()
	if code = or(code, at.Code); code == "" {
		if fd, typed := a.terminal(); typed && fd >= 0 {
			fmt.Fprint(a.Err, "the one-time code in the node's log (nothing, if its settings name your key): ")
			if code, err = a.newLines("").next(ctx); err != nil {
				return err
			}
		}
	}
	who, err := o.Claim(asking, at.Node, strings.TrimSpace(code))
	if err != nil {
		var no *fleet.Error
		if errors.As(err, &no) || errors.Is(err, fleet.ErrSilent) { // who has no owner and gets no code says nothing
			return withHint(err, "%s", remark(again(a.args, "--code", "CODE"), "the one in the node's log; or on the node: infernet provide owner --release"))
		}
		return err
	}
	r, err := a.newest(ctx, o)
	if err != nil {
		return err
	}
	one := fleet.Owned{Node: at.Node, Name: or(name, cell(who.Name), cutKey(string(at.Node))), Relays: at.Relays}
	if len(one.Relays) == 0 {
		one.Relays = who.Relays
	}
	r.Nodes = slices.DeleteFunc(r.Nodes, func(n fleet.Owned) bool { return n.Node == one.Node })
	for _, other := range r.Nodes {
		if other.Name == one.Name {
			one.Name += "-" + string(one.Node[:4])
		}
	}
	r.Nodes = append(r.Nodes, one)
	if err := a.keepRoster(ctx, o, r); err != nil {
		return err
	}
	if a.json {
		a.object(a.Out, one)
		return nil
	}
	fmt.Fprintf(a.Out, "%s is yours; to see it: infernet nodes status %s\n", one.Name, quoted(one.Name))
	return nil
}

func (a *app) nodesRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rm NODE", Short: "Take a node off the list; it goes on obeying you until 'infernet provide owner --release' there",
		Example: "infernet nodes rm attic", Annotations: says("node, name, relays"), Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, done, err := a.owner(cmd.Context(), nil)
			if err != nil {
				return err
			}
			defer done()
			r, err := a.newest(cmd.Context(), o)
			if err != nil {
				return err
			}
			one, err := r.find(args[0])
			if err != nil {
				return err
			}
			r.Nodes = slices.DeleteFunc(r.Nodes, func(n fleet.Owned) bool { return n.Node == one.Node })
			if err := a.keepRoster(cmd.Context(), o, r); err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, one)
				return nil
			}
			fmt.Fprintf(a.Out, "%s is off the list\n", one.Name)
			return nil
		},
	}
}

func (a *app) nodesListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "Your nodes, and which are there", Example: "infernet nodes list",
		Annotations: says("node, name, relays, alive, status (of its heartbeat), last (unix seconds, 0 if none was heard), running, waiting, slots"), Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.nodesList(cmd.Context()) },
	}
}

func (a *app) nodesList(ctx context.Context) error {
	known, err := a.roster()
	if err != nil {
		return err
	}
	var relays []string
	for _, one := range known.Nodes {
		relays = append(relays, one.Relays...)
	}
	o, done, err := a.owner(ctx, relays)
	if err != nil {
		return err
	}
	defer done()
	if known, err = a.newest(ctx, o); err != nil {
		return err
	}
	beats := map[events.PubKey]*events.Heartbeat{}
	if len(known.Nodes) > 0 {
		var keys []string
		for _, one := range known.Nodes {
			keys = append(keys, string(one.Node))
		}
		found, err := o.Pool.Query(ctx, nostr.Filter{Kinds: []int{events.KindHeartbeat}, Authors: keys})
		if err != nil {
			return err
		}
		for _, ev := range found {
			m, err := events.Parse(ev)
			if beat, ok := m.(*events.Heartbeat); err == nil && ok && (beats[beat.Author] == nil || beats[beat.Author].At < beat.At) {
				beats[beat.Author] = beat
			}
		}
	}
	now := time.Now()
	if a.json {
		for _, one := range known.Nodes {
			out := map[string]any{"node": one.Node, "name": one.Name, "relays": one.Relays, "alive": false, "last": 0}
			if b := beats[one.Node]; b != nil {
				out["alive"], out["status"], out["last"], out["running"], out["waiting"], out["slots"] = b.Alive(now), b.Status, b.At, b.Load, b.Queue, b.Capacity
			}
			a.object(a.Out, out)
		}
		return nil
	}
	if len(known.Nodes) == 0 {
		fmt.Fprintln(a.Err, "you have no node yet; infernet nodes add --help")
	}
	return a.columns("NODE\tKEY\tSTATE\tJOBS\tHEARD", func(w io.Writer) {
		for _, one := range known.Nodes {
			state, jobs, heard := "away", "-", "never"
			if b := beats[one.Node]; b != nil {
				heard = roughly(now.Sub(b.At.Time())) + " ago"
				if b.Alive(now) {
					state, jobs = or(b.Status, "ready"), fmt.Sprintf("%d of %d, %d wait", b.Load, b.Capacity, b.Queue)
				}
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", one.Name, cutKey(string(one.Node)), state, jobs, heard)
		}
	})
}

// claimIn is how long a node that is there may take to say yes; one that does not obey says nothing.
const claimIn = 6 * time.Second
