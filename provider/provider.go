// Package provider is the node: it announces what it runs, quotes jobs, is paid, runs them on its engine and delivers.
//
// It promises that a payment buys one run and one result: what money or work depends on is in the ledger before it is
// said on a relay, and after a crash every job goes on where it stood. A node is silent about jobs that are not
// addressed to it and never silent about those that are.
//
// Begin with serve, which is the whole of one job in a straight line.
package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"infernet/engine"
	"infernet/events"
	"infernet/internal/blob"
	"infernet/internal/guard"
	"infernet/internal/ledger"
	"infernet/internal/pool"
	"infernet/wallet"
)

// Config says what a node has and wants. Signer, Pool, Ledger and Engine are needed.
type Config struct {
	Name   string // the announcement's name; "node" if unset
	About  string
	Signer events.Signer
	Pool   *pool.Pool // its relays are where jobs are heard
	Relays []string   // the same relays, as others reach them
	Ledger *ledger.Ledger
	Engine engine.Engine
	Wallet wallet.Receiver // nil: everything is free

	Policy                  // how it deals at first; Set changes it
	Pay    []string         // ways to be paid, preferred first; free or prepaid, hold and sealed, as price and wallet allow, if unset
	GPUs   []events.GPU     // its graphics cards, as found
	Speeds map[string]Speed // of models that were measured; what jobs take is learned anew from there

	Dir       string       // where files of jobs are while they are worked on; the system's folder for such if unset
	Servers   []string     // file servers that results go to; those beside Relays if unset
	Files     *blob.Client // moves files; one with Signer that trusts Servers if unset
	Guard     *guard.Guard // fetches inputs by url; a strict one if unset
	MaxInput  int64        // most bytes of one job's inputs; 1 GiB if unset
	MaxOutput int64        // most bytes of one output file; 1 GiB if unset

	Queue     int           // jobs that may wait for a slot; 16 if unset
	PerKey    int           // jobs at once from one key; 8 if unset
	Unpaid    int           // sealed results that one key may leave unpaid; 3 if unset
	OfferFor  time.Duration // how long an offer holds; 60 s if unset
	LeaseFor  time.Duration // how long a lease lasts; 120 s if unset, 600 s at most
	HoldFor   time.Duration // how long a customer's money may be kept locked for the work; 600 s if unset, and at most
	SealedFor time.Duration // how long a sealed result waits to be paid; 10 minutes if unset
	StandDown time.Duration // longest random wait before an open plain job is done for free; 3 s if unset

	// Step, if set, is told each step of a job as soon as it is durable: offered, awarded, asked, paid or held, started,
	// running, made, delivered, settled, owed. The history follows a node by it, and must not hold it up; tests crash a
	// node there.
	Step func(job events.ID, step string)

	Log *slog.Logger
	Now func() time.Time
}

// Provider is a running node.
type Provider struct {
	Config
	me     events.PubKey
	models []engine.Model
	policy atomic.Pointer[Policy]
	queue  *queue
	board  *board
	holds  bool // the wallet can lock payments
	pace   *pace

	customers *customers
	draining  atomic.Bool
	turned    chan struct{} // the board is to look again at what it shows

	mu     sync.Mutex
	jobs   map[events.ID]*job // being served
	offers map[events.ID]*job // by offer id, while they hold
	perKey map[events.PubKey]int
	unpaid map[events.PubKey]int

	cancelled map[events.ID]events.PubKey // jobs, and who said so
	answered  map[events.ID]bool          // jobs that this node said something about before it started
	paying    sync.Map                    // jobs whose debt is being paid out
	stating   sync.Mutex                  // statements are signed one after the other
	strays    int                         // answers to awards of no known offer, in this minute
	minute    int64

	working sync.WaitGroup
}

