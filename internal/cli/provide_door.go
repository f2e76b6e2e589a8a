package cli

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"infernet/engine/gpu"
	"infernet/events"
	"infernet/fleet"
	"infernet/internal/httpd"
	"infernet/internal/ledger"
	"infernet/internal/notify"
	"infernet/internal/pool"
	"infernet/internal/store"
	"infernet/provider"
)

// steps counts what happened to jobs since the process began.
type steps struct {
	mu    sync.Mutex
	count map[string]int
}

func (s *steps) add(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == nil {
		s.count = map[string]int{}
	}
	s.count[step]++
}

func (s *steps) all() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.count)
}

// keptFor is how far back the machine's samples go.
const keptFor = time.Hour

// owners are whom the node obeys.
func (a *app) owners(l *ledger.Ledger, node events.PubKey) (*fleet.Owners, error) {
	var fixed []events.PubKey
	for _, text := range a.settings.list("provide.owner") {
		key, err := publicKey(text)
		if err != nil {
			return nil, a.settings.mend("provide.owner", usage("provide.owner (from %s): %w", a.settings.source["provide.owner"], err))
		}
		fixed = append(fixed, key)
	}
	return fleet.OpenOwners(l, node, fixed)
}

// openDesk makes the desk of a node that is about to run.
func (a *app) openDesk(rooms *records, n *provider.Provider, l *ledger.Ledger, p *pool.Pool, machine *gpu.Machine, owners *fleet.Owners, said *node, free bool) *desk {
	every := max(a.settings.duration("provide.sample"), time.Second)
	d := &desk{
		app: a, ledger: l, reader: rooms.history, node: n, free: free, said: said, since: time.Now(), pool: p, machine: machine,
		series: gpu.NewSeries(int(keptFor / every)), outbox: func() *notify.Outbox { return rooms.outbox.Load() }, owners: owners,
		key: rooms.signer.PublicKey(), name: n.Name,
	}
	d.changed.Store(true)
	d.alarms = d.newAlarms()
	rooms.desk = d
	return d
}

// begin opens the ways to the desk: this machine's socket and the relays; and it has the machine watched. All of it ends with ctx.
func (d *desk) begin(ctx context.Context, rooms *records) {
	commands := &fleet.Node{
		Signer: rooms.signer, Pool: d.pool, Owners: d.owners, Methods: d.methods(), Who: d.identity, Log: d.log,
		Set: func(_ context.Context, set map[string]string) error {
			_, err := d.settle(set)
			return err
		},
		Changed: func() { d.showCode() },
	}
	d.lasting = commands.Rev
	rooms.wait.Go(func() {
		if err := commands.Run(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("owners are not heard", "err", err)
		}
	})
	rooms.wait.Go(func() {
		if err := fleet.Serve(ctx, d.app.settings.path("node"), d.methods()); err != nil && ctx.Err() == nil {
			d.log.Warn("commands of this machine are not heard", "err", err)
		}
	})
	if every := d.app.settings.duration("provide.sample"); every > 0 {
		rooms.wait.Go(func() {
			d.machine.Watch(ctx, max(every, time.Second), d.app.settings.text("data_dir"), d.series, func(s gpu.Sample) { d.alarms.Sampled(sampleOf(s), d.cards()) })
		})
	}
	rooms.wait.Go(func() { d.check(ctx) })
	d.showCode()
}

// address is how an owner finds the node.
func (d *desk) address(code string) fleet.Address {
	return fleet.Address{Node: d.key, Relays: d.app.settings.list("relays"), Code: code}
}

// showCode tells how to become the node's owner, as long as it has none.
func (d *desk) showCode() {
	code := d.owners.Code()
	if code == "" || d.json {
		return
	}
	d.tell("owner  ", "none yet; to see and steer this node from anywhere: infernet nodes add '%s'", d.address(code))
}

