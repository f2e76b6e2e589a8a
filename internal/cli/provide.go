package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/spf13/cobra"

	"infernet/engine"
	"infernet/events"
	"infernet/internal/httpd"
	"infernet/internal/ledger"
	"infernet/provider"
	"infernet/wallet"
)

// provideFlags adds the flags of a node to a command.
func provideFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	for flag, setting := range map[string]string{
		"engine": "provide.engine", "name": "provide.name", "about": "provide.about", "slots": "provide.slots", "pay": "provide.pay", "wallet": "provide.wallet",
		"price-base": "provide.price.base", "price-in": "provide.price.in", "price-out": "provide.price.out",
	} {
		k := settingOf(setting)
		switch k.kind {
		case "number":
			f.Int64(flag, 0, k.about)
		case "list":
			f.StringSlice(flag, nil, k.about)
		default:
			f.String(flag, "", k.about)
		}
		f.Lookup(flag).Annotations = map[string][]string{"setting": {setting}}
		f.Lookup(flag).DefValue = k.standard // what the help shows
	}
	f.Bool("free", false, "ask for nothing")
}

func (a *app) provideCommand() *cobra.Command {
	var ready *string
	cmd := &cobra.Command{
		Use:   "provide",
		Short: "Sell what this machine can compute",
		Long: "Announces a node on the relays, takes jobs, runs them on the engine and is paid. No port needs to be open.\n\n" +
			"With the setting provide.listen the node has a door for its owner: /healthz, /metrics, /openapi.json, and its history for\n" +
			"who shows an app key ('infernet appkey') or signs with the node's key or notify.owner's (NIP-98).\n\n" +
			"The first time it measures each model (provide.bench, 20 s each), suggests prices from what others on the relays ask, asks\n" +
			"where the money goes, and buys one small job of itself. Later it starts at once.\n\n" +
			"A node that is paid needs a wallet: --wallet file:/path of a file, readable only by you, that holds its nostr+walletconnect://\n" +
			"address (or the setting provide.wallet). With --free the node asks for nothing and needs none.\n\n" + engineHelp,
		Example:     "infernet provide --engine echo: --free",
		Annotations: says("node, engine, wallet, door (where it answers its owner, if provide.listen is set); once jobs are taken"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			free, _ := cmd.Flags().GetBool("free")
			yes, _ := cmd.Flags().GetBool("yes")
			unlock, err := a.settings.lock("node")
			if err != nil {
				return err
			}
			defer unlock()
			return a.provideAlone(cmd.Context(), free, &firstRun{yes}, *ready)
		},
	}
	provideFlags(cmd)
	cmd.Flags().Bool("yes", false, "ask nothing, for servers")
	ready = readyFlag(cmd, "the node's key")
	cmd.AddCommand(
		a.provideSettingsCommand(), a.provideSetCommand(),
		a.providePauseCommand("pause", "Take no new jobs, also while the node runs; what was taken goes on", "true"),
		a.provideStatusCommand(), a.provideJobsCommand(), a.provideEarningsCommand(), a.provideMetricsCommand(), a.provideOwnerCommand(),
		a.providePauseCommand("resume", "Take jobs again", "false"),
	)
	return cmd
}

// provideAlone runs a node, with a door of its own where the settings want one.
func (a *app) provideAlone(ctx context.Context, free bool, first *firstRun, readyFile string) error {
	var door *httpd.Server
	if a.settings.text("provide.listen") != "" {
		var err error
		if door, err = a.openDoor("provide", nodeAbout); err != nil {
			return err
		}
		defer door.Close() // in vain once it runs
	}
	ctx, stop := context.WithCancelCause(ctx)
	var serving sync.WaitGroup
	defer serving.Wait()
	defer stop(nil)
	err := a.provide(ctx, free, first, door, func(n *node) error {
		said := map[string]string{"node": n.key, "engine": n.engine, "wallet": n.wallet}
		a.tell("node   ", "%s on %s", n.key, strings.Join(a.settings.list("relays"), ", "))
		a.tellEngine(n.engine)
		a.tell("machine", "%s", n.machine)
		a.tell("wallet ", "%s", n.wallet)
		if door != nil {
			serving.Go(func() {
				if err := door.Run(ctx); err != nil {
					stop(err)
				}
			})
			said["door"] = door.URL()
			a.tell("door   ", "%s", door.URL())
			if err := a.settings.held("node", door.URL()); err != nil {
				return err
			}
		}
		if a.json {
			a.object(a.Out, said)
		}
		return tellReady(readyFile, n.key)
	})
	if why := context.Cause(ctx); why != nil && !errors.Is(why, context.Canceled) {
		return why
	}
	return err
}

// node is a running provider, in words.
type node struct{ key, engine, wallet, machine string }

// tell writes a line of the conversation.
func (a *app) tell(what, format string, args ...any) {
	fmt.Fprintf(a.Err, "%s %s\n", what, hide(fmt.Sprintf(format, args...)))
}

// tellEngine names the engine, and where it was found, on a second line if both are too long for one.
func (a *app) tellEngine(named string) {
	if i := strings.LastIndex(named, " ("); i > 0 && len(named) > 72 {
		named = named[:i] + "\n       " + named[i:]
	}
	a.tell("engine ", "%s", named)
}

