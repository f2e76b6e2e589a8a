// Package consumer buys jobs: it submits a request, collects offers, awards one, pays, and returns a verified result.
//
// It promises that a job is paid at most once and that no payment is forgotten: what is about to be sent is in the
// ledger first, and Resume goes on with every job that a crash left open. Nothing is paid that was not checked.
//
// Begin with Do.
package consumer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer/choose"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/pool"
	"infernet/wallet"
)

// Config says with what a consumer buys. Pool and Ledger are needed.
type Config struct {
	Pool   *pool.Pool
	Relays []string // where answers are wanted, at most 5; written into requests
	Ledger *ledger.Ledger
	Wallet wallet.Payer                         // nil: only free jobs
	Signer events.Signer                        // nil: a fresh key for each job, so that jobs cannot be linked
	MaxFee func(amount events.Msat) events.Msat // most to pay above an amount; 1 %, at least 5 sat, if unset

	Reviews bool            // publish a review of each job that has a result, from what was measured, under the key that bought it
	Trust   []events.PubKey // keys whose reviews and assertions count while little was measured here
	Memory  Memory          // what is known of nodes; nothing if nil
	Stake   events.Msat     // most to pay in advance for a job at a node that is not known here; choose.Stake if unset
	PerDay  events.Msat     // most to pay for jobs in any 24 hours, without fees, by all who share the ledger; no bound if unset
	Alarm   func(Alarm)     // told when a half, four fifths and all of PerDay are spent or under way; may be nil
	Servers []string        // file servers that inputs go to; those beside Relays if unset
	MaxFile int64           // largest result file that is fetched; 4 GiB if unset

	AnswerIn time.Duration // how long a chosen node has to answer before it is a no-show; 15 s if unset

	// Step, if set, is told each step of a job as soon as it is durable: submitted, awarded, committed, settled. Tests
	// crash a customer there.
	Step func(job events.ID, step string)

	Log *slog.Logger
	Now func() time.Time
}

// Consumer buys jobs, many at once.
type Consumer struct {
	Config

	mu      sync.Mutex
	nodes   map[events.PubKey]known
	looking map[events.PubKey]*look
	ours    string                // the wallet's network, once it is known
	crowd   map[events.PubKey]int // jobs that are at each node now

	marked int // the highest mark of the day's budget that was reached

	asking sync.Mutex // for the market
	seen   []Node
	seenAt time.Time

	opinions   map[events.PubKey]Opinion // under asking, too
	opinionsAt time.Time
}