// mountDesk mounts what the node shows its owner over HTTP, and its metrics.
func (a *app) mountDesk(door *httpd.Server, d *desk, rooms *records) {
	owned := httpd.Rules{Scope: historyScope, Allow: func(who httpd.Caller) bool {
		owner, _ := publicKey(a.settings.text("notify.owner")) // checked
		return who.Key != "" || who.PubKey == string(d.key) || owner != "" && who.PubKey == string(owner) || who.PubKey != "" && d.owners.Obeys(events.PubKey(who.PubKey))
	}}
	steered := owned // who may read may not steer
	steered.Scope = steerScope
	type none struct{}
	type identity struct{ Body fleet.Identity }
	type address struct {
		Body struct {
			Address string `json:"address" doc:"with the one-time code that makes an owner; empty once there is one"`
		}
	}
	httpd.Handle(door, httpd.Operation{
		Method: "GET", Path: fleet.IdentityPath + "/address", ID: "nodeAddress", Group: "node", Summary: "How to become the node's owner, for a page on its own machine",
		Text: "Answers this machine only: who knows the code becomes the owner.", Rules: httpd.Rules{Access: httpd.Anyone, When: httpd.Local},
	}, func(context.Context, *none) (*address, error) {
		out := &address{}
		if code := d.owners.Code(); code != "" {
			out.Body.Address = d.address(code).String()
		}
		return out, nil
	})
	httpd.Handle(door, httpd.Operation{
		Method: "GET", Path: fleet.IdentityPath, ID: "identity", Group: "node", Summary: "Which node this is",
		Rules: httpd.Rules{Access: httpd.Anyone, AnyHost: true, AnyOrigin: true},
	}, func(context.Context, *none) (*identity, error) { return &identity{d.identity()}, nil })
	mountAsked(door, owned, "GET", fleet.Status, "How the node is doing", func(ctx context.Context, _ *none) (any, error) { return d.report(ctx) }, fleet.Report{})
	type since struct {
		Since int64 `query:"since" minimum:"0" doc:"from then on, unix seconds; the newest 60 if missing"`
	}
	mountAsked(door, owned, "GET", fleet.Metrics, "How the machine was doing", func(_ context.Context, in *since) (any, error) {
		return d.samples(fleet.MetricsAsked{Since: events.Unix(in.Since)})
	}, fleet.Samples{})
	mountAsked(door, owned, "GET", fleet.Settings, "What may be changed while the node runs", func(context.Context, *none) (any, error) { return d.settle(nil) }, fleet.InForce{})
	type set struct {
		Body fleet.SettingsAsked
	}
	mountAsked(door, steered, "POST", fleet.Settings, "Change settings, all or none", func(_ context.Context, in *set) (any, error) { return d.settle(in.Body.Set) }, fleet.InForce{})
	mountAsked(door, steered, "POST", fleet.Pause, "Take no new jobs", func(context.Context, *none) (any, error) {
		return d.settle(map[string]string{"provide.paused": "true"})
	}, fleet.InForce{})
	mountAsked(door, steered, "POST", fleet.Resume, "Take jobs again", func(context.Context, *none) (any, error) {
		return d.settle(map[string]string{"provide.paused": "false"})
	}, fleet.InForce{})
	mountAsked(door, owned, "GET", fleet.Models, "What the engine runs", func(context.Context, *none) (any, error) { return d.models(fleet.ModelsAsked{}) }, fleet.Run{})
	type days struct {
		Days int `query:"days" minimum:"1" maximum:"90" default:"7" doc:"how many, today among them (UTC)"`
	}
	mountAsked(door, owned, "GET", fleet.Earnings, "What the node earned by day", func(ctx context.Context, in *days) (any, error) { return d.earnings(ctx, in.Days) }, fleet.Earned{})
	mountAsked(door, owned, "GET", fleet.Alerts, "What the owner should know", func(ctx context.Context, _ *none) (any, error) { return d.alerts(ctx, 0) }, fleet.Told{})
	d.meter(door, rooms)
}

// mountAsked mounts one method of the desk; the example only lends its type.
func mountAsked[I, O any](door *httpd.Server, rules httpd.Rules, method, name, summary string, do func(context.Context, *I) (any, error), _ O) {
	type out struct{ Body *O }
	id := "node" + string(name[0]-32) + name[1:]
	if method == "POST" && name == fleet.Settings {
		id = "nodeSet"
	}
	httpd.Handle(door, httpd.Operation{Method: method, Path: fleet.IdentityPath + "/" + name, ID: id, Group: "node", Summary: summary, Fails: []int{400, 503}, Rules: rules},
		func(ctx context.Context, in *I) (*out, error) {
			got, err := do(ctx, in)
			var no *fleet.Error
			switch {
			case errors.As(err, &no) && no.Code == fleet.CodeInvalid:
				return nil, httpd.Fail(400, "%s", no.Text)
			case errors.Is(err, errNotOpen):
				return nil, httpd.Fail(503, "%v", err)
			case err != nil:
				return nil, err
			}
			return &out{got.(*O)}, nil
		})
}

