package cli

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"infernet/engine"
	"infernet/engine/gpu"
	"infernet/events"
	"infernet/fleet"
	"infernet/internal/ledger"
	"infernet/internal/notify"
	"infernet/internal/pool"
	"infernet/internal/store"
	"infernet/provider"
	"infernet/wallet"
)

// desk answers a node's owner, whichever way it asks: on this machine, over HTTP, through relays. Without a node it answers what
// the journals know.
type desk struct {
	*app
	ledger *ledger.Ledger
	reader func(ctx context.Context) (store.Reader, error)

	node    *provider.Provider // nil where none runs; so are those below
	free    bool
	said    *node
	since   time.Time
	pool    *pool.Pool
	machine *gpu.Machine
	series  *gpu.Series
	outbox  func() *notify.Outbox // nil while it is not open
	alarms  *fleet.Alarms
	engine  engine.Engine
	purse   wallet.Receiver // nil where everything is free
	owners  *fleet.Owners
	lasting func() (rev int64, refused string)
	key     events.PubKey
	name    string

	setting sync.Mutex  // one change at a time
	changed atomic.Bool // the history has, since the sum was made
	mu      sync.Mutex
	sum     fleet.Sum // of today
	summed  time.Time
}

// methods are what the desk does.
func (d *desk) methods() map[string]fleet.Method {
	type none struct{}
	return map[string]fleet.Method{
		fleet.Status:   fleet.Do(func(ctx context.Context, _ none) (any, error) { return d.report(ctx) }),
		fleet.Metrics:  fleet.Do(func(_ context.Context, in fleet.MetricsAsked) (any, error) { return d.samples(in) }),
		fleet.Settings: fleet.Do(func(_ context.Context, in fleet.SettingsAsked) (any, error) { return d.settle(in.Set) }),
		fleet.Pause: fleet.Do(func(_ context.Context, _ none) (any, error) {
			return d.settle(map[string]string{"provide.paused": "true"})
		}),
		fleet.Resume: fleet.Do(func(_ context.Context, _ none) (any, error) {
			return d.settle(map[string]string{"provide.paused": "false"})
		}),
		fleet.Models:   fleet.Do(func(_ context.Context, in fleet.ModelsAsked) (any, error) { return d.models(in) }),
		fleet.Jobs:     fleet.Do(func(ctx context.Context, in fleet.JobsAsked) (any, error) { return d.jobs(ctx, in) }),
		fleet.Earnings: fleet.Do(func(ctx context.Context, in fleet.EarningsAsked) (any, error) { return d.earnings(ctx, in.Days) }),
		fleet.Alerts:   fleet.Do(func(ctx context.Context, in fleet.AlertsAsked) (any, error) { return d.alerts(ctx, in.Limit) }),
	}
}

func (d *desk) identity() fleet.Identity {
	return fleet.Identity{Node: d.key, Name: d.name, Relays: d.app.settings.list("relays"), Owned: len(d.owners.Keys()) > 0}
}

// report is how the node is doing.
func (d *desk) report(ctx context.Context) (*fleet.Report, error) {
	if d.node == nil {
		return nil, fleet.ErrNoNode
	}
	now := time.Now()
	r := &fleet.Report{
		Identity: d.identity(), Version: version, At: events.At(now), Since: events.At(d.since),
		Engine: hide(d.said.engine), Wallet: d.said.wallet, Open: d.node.Open(), Today: d.today(ctx),
	}
	r.State, r.Why = d.node.State()
	r.Running, r.Waiting, r.Slots = d.node.Load()
	for _, one := range d.pool.Status() {
		r.Seen = append(r.Seen, fleet.Relay{URL: hide(one.URL), Connected: one.Connected})
	}
	h := d.machine.Host
	r.Machine = fleet.Machine{CPU: h.CPU, Cores: h.Cores, Memory: h.Memory, Cards: d.cards()}
	if last, ok := d.series.Last(); ok {
		one := sampleOf(last)
		r.Load = &one
	}
	if d.lasting != nil {
		r.Rev, r.Refused = d.lasting()
	}
	if o := d.outbox(); o != nil {
		open, err := o.Open()
		if err != nil {
			return nil, err
		}
		r.Alerts = len(open)
	}
	return r, nil
}

