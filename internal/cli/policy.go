package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/store"
	"infernet/provider"
)

// live are the settings that may be changed while a node runs: all that a policy is made of.
var live = []string{
	"provide.slots", "provide.price.base", "provide.price.in", "provide.price.out", "provide.price.ms", "provide.price.minimum", "provide.price.hours",
	"provide.price.low", "provide.price.normal", "provide.price.high", "provide.free_jobs", "provide.free_jobs_all", "provide.hours", "provide.zone",
	"provide.models", "provide.model_prices", "provide.limits", "provide.paused", "provide.alert.hot", "provide.alert.free", "provide.alert.success", "provide.alert.earnings", "provide.allow", "provide.block", "provide.work",
}

// policy is how a node deals, as the settings say. Its error names the setting that is wrong.
func (s *settings) policy() (y provider.Policy, err error) {
	number := func(name string) events.Msat { return events.Msat(s.number(name)) }
	y = provider.Policy{
		Price:   events.Price{Base: number("provide.price.base"), In: number("provide.price.in"), Out: number("provide.price.out"), Ms: number("provide.price.ms")},
		Percent: map[string]int{},
		Minimum: number("provide.price.minimum"), Quota: provider.Quota{Jobs: int(s.number("provide.free_jobs")), All: int(s.number("provide.free_jobs_all"))},
		Slots: int(s.number("provide.slots")), Paused: s.yes("provide.paused"), Work: int(s.number("provide.work")),
	}
	wrong := func(name string, err error) (provider.Policy, error) {
		return y, s.mend(name, usage("%s (from %s): %w", name, s.source[name], err))
	}
	for priority, standard := range events.Priorities {
		if percent := int(s.number("provide.price." + priority)); percent != standard {
			y.Percent[priority] = percent
		}
	}
	for _, model := range s.list("provide.models") {
		y.Models = append(y.Models, strings.ToLower(model))
	}
	for name, to := range map[string]*[]events.PubKey{"provide.allow": &y.Allow, "provide.block": &y.Block} {
		for _, text := range s.list(name) {
			key, err := publicKey(text)
			if err != nil {
				return wrong(name, err)
			}
			*to = append(*to, key)
		}
	}
	zone := s.text("provide.zone")
	if _, err := time.LoadLocation(zone); err != nil {
		return wrong("provide.zone", fmt.Errorf("%q: want a name such as Europe/Berlin", zone))
	}
	for _, text := range parts(s.text("provide.hours")) {
		w, err := provider.ParseWindow(text, zone)
		if err != nil {
			return wrong("provide.hours", err)
		}
		y.Open = append(y.Open, w)
	}
	for _, text := range parts(s.text("provide.price.hours")) {
		i := strings.LastIndex(text, " ")
		percent, err := strconv.Atoi(strings.TrimSuffix(text[i+1:], "%"))
		if err != nil || i < 0 {
			return wrong("provide.price.hours", fmt.Errorf("%q: want hours and a percentage, such as 22:00-06:00 50", text))
		}
		w, err := provider.ParseWindow(text[:i], zone)
		if err != nil {
			return wrong("provide.price.hours", err)
		}
		y.Times = append(y.Times, provider.PriceTime{Window: w, Percent: percent})
	}
	named, err := modelPrices(s.text("provide.model_prices"))
	if err != nil {
		return wrong("provide.model_prices", err)
	}
	y.Prices = maps.Clone(s.prices)
	maps.Copy(y.Prices, named)
	if y.Limits, err = limits(s.text("provide.limits")); err != nil {
		return wrong("provide.limits", err)
	}
	if err := y.Check(); err != nil {
		return y, usage("provide: %w", err)
	}
	return y, nil
}

// parts are what a text holds between semicolons.
func parts(text string) (all []string) {
	for _, part := range strings.Split(text, ";") {
		if part = strings.TrimSpace(part); part != "" {
			all = append(all, part)
		}
	}
	return all
}