// meter puts the node and its machine among the door's metrics.
func (d *desk) meter(door *httpd.Server, rooms *records) {
	last := func() gpu.Sample {
		one, ok := d.series.Last()
		if !ok {
			one.Load = gpu.Load{CPU: -1, Memory: -1, Free: -1}
		}
		return one
	}
	type add = func(value float64, labels ...string)
	door.Collect("node_jobs", "Jobs that run, wait for a slot, are open, and the slots there are.", []string{"state"}, func(add add) {
		running, waiting, slots := d.node.Load()
		add(float64(running), "running")
		add(float64(waiting), "waiting")
		add(float64(d.node.Open()), "open")
		add(float64(slots), "slots")
	})
	door.Collect("node_job_steps_total", "Steps of jobs since the process began.", []string{"step"}, func(add add) {
		all := rooms.steps.all()
		for _, step := range slices.Sorted(maps.Keys(all)) {
			add(float64(all[step]), step)
		}
	})
	door.Collect("node_today", "Jobs of today (UTC) by what became of them.", []string{"end"}, func(add add) {
		sum := d.today(context.Background())
		add(float64(sum.Jobs), "taken")
		add(float64(sum.Delivered), "delivered")
		add(float64(sum.Failed), "failed")
	})
	door.Collect("node_today_msat", "Money of today (UTC): what arrived, and what is owed back.", []string{"what"}, func(add add) {
		sum := d.today(context.Background())
		add(float64(sum.Paid), "paid")
		add(float64(sum.Owed), "owed")
	})
	door.Collect("node_takes_jobs", "1 while the node takes jobs.", []string{"state"}, func(add add) {
		state, why := d.node.State()
		add(map[bool]float64{true: 1}[why == ""], state)
	})
	known := func(add add, value float64, labels ...string) {
		if value >= 0 {
			add(value, labels...)
		}
	}
	door.Collect("machine_cpu_percent", "Use of all cores.", nil, func(add add) { known(add, last().Load.CPU) })
	door.Collect("machine_memory_bytes", "Memory in use.", nil, func(add add) { known(add, float64(last().Load.Memory)) })
	door.Collect("machine_free_bytes", "Room on the disk where the node keeps its data.", nil, func(add add) { known(add, float64(last().Load.Free)) })
	card := func(name, help string, value func(gpu.Reading) float64) {
		door.Collect("gpu_"+name, help, []string{"gpu", "name"}, func(add add) {
			for _, r := range last().Cards {
				known(add, value(r), r.Card, d.cardName(r.Card))
			}
		})
	}
	card("busy_percent", "How much of the time a card computes.", func(r gpu.Reading) float64 { return r.Busy })
	card("memory_bytes", "Memory of a card in use.", func(r gpu.Reading) float64 { return float64(r.Used) })
	card("celsius", "A card's temperature.", func(r gpu.Reading) float64 { return r.Celsius })
	card("watts", "What a card draws.", func(r gpu.Reading) float64 { return r.Watts })
	door.Collect("gpu_lost", "1 for a card that says nothing any more.", []string{"gpu"}, func(add add) {
		for _, id := range last().Lost {
			add(1, id)
		}
	})
}

func (d *desk) cardName(id string) string {
	for _, c := range d.machine.Cards {
		if c.ID == id {
			return c.Name
		}
	}
	return id
}

// caller reaches the node of this machine, or answers from the journals where none runs. done ends it.
func (a *app) caller(ctx context.Context) (c fleet.Caller, done func(), err error) {
	if local, err := fleet.Dial(ctx, a.settings.path("node")); err == nil {
		return local, func() { local.Close() }, nil
	}
	if err := a.settings.makeDataDir(); err != nil {
		return nil, nil, err
	}
	l, err := ledger.Open(a.settings.path("node.db"))
	if err != nil {
		return nil, nil, err
	}
	var local *store.Journals
	d := &desk{app: a, ledger: l, reader: func(context.Context) (store.Reader, error) {
		if local == nil {
			local, err = store.OpenJournals(a.journals(nil))
		}
		return local, err
	}}
	return fleet.Direct(d.methods()), func() {
		if local != nil {
			local.Close()
		}
		l.Close()
	}, nil
}