// New checks the config.
func New(c Config) (*Consumer, error) {
	if c.Pool == nil || c.Ledger == nil {
		return nil, errors.New("consumer: pool and ledger are needed")
	}
	if c.MaxFee == nil {
		c.MaxFee = func(amount events.Msat) events.Msat { return max(amount/100, 5*events.Sat) }
	}
	if c.Step == nil {
		c.Step = func(events.ID, string) {}
	}
	if c.AnswerIn == 0 {
		c.AnswerIn = answerIn
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	made := &Consumer{Config: c, nodes: map[events.PubKey]known{}, looking: map[events.PubKey]*look{}, crowd: map[events.PubKey]int{}}
	if c.Alarm != nil && c.PerDay > 0 {
		spent, err := made.spent()
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		made.marked = Mark(spent, c.PerDay)
	}
	return made, nil
}

// Ways to buy.
const (
	Auction = "auction" // collect offers, take the best
	Direct  = "direct"  // encrypted, to one node, at its announced price
	Plain   = "plain"   // NIP-90 as every client speaks it
)

// Order is a job to buy.
type Order struct {
	Kind      int
	Inputs    []events.Input
	Files     []InFile      // further inputs, uploaded encrypted; only in direct jobs
	SizeIn    int64         // units that inputs have which nodes fetch; events.UnreadUnits each if unset
	Out       string        // folder for the files of the result; they are not fetched if unset
	Params    events.Params // with model and stream, if wanted
	Output    string
	MaxCost   events.Msat     // the most to pay; 0 means only for free
	Pay       []string        // ways to pay, preferred first; by the rule of choose.Pay, if empty
	Way       string          // Auction if empty
	Node      events.PubKey   // or its beginning, where just one node's key begins so
	Only      []events.PubKey // only these nodes may offer
	Window    time.Duration   // how long offers are collected, in whole seconds; 1 s if unset
	First     bool            // take the first offer that fits
	Open      bool            // offers may be in clear
	Encrypted bool            // a plain job travels encrypted to Node; every other job already does where it should
	Priority  string
	Require   []events.Require // what the node's machine must have: gpu (a word of its name), vram_mb
	Life      time.Duration    // until the deadline; 5 minutes if unset
	Retry     events.ID
	Work      int             `json:",omitempty"` // bits of work (NIP-13) that the request brings; more are brought when a relay asks for them
	Avoid     []events.PubKey // not these nodes
	Hedge     time.Duration   // if the chosen node gave nothing for so long, the same is bought from another; the first wins, the other is not paid. 0: never
	Race      events.ID       // set by Hedge: the pair's first job
	Controls  choose.Controls // which nodes may be taken, and which are better
	Fallback  []string        // models that do as well, the better first, if nobody delivers the one in Params
	Account   bool            // set by TopUp and its like: the job is about the account at Node
	Label     string          // what the job is to its buyer; it stays in the ledger
	Explain   bool            // tell each candidate's place and why

	// Choose picks one of the offers, the best first; the best is taken if unset.
	Choose func([]*events.Offer) (*events.Offer, error) `json:"-"`
}

// Step is one thing that happened to a job, for whoever watches.
type Step struct {
	Job     events.ID
	Event   *nostr.Event   // as it was signed; nil for steps of the wallet
	Message events.Message // opened
	Note    string         // steps without an event: "paid 42 sat"
	Delta   string         // the next piece of streamed text, in order
	Storage events.Msat    // what file servers were paid to keep the inputs, once

	Verdicts []choose.Verdict // who could do the job, the best first, if the order wants it explained
}

// Delivery is what was bought.
type Delivery struct {
	Job      events.ID
	Node     events.PubKey
	Model    string
	Text     string
	Files    []OutFile
	Usage    events.Usage
	Pay      string
	Paid     events.Msat
	Hash     wallet.Hash     // of the payment; zero if free
	Preimage wallet.Preimage // proof of payment; zero if free
	Result   *events.Result
	Receipt  *events.Receipt // nil if none came in time

	Statement *events.Statement // of the account that it was paid out of; nil if it was not, or none came in time
	First     time.Duration     // from the request to the first token; 0 if not streamed, or not known
	Took      time.Duration     // from the request to the verified result; to the second if the job was taken up again
}

// Do buys one job, from the request to the verified result, and tells watch (which may be nil) each step. A node that
// does not show up before it was paid is replaced by the runner-up, a model that nobody delivers by the next of Fallback. Errors: *NoOffersError, *RefusedError,
// *VanishedError, *CancelledError, *BadResultError, *BadInvoiceError, *LeftError, and what the wallet says.
func (c *Consumer) Do(ctx context.Context, o Order, watch func(Step)) (*Delivery, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return c.anyModel(ctx, o, watch)
}

// finish takes a submitted job to its end.
func (c *Consumer) finish(ctx context.Context, j *job) (*Delivery, error) {
	for {
		done, err := j.buy(ctx)
		j.land()
		j.note(ctx, done, err)
		next := j.runnerUp(err)
		if next == nil {
			return done, c.end(ctx, j, err)
		}
		c.Log.Info("the node did not show up, orders from the next", "job", j.req.ID, "node", j.node, "next", next.Author)
		if j, err = c.order(ctx, j, next); err != nil {
			return nil, err
		}
	}
}

// buy is one try at one node: choose it, award it, pay it, await its result, verify it.
func (j *job) buy(ctx context.Context) (*Delivery, error) {
	late := j.req.Deadline.Time().Add(time.Second) // each step knows the deadline itself and says what it missed
	ctx, cancel := context.WithDeadlineCause(ctx, late, errDeadline)
	defer cancel()
	if err := j.choose(ctx); err != nil {
		return nil, err
	}
	if err := j.award(ctx); err != nil {
		return nil, err
	}
	if err := j.pay(ctx); err != nil {
		return nil, err
	}
	if err := j.await(ctx); err != nil {
		return nil, err
	}
	return j.verify(ctx)
}

// Ends of jobs in the ledger; what failed ends with why.
const (
	Delivered = "delivered"
	Cancelled = "cancelled"
)

// end closes a job in the ledger, unless money is still out for it: then Resume looks after it.
func (c *Consumer) end(ctx context.Context, j *job, why error) error {
	end := Delivered
	if why == nil && j.locked() {
		return nil // delivered, and the node has not taken the money yet
	}
	if why != nil {
		end = why.Error()
		if j.committed && !j.settledBadly(why) {
			if j.locked() && (ctx.Err() != nil || errors.Is(why, errLost)) { // so that the node lets the money go
				if err := j.cancel(ctx); err != nil {
					c.Log.Warn("cannot cancel", "job", j.req.ID, "err", err)
				}
			}
			if ctx.Err() == nil {
				return why
			}
			left := &LeftError{Job: j.req.ID, Node: j.node, Paid: j.paid, Why: why}
			if left.Back = j.letGo(ctx); left.Back {
				return errors.Join(left, j.finish(Cancelled))
			}
			left.Sure, left.Held = j.preimage != (wallet.Preimage{}), j.locked()
			return left
		}
		if gone := (*CancelledError)(nil); errors.As(why, &gone) {
			end = Cancelled
		}
		var none *NoOffersError
		if ctx.Err() != nil || errors.As(why, &none) || errors.Is(why, errLost) { // nobody is to work for a customer who has gone
			if ctx.Err() != nil {
				end = Cancelled
			}
			if err := j.cancel(ctx); err != nil {
				c.Log.Warn("cannot cancel", "job", j.req.ID, "err", err)
			}
		}
	}
	if err := j.finish(end); err != nil {
		return errors.Join(why, err)
	}
	return why
}