// provide runs a node until ctx ends. first, unless it is nil, is done before the node is first announced. door, which may be
// nil, shows its history. ready is called once it is known on a relay.
func (a *app) provide(ctx context.Context, free bool, first *firstRun, door *httpd.Server, ready func(*node) error) error {
	if err := a.settings.makeDataDir(); err != nil {
		return err
	}
	signer, unlocked, err := a.signer(ctx, a.settings.path("node.key"))
	if err != nil {
		return err
	}
	defer unlocked()
	me := signer.PublicKey()
	a.node.Store(&me)
	var waits *waiting
	if !a.json {
		waits = startWaiting(a.Err, "the engine")
	}
	defer waits.end()
	e, named, err := a.openEngine(ctx)
	if err != nil {
		return err
	}
	defer e.Close()
	l, err := ledger.Open(a.settings.path("node.db"))
	if err != nil {
		return err
	}
	defer l.Close()
	machine := a.machine(ctx)
	defer machine.Close()
	waits.heard("the relays")
	p, err := a.connect(ctx, signer)
	if err != nil {
		return err
	}
	defer p.Close()
	config := a.nodeConfig(e, l, signer)
	inForce, mark, err := a.inForce(l)
	if err != nil {
		return err
	}
	config.Pool, config.GPUs = p, shown(machine.Cards)
	said := "none: everything is free"
	if !free {
		w, err := a.openWallet(ctx, "provide.wallet", a.settings.path("node.wallet"))
		if err == nil && w == nil && first != nil {
			waits.end()
			w, err = a.askWallet(ctx, first.yes)
		}
		if err != nil {
			return err
		}
		if w == nil {
			return withHint(fmt.Errorf("%w: no wallet to be paid into%s", wallet.ErrUnavailable, a.foreign(a.settings.path("node.wallet"))),
				"%s", remark(again(a.args, "--free", ""), "to be paid instead: --wallet file:/path of a file that holds its address"))
		}
		defer w.Close()
		receiver, ok := w.(wallet.Receiver)
		if !ok {
			return usage("provide.wallet: %s cannot be paid into", w.Describe())
		}
		config.Wallet, said = receiver, w.Describe()
		waits.heard("the wallet: " + said)
	}
	if first != nil {
		waits.end()
		if config.Speeds, err = a.measure(ctx, e, l); err != nil {
			return err
		}
	}
	if first != nil && !free {
		if err := a.suggest(ctx, inForce, e, signer.PublicKey(), p, l); err != nil {
			return err
		}
	}
	if config.Policy, err = inForce.policy(); err != nil {
		return err
	}
	if free {
		config.Price, config.Prices = events.Price{}, nil
	}
	rooms := &records{app: a, signer: signer, opened: make(chan struct{})}
	config.Step = rooms.step
	if door != nil {
		if err := a.mountNode(door, p, rooms); err != nil {
			return err
		}
	}
	n, err := provider.New(ctx, config)
	if err != nil {
		return err
	}
	owners, err := a.owners(l, signer.PublicKey())
	if err != nil {
		return err
	}
	d := a.openDesk(rooms, n, l, p, machine, owners, &node{string(signer.PublicKey()), named, said, describe(machine)}, free)
	d.engine, d.purse = e, config.Wallet
	if door != nil {
		a.mountDesk(door, d, rooms)
	}
	ctx, stop := context.WithCancel(ctx)
	defer rooms.end()
	defer stop()
	began := events.At(time.Now())
	beats := p.Subscribe(ctx, nostr.Filter{Kinds: []int{events.KindHeartbeat}, Authors: []string{string(signer.PublicKey())}}).Events
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	err = awaitBeat(beats, began, ended)
	waits.end()
	if err == nil {
		if err = ready(d.said); err == nil {
			rooms.begin(ctx, l, p)
			d.begin(ctx, rooms)
			rooms.wait.Go(func() { a.follow(ctx, l, n, free, mark) })
			if first != nil && a.settings.duration("provide.bench") > 0 {
				rooms.wait.Go(func() { a.selfTest(ctx, signer.PublicKey(), n, l) })
			}
			err = <-ended
		} else {
			stop()
			<-ended
		}
		a.tellPromises(l, signer)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// awaitBeat waits until a relay shows that the node is there, or the node has ended.
func awaitBeat(beats <-chan *nostr.Event, began events.Unix, ended <-chan error) error {
	for {
		select {
		case err := <-ended:
			return err
		case ev, ok := <-beats:
			if !ok {
				return <-ended
			}
			m, err := events.Parse(ev)
			if err != nil {
				continue
			}
			if beat, ok := m.(*events.Heartbeat); ok && beat.At >= began && beat.Status != "draining" {
				return nil
			}
		}
	}
}

func (a *app) nodeConfig(e engine.Engine, l *ledger.Ledger, signer events.Signer) provider.Config {
	s := a.settings
	name := s.text("provide.name")
	if name == "" {
		name, _ = os.Hostname()
	}
	return provider.Config{
		Name: name, About: s.text("provide.about"), Signer: signer, Relays: s.list("relays"), Ledger: l, Engine: e,
		Dir: s.path("jobs"), Servers: s.list("files.servers"), Pay: s.list("provide.pay"), Log: a.log,
	}
}