func (d *desk) cards() []fleet.Card {
	all := []fleet.Card{}
	for _, c := range d.machine.Cards {
		all = append(all, fleet.Card{ID: c.ID, Name: c.Name, Memory: c.Memory})
	}
	return all
}

func sampleOf(s gpu.Sample) fleet.Sample {
	one := fleet.Sample{At: events.At(s.At), CPU: s.Load.CPU, Memory: s.Load.Memory, Free: s.Load.Free, Cards: []fleet.Reading{}, Lost: s.Lost}
	for _, c := range s.Cards {
		one.Cards = append(one.Cards, fleet.Reading{ID: c.Card, Busy: c.Busy, Used: c.Used, Celsius: c.Celsius, Watts: c.Watts})
	}
	return one
}

// maxSamples is how many samples an answer holds at most.
const maxSamples = 60

// samples are those of the machine, the newest that fit into an answer.
func (d *desk) samples(in fleet.MetricsAsked) (*fleet.Samples, error) {
	if d.node == nil {
		return nil, fleet.ErrNoNode
	}
	out := &fleet.Samples{Samples: []fleet.Sample{}}
	all := d.series.Since(in.Since.Time())
	most := max(1, maxSamples/max(1, len(d.machine.Cards)))
	for _, one := range all[max(0, len(all)-most):] {
		out.Samples = append(out.Samples, sampleOf(one))
	}
	return out, nil
}