// New checks the config and asks the engine what it can run.
func New(ctx context.Context, c Config) (*Provider, error) {
	if c.Signer == nil || c.Pool == nil || c.Ledger == nil || c.Engine == nil {
		return nil, errors.New("provider: signer, pool, ledger and engine are needed")
	}
	models, err := c.Engine.Models(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the engine for its models: %w", err)
	}
	if len(models) == 0 {
		return nil, errors.New("the engine runs no model")
	}
	c.Queue = orDefault(c.Queue, 16)
	c.PerKey = orDefault(c.PerKey, 8)
	c.Unpaid = orDefault(c.Unpaid, 3)
	c.OfferFor = orDefault(c.OfferFor, time.Minute)
	c.LeaseFor = min(orDefault(c.LeaseFor, 2*time.Minute), maxLease)
	c.HoldFor = min(orDefault(c.HoldFor, maxLease), maxLease)
	c.SealedFor = orDefault(c.SealedFor, 10*time.Minute)
	c.StandDown = orDefault(c.StandDown, 3*time.Second)
	c.Name = orDefault(c.Name, "node")
	c.MaxInput = orDefault(c.MaxInput, 1<<30)
	c.MaxOutput = orDefault(c.MaxOutput, 1<<30)
	if c.Servers == nil {
		for _, relay := range c.Relays {
			c.Servers = append(c.Servers, blob.ServerOf(relay))
		}
	}
	if c.Files == nil {
		c.Files = blob.NewClient(blob.ClientConfig{Signer: c.Signer, Trusted: c.Servers, Bytes: c.MaxInput, Log: c.Log})
	}
	if c.Guard == nil {
		c.Guard = guard.New(guard.Config{Bytes: c.MaxInput, Time: 10 * time.Minute})
	}
	if c.Dir != "" {
		if err := clearFolder(c.Dir); err != nil {
			return nil, fmt.Errorf("folder of jobs: %w", err)
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Step == nil {
		c.Step = func(events.ID, string) {}
	}
	p := &Provider{
		Config: c, me: c.Signer.PublicKey(), models: models, queue: newQueue(1), pace: newPace(),
		jobs: map[events.ID]*job{}, offers: map[events.ID]*job{},
		perKey: map[events.PubKey]int{}, unpaid: map[events.PubKey]int{}, customers: newCustomers(), turned: make(chan struct{}, 1),
		cancelled: map[events.ID]events.PubKey{}, answered: map[events.ID]bool{},
	}
	if err := p.Set(c.Policy); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	for model, s := range c.Speeds {
		p.pace.models[model] = s.Each
	}
	if err := p.meet(); err != nil {
		return nil, err
	}
	if p.holds, err = p.canHold(ctx); err != nil {
		return nil, err
	}
	if p.board, err = newBoard(ctx, p); err != nil {
		return nil, err
	}
	return p, nil
}

// Run serves until ctx ends, then lets the last results out.
func (p *Provider) Run(ctx context.Context) error {
	defer p.Guard.Close()
	defer p.Files.Close()
	defer p.working.Wait()
	inbox := p.listen(ctx)
	if err := p.resume(ctx); err != nil {
		return err
	}
	p.working.Go(func() { p.board.keep(ctx) })
	p.lookBackAnswers(ctx)
	for ev := range inbox {
		p.route(ctx, ev)
	}
	return ctx.Err()
}

// kinds are the job kinds that some model serves.
func (p *Provider) kinds() (kinds []int) {
	y := p.policy.Load()
	for _, m := range p.models {
		if !y.runs(m) {
			continue
		}
		for _, k := range m.Kinds {
			if _, known := events.Kinds[k]; known && !slices.Contains(kinds, k) {
				kinds = append(kinds, k)
			}
		}
	}
	slices.Sort(kinds)
	return kinds
}

// price is what a model costs now.
func (p *Provider) price(model string) events.Price { return p.policy.Load().price(model, p.Now()) }

func orDefault[T comparable](value, standard T) T {
	var zero T
	if value == zero {
		return standard
	}
	return value
}