// modelPrices reads "smol base=1000 in=20000 out=60000; big out=200000". What is not named costs nothing.
func modelPrices(text string) (map[string]events.Price, error) {
	all := map[string]events.Price{}
	for _, part := range parts(text) {
		fields := strings.Fields(part)
		var p events.Price
		for _, field := range fields[1:] {
			name, value, _ := strings.Cut(field, "=")
			to := map[string]*events.Msat{"base": &p.Base, "in": &p.In, "out": &p.Out, "ms": &p.Ms}[name]
			if to == nil {
				return nil, fmt.Errorf("%q: there is base, in, out and ms", field)
			}
			n, err := events.ParseMsat(value)
			if err != nil {
				return nil, fmt.Errorf("%q: want a number of msat", field)
			}
			*to = n
		}
		if len(fields) == 1 {
			return nil, fmt.Errorf("%q: want a model and base=, in=, out= or ms=", part)
		}
		all[strings.ToLower(fields[0])] = p
	}
	return all, nil
}

// limits reads "smol slots=1 in=4000 out=500; big slots=2".
func limits(text string) (map[string]provider.Limit, error) {
	all := map[string]provider.Limit{}
	for _, part := range parts(text) {
		fields := strings.Fields(part)
		var l provider.Limit
		for _, field := range fields[1:] {
			name, value, _ := strings.Cut(field, "=")
			n, err := strconv.ParseInt(value, 10, 32)
			if err != nil || n < 1 {
				return nil, fmt.Errorf("%q: want a number from 1", field)
			}
			switch name {
			case "slots":
				l.Slots = int(n)
			case "in":
				l.MaxIn = n
			case "out":
				l.MaxOut = n
			default:
				return nil, fmt.Errorf("%q: there is slots, in and out", field)
			}
		}
		if len(fields) == 1 {
			return nil, fmt.Errorf("%q: want a model and slots=, in= or out=", part)
		}
		all[strings.ToLower(fields[0])] = l
	}
	return all, nil
}

// changed are the settings with what was changed while running.
func (s *settings) changed(records []ledger.Record) *settings {
	c := *s
	c.values, c.source = map[string]string{}, map[string]string{}
	for _, k := range table {
		c.put(k.name, s.values[k.name], s.source[k.name])
	}
	for _, r := range records {
		if slices.Contains(live, r.Name) {
			c.put(r.Name, string(r.Value), "changed "+r.At.Local().Format(time.DateTime))
		}
	}
	return &c
}

// inForce are the settings in force here: with what was changed while running, in this folder's ledger.
func (a *app) inForce(l *ledger.Ledger) (*settings, int64, error) {
	records, err := l.Records(store.Topic, 0)
	if err != nil {
		return nil, 0, err
	}
	var mark int64
	for _, r := range records {
		mark = r.Seq
	}
	return a.settings.changed(records), mark, nil
}

// followEvery is how often a running node looks for changed settings.
const followEvery = time.Second

// follow puts changed settings into force until ctx ends. What is wrong is logged and left out.
func (a *app) follow(ctx context.Context, l *ledger.Ledger, n *provider.Provider, free bool, mark int64) {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		fresh, err := l.Records(store.Topic, mark)
		if err != nil {
			a.log.Error("cannot read changed settings", "err", err)
		}
		if len(fresh) == 0 {
			continue
		}
		mark = fresh[len(fresh)-1].Seq
		s, _, err := a.inForce(l)
		if err == nil {
			err = a.deal(n, s, free)
		}
		if err != nil {
			a.log.Error("a changed setting is not taken", "err", err)
			continue
		}
		a.log.Info("settings are changed", "names", len(fresh))
	}
}

func (a *app) deal(n *provider.Provider, s *settings, free bool) error {
	y, err := s.policy()
	if err != nil {
		return err
	}
	if free {
		y.Price, y.Prices = events.Price{}, nil
	}
	return n.Set(y)
}
