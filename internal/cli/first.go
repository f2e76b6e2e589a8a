package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"infernet/consumer"
	"infernet/engine"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/pool"
	"infernet/internal/store"
	"infernet/provider"
	"infernet/wallet"
)

// What a node does once: it measures its models, finds prices for them, asks where the money goes and buys a job of itself.
// All of it is remembered in the ledger, so that it starts at once the next time.

type firstRun struct{ yes bool } // nothing is asked

const (
	speeds   = "speed"  // topic of what was measured, by model
	tested   = "tested" // topic of the job that the node has bought of itself
	allBench = 2 * time.Minute
)

// measure measures the models that were not before, within bounds, and gives the speed of all that are known.
func (a *app) measure(ctx context.Context, e engine.Engine, l *ledger.Ledger) (map[string]provider.Speed, error) {
	known := map[string]provider.Speed{}
	records, err := l.Records(speeds, 0)
	if err != nil {
		return nil, err
	}
	for _, r := range records {
		var s provider.Speed
		if json.Unmarshal(r.Value, &s) == nil {
			known[r.Name] = s
		}
	}
	length := a.settings.duration("provide.bench")
	if length <= 0 {
		return known, nil
	}
	models, err := e.Models(ctx)
	if err != nil {
		return known, nil // the node itself says what is wrong
	}
	began := time.Now()
	for _, m := range models {
		if _, ok := known[m.ID]; ok || time.Since(began) > allBench {
			continue
		}
		s, err := provider.Measure(ctx, e, m, length)
		if errors.Is(err, provider.ErrNotMeasured) {
			continue
		}
		if err != nil {
			if ctx.Err() != nil {
				return known, err
			}
			a.tell("model  ", "%s cannot be measured: %v", m.ID, err)
			continue
		}
		body, err := json.Marshal(s)
		if err == nil {
			err = l.Record(speeds, m.ID, body)
		}
		if err != nil {
			return known, err
		}
		known[m.ID] = s
		a.tell("model  ", "%s: %.0f tokens a second, the first after %s (%d runs)", m.ID, s.PerSecond, s.First.Round(time.Millisecond), s.Runs)
	}
	return known, nil
}