// settle changes settings, all or none, and gives what is in force.
func (d *desk) settle(set map[string]string) (*fleet.InForce, error) {
	d.setting.Lock()
	defer d.setting.Unlock()
	s, _, err := d.inForce(d.ledger)
	if err != nil {
		return nil, err
	}
	full, err := s.take(set)
	if err != nil {
		return nil, fleet.Refuse(fleet.CodeInvalid, "%v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(full)) {
		if err := d.ledger.Record(store.Topic, name, []byte(full[name])); err != nil {
			return nil, err
		}
	}
	if s, _, err = d.inForce(d.ledger); err != nil {
		return nil, err
	}
	if d.node != nil && len(full) > 0 {
		if err := d.deal(d.node, s, d.free); err != nil {
			return nil, err
		}
	}
	out := &fleet.InForce{}
	if d.lasting != nil {
		out.Rev, _ = d.lasting()
	}
	for _, name := range live {
		out.Settings = append(out.Settings, fleet.NodeSetting{Name: name, Value: s.text(name), Source: s.source[name]})
	}
	return out, nil
}

// take puts changes into the settings, if all of them together are a policy; it gives them by their full names.
func (s *settings) take(set map[string]string) (map[string]string, error) {
	full := map[string]string{}
	for name, value := range set {
		name = "provide." + strings.TrimPrefix(name, "provide.")
		if !slices.Contains(live, name) {
			return nil, usage("%q cannot be changed while a node runs", name)
		}
		if value == "" {
			value = settingOf(name).standard
		}
		if len(value) > maxLine || strings.ContainsAny(value, "\n\x00") {
			return nil, usage("%s: the value is too long, or has a line break", name)
		}
		full[name] = value
		s.put(name, value, "the command")
		if err := s.checkOne(settingOf(name)); err != nil {
			return nil, err
		}
	}
	_, err := s.policy()
	return full, err
}

// models are the engine's, after some were chosen.
func (d *desk) models(in fleet.ModelsAsked) (*fleet.Run, error) {
	if d.node == nil {
		return nil, fleet.ErrNoNode
	}
	if in.All || len(in.Only) > 0 {
		have := d.node.Models()
		for _, id := range in.Only {
			if !slices.ContainsFunc(have, func(m provider.Run) bool { return m.ID == strings.ToLower(id) }) {
				return nil, fleet.Refuse(fleet.CodeInvalid, "the engine has no model %.80q", id)
			}
		}
		if _, err := d.settle(map[string]string{"provide.models": strings.Join(in.Only, ",")}); err != nil {
			return nil, err
		}
	}
	out := &fleet.Run{Models: []fleet.Model{}}
	for _, m := range d.node.Models() {
		out.Models = append(out.Models, fleet.Model{ID: m.ID, Kinds: m.Kinds, Digest: m.Digest, Context: m.Context, Slots: max(1, m.Slots), Price: m.Price, Sold: m.Sold})
	}
	return out, nil
}

// page gives a page of the node's jobs.
func (d *desk) page(ctx context.Context, q store.JobQuery) ([]store.Job, error) {
	r, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	q.Role = ledger.Provider
	return r.Jobs(ctx, q)
}

func (d *desk) jobs(ctx context.Context, in fleet.JobsAsked) (*fleet.Done, error) {
	q := store.JobQuery{Live: in.Live, Since: in.Since, Limit: min(or0(in.Limit, 20), 50)}
	if in.Limit < 0 {
		return nil, fleet.Refuse(fleet.CodeInvalid, "limit %d: want a number from 1", in.Limit)
	}
	if in.Before != "" {
		mark, err := store.ParseMark(in.Before)
		if err != nil {
			return nil, fleet.Refuse(fleet.CodeInvalid, "%v", err)
		}
		q.Before = &mark
	}
	rows, err := d.page(ctx, q)
	if err != nil {
		return nil, err
	}
	out := &fleet.Done{Jobs: append([]store.Job{}, rows...)}
	if len(rows) == q.Limit {
		out.Next = rows[len(rows)-1].Mark().String()
	}
	return out, nil
}

func or0(value, standard int) int {
	if value == 0 {
		return standard
	}
	return value
}

func (d *desk) earnings(ctx context.Context, days int) (*fleet.Earned, error) {
	days = or0(days, 7)
	if days < 1 || days > 90 {
		return nil, fleet.Refuse(fleet.CodeInvalid, "days %d: want 1 to 90", days)
	}
	return fleet.Earn(time.Now(), days, func(before *store.Mark) ([]store.Job, error) {
		return d.page(ctx, store.JobQuery{Before: before, Limit: 1000})
	})
}

// today is the sum of today's jobs. It is made again when the history has changed, not more often than every other second.
func (d *desk) today(ctx context.Context) fleet.Sum {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if now.Sub(d.summed) < 2*time.Second || !d.changed.Load() && now.UTC().YearDay() == d.summed.UTC().YearDay() && now.Sub(d.summed) < time.Minute {
		return d.sum
	}
	d.changed.Store(false)
	e, err := d.earnings(ctx, 1)
	if err != nil {
		d.log.Debug("today's sum", "err", err)
		return d.sum
	}
	d.sum, d.summed = e.Total, now
	return d.sum
}

func (d *desk) alerts(ctx context.Context, limit int) (*fleet.Told, error) {
	if limit < 0 {
		return nil, fleet.Refuse(fleet.CodeInvalid, "limit %d: want a number from 1", limit)
	}
	r, err := d.reader(ctx)
	if err != nil {
		return nil, err
	}
	out := &fleet.Told{Open: []string{}}
	if out.Notices, err = r.Notices(ctx, store.NoticeQuery{Limit: min(or0(limit, 20), 50)}); err != nil {
		return nil, err
	}
	if out.Notices == nil {
		out.Notices = []notify.Notice{}
	}
	for i := range out.Notices {
		out.Notices[i].Text = cell(cutText(out.Notices[i].Text, 400))
	}
	if d.outbox != nil {
		if o := d.outbox(); o != nil {
			out.Open, err = o.Open()
		}
	}
	return out, err
}

// cutText shortens a text, between two characters.
func cutText(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// errNotOpen says that the history is not there yet, or cannot be.
var errNotOpen = errors.New("the history is not open; the log says why")

// history gives the history once it is open, or waits a little for it.
func (r *records) history(ctx context.Context) (store.Reader, error) {
	timer := time.NewTimer(openIn)
	defer timer.Stop()
	select {
	case <-r.opened:
	case <-timer.C:
	case <-ctx.Done():
	}
	if o := r.owner.Load(); o != nil {
		return o, nil
	}
	return nil, errNotOpen
}