// suggest gives prices to models that nobody has priced: what others ask on these relays, else by size. They become a
// setting that 'infernet provide set' changes.
func (a *app) suggest(ctx context.Context, s *settings, e engine.Engine, me events.PubKey, p *pool.Pool, l *ledger.Ledger) error {
	for _, name := range []string{"base", "in", "out", "ms"} {
		if s.source["provide.price."+name] != "default" {
			return nil // the owner has said what things cost
		}
	}
	have, err := modelPrices(s.text("provide.model_prices"))
	if err != nil {
		return err
	}
	models, err := e.Models(ctx)
	if err != nil {
		return nil // the node itself says what is wrong
	}
	var missing []engine.Model
	for _, m := range models {
		_, priced := s.prices[m.ID]
		_, named := have[m.ID]
		if !priced && !named && !strings.ContainsAny(m.ID, " ;") {
			missing = append(missing, m)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	c, err := consumer.New(consumer.Config{Pool: p, Relays: s.list("relays"), Ledger: l, Log: a.log})
	if err != nil {
		return err
	}
	standing, err := asks(ctx, c)
	if err != nil {
		a.log.Warn("what others ask is not known", "err", err)
	}
	for _, m := range missing {
		price, why := priceOf(m, slices.DeleteFunc(slices.Clone(standing), func(x asked) bool { return x.Node == me }))
		have[m.ID] = price
		a.tell("price  ", "%s: %s and %s for 1000 tokens in and out, %s a job (%s)", m.ID, price.In.Human(), price.Out.Human(), price.Base.Human(), why)
	}
	var text []string
	for _, id := range slices.Sorted(maps.Keys(have)) {
		price := have[id]
		text = append(text, fmt.Sprintf("%s base=%s in=%s out=%s ms=%s", id, price.Base, price.In, price.Out, price.Ms))
	}
	value := strings.Join(text, "; ")
	s.put("provide.model_prices", value, "suggested")
	a.tell("       ", "to change it: infernet provide set model_prices '…'")
	return l.Record(store.Topic, "provide.model_prices", []byte(value))
}

// priceOf is a price for a model: the median of what others ask for the same, else one by its size.
func priceOf(m engine.Model, standing []asked) (events.Price, string) {
	var same []asked
	for _, x := range standing {
		if x.Model.ID == m.ID && x.Model.Price != (events.Price{}) {
			same = append(same, x)
		}
	}
	if len(same) > 0 { // sorted by what 1000 in and out cost
		return same[len(same)/2].Model.Price, fmt.Sprintf("the median of %d nodes", len(same))
	}
	size := sizeOf(m.ID)
	for _, row := range priceTable {
		if size <= row.billions {
			return row.price, row.why
		}
	}
	last := priceTable[len(priceTable)-1]
	return last.price, last.why
}

// priceTable is what models of a size cost where nobody else sells them, in msat: a starting point, no market.
var priceTable = []struct {
	billions float64
	price    events.Price
	why      string
}{
	{1, events.Price{Base: 1000, In: 2000, Out: 6000}, "nobody else sells it here; as a small model"},
	{4, events.Price{Base: 1000, In: 5000, Out: 15_000}, "nobody else sells it here; as a model up to 4 B"},
	{10, events.Price{Base: 1000, In: 20_000, Out: 60_000}, "nobody else sells it here; as a model up to 10 B"},
	{40, events.Price{Base: 2000, In: 60_000, Out: 180_000}, "nobody else sells it here; as a model up to 40 B"},
	{1e6, events.Price{Base: 5000, In: 200_000, Out: 600_000}, "nobody else sells it here; as a large model"},
}

var sizes = regexp.MustCompile(`(?:^|[^a-z0-9.])(\d+(?:\.\d+)?)(b|m)(?:$|[^a-z0-9])`)

// sizeOf is how many billions of parameters a model has by its name; 7 if it does not say.
func sizeOf(id string) float64 {
	m := sizes.FindStringSubmatch(strings.ToLower(id))
	if m == nil {
		return 7
	}
	n, _ := strconv.ParseFloat(m[1], 64) // digits
	if m[2] == "m" {
		n /= 1000
	}
	return n
}

// askWallet asks at the terminal where the money goes, once, and keeps the address in a file. Where nobody types, or --yes
// was given, it asks nothing.
func (a *app) askWallet(ctx context.Context, yes bool) (wallet.Wallet, error) {
	fd, typed := a.terminal()
	if yes || a.json || !typed {
		return nil, nil
	}
	fmt.Fprintf(a.Err, "Where should the money go? Paste a wallet's nostr+walletconnect:// address (it is not shown): ")
	line, err := a.readPassword(ctx, fd)
	address := strings.TrimSpace(line)
	if err != nil || address == "" {
		return nil, err
	}
	w, err := wallets.Open(context.WithoutCancel(ctx), address, a.log)
	if err != nil {
		return nil, withHint(fmt.Errorf("that is no wallet: %w", err), "%s", again(a.args, "--free", ""))
	}
	path := a.settings.path("node.wallet")
	if err := writeSecret(path, address); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	a.tell("wallet ", "kept in %s", path)
	return w, nil
}

// selfTest buys one small job of the node itself, over its relays, as any customer would: paid where a wallet here can pay,
// given away where none can. It tells how that went and fails nobody.
func (a *app) selfTest(ctx context.Context, key events.PubKey, n *provider.Provider, l *ledger.Ledger) {
	if done, err := l.Records(tested, 0); err != nil || len(done) > 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 90*time.Second)
	defer cancel()
	got, how, err := a.buyOfSelf(ctx, key, n)
	if ctx.Err() != nil && err != nil {
		return // it is tried at the next start
	}
	if err != nil {
		a.tell("test   ", "the job that the node bought of itself failed: %v", err)
		return
	}
	a.tell("test   ", "a job of its own, over the relay: %s, %d tokens in %s, %s", how, got.Usage.Out, got.Took.Round(time.Millisecond), map[bool]string{true: "with a receipt", false: "no receipt came in time"}[got.Receipt != nil])
	if err := l.Record(tested, "job", []byte(got.Job)); err != nil {
		a.log.Error("cannot note the test", "err", err)
	}
}

func (a *app) buyOfSelf(ctx context.Context, key events.PubKey, n *provider.Provider) (*consumer.Delivery, string, error) {
	dir, err := os.MkdirTemp(a.settings.text("data_dir"), "test-")
	if err != nil {
		return nil, "", err
	}
	defer os.RemoveAll(dir)
	l, err := ledger.Open(filepath.Join(dir, "customer.db"))
	if err != nil {
		return nil, "", err
	}
	defer l.Close()
	customer := events.GenerateKeys()
	p, err := a.connect(ctx, customer)
	if err != nil {
		return nil, "", err
	}
	defer p.Close()
	config := consumer.Config{Pool: p, Relays: a.settings.list("relays"), Ledger: l, Signer: customer, Log: a.log}
	how := "given away, because no wallet here pays"
	w, err := a.openWallet(ctx, "wallet", a.settings.path("customer.wallet"))
	if payer, ok := w.(wallet.Payer); err == nil && ok {
		defer w.Close()
		config.Wallet = payer
	} else {
		if y := n.Policy(); y.Price.Free() && len(y.Prices) == 0 {
			how = "free"
		}
		n.Give(customer.PublicKey())
	}
	c, err := consumer.New(config)
	if err != nil {
		return nil, "", err
	}
	got, err := c.Do(ctx, consumer.Order{
		Kind: events.KindText, Inputs: []events.Input{{Value: "Say hello.", Type: "text"}}, Params: events.Params{{Name: "max_tokens", Values: []string{"16"}}},
		MaxCost: 1000 * events.Sat, Only: []events.PubKey{key}, First: true, Window: 20 * time.Second, Life: time.Minute,
	}, nil)
	if err == nil && got.Paid > 0 {
		how = "paid " + got.Paid.Human()
	}
	return got, how, err
}
