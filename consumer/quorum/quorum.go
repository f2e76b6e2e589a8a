// Package quorum buys one job from several nodes, holds their answers against each other and makes one answer of them.
//
// It promises that no more than the order allows is paid for all of them together, and that who said what is told: nodes
// whose answer the others do not share are named, and remembered. Begin with Buy.
package quorum

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"infernet/consumer"
	"infernet/consumer/choose"
	"infernet/events"
)

// Plan is how several answers become one.
type Plan struct {
	Nodes     int     // how many; 0 chooses: one of a node that is known to be good, else three if there are as many and the money is enough
	Need      int     // how many have to agree; more than half if 0
	Verify    string  // Exact, Tolerance, Embedding or Command: when two answers are the same; Exact if unset
	Tolerance float64 // how far numbers may differ, as a part of the larger; 0.01 if unset
	Alike     float64 // least cosine of two answers' embeddings; 0.9 if unset
	Embedder  string  // model of the embeddings; any if unset
	Same      string  // command for Command: told two files, it ends with 0 if they say the same, with 1 if not
	Aggregate string  // what becomes of the answers; Majority if unset
	Combine   string  // command for Combine: a JSON array of the answers on stdin, the answer on stdout
	Score     string  // command for BestOf: an answer on stdin, a number on stdout
}

// Ways to hold answers against each other.
const (
	Exact     = "exact"     // the same text, but for blanks
	Tolerance = "tolerance" // the same text, but for blanks and for numbers that differ a little
	Embedding = "embedding" // embeddings, bought from the market, that point the same way
	Command   = "command"   // as a command of the buyer's says
)

// Ways to make one answer of several.
const (
	Majority = "majority" // of those that agree, the answer of the best node
	Concat   = "concat"   // all, one after the other, the best node's first
	Mean     = "mean"     // of the numbers, or of each place in arrays of numbers
	Median   = "median"
	BestOf   = "best-of" // the highest score; without a command the one that has most in common with the others
	Combine  = "command" // as a command of the buyer's says
)

// Ways are those to verify and to aggregate.
var (
	Verifies   = []string{Exact, Tolerance, Embedding, Command}
	Aggregates = []string{Majority, Concat, Mean, Median, BestOf, Combine}
)

// Check says what is wrong with a plan.
func (p Plan) Check() error {
	switch {
	case p.Nodes < 0 || p.Nodes > 32:
		return fmt.Errorf("%d nodes: 1 to 32", p.Nodes)
	case p.Need < 0 || p.Nodes > 0 && p.Need > p.Nodes:
		return fmt.Errorf("%d of %d nodes cannot agree", p.Need, p.Nodes)
	case p.Verify != "" && !slices.Contains(Verifies, p.Verify):
		return fmt.Errorf("verify %q is none of %s", p.Verify, strings.Join(Verifies, ", "))
	case p.Aggregate != "" && !slices.Contains(Aggregates, p.Aggregate):
		return fmt.Errorf("aggregate %q is none of %s", p.Aggregate, strings.Join(Aggregates, ", "))
	case p.Tolerance < 0 || p.Tolerance > 1 || p.Alike < 0 || p.Alike > 1:
		return errors.New("a tolerance, and a least cosine, are 0 to 1")
	case (p.Verify == Command) != (p.Same != ""):
		return errors.New("verify command, and the command, belong together")
	case (p.Aggregate == Combine) != (p.Combine != ""):
		return errors.New("aggregate command, and the command, belong together")
	case p.Score != "" && p.Aggregate != BestOf:
		return errors.New("only best-of takes scores")
	}
	return nil
}

// Answer is what one node made of the job.
type Answer struct {
	Node  events.PubKey
	Job   events.ID
	Got   *consumer.Delivery // nil if it failed
	Err   error
	Group int // of answers that agree; 0 is the largest; -1 of those that failed
}

// Outcome is what came of the job.
type Outcome struct {
	Text    string
	Answers []Answer // the best node's first
	Agree   int      // how many share the largest group's answer
	Need    int
	Paid    events.Msat // for all, with embeddings
}

// DisagreeError says that too few answers agree. The outcome says who said what.
type DisagreeError struct{ *Outcome }

func (e *DisagreeError) Error() string {
	failed := 0
	for _, a := range e.Answers {
		if a.Err != nil {
			failed++
		}
	}
	s := fmt.Sprintf("%d of %d answers agree, %d are needed", e.Agree, len(e.Answers)-failed, e.Need)
	if failed > 0 {
		s += fmt.Sprintf("; %d nodes failed", failed)
	}
	return s
}

// Buy buys an order from several nodes at once, each directly. A node that fails before it has cost anything is replaced by
// the next. Errors: *DisagreeError, *consumer.NoOffersError if there are not enough nodes for the money.
func Buy(ctx context.Context, c *consumer.Consumer, o consumer.Order, p Plan, watch func(consumer.Step)) (*Outcome, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	o.Way, o.Hedge, o.Fallback = consumer.Direct, 0, nil
	ranked, err := c.Rank(ctx, o)
	if err != nil {
		return nil, err
	}
	if o.Explain && watch != nil {
		watch(consumer.Step{Verdicts: ranked})
	}
	o.Explain = false
	able := slices.DeleteFunc(slices.Clone(ranked), func(v choose.Verdict) bool { return v.Out && !v.Rests }) // those that rest come last
	n := p.Nodes
	if n == 0 {
		n = auto(able, o.MaxCost)
	}
	need := p.Need
	if need == 0 {
		need = n/2 + 1
	}
	b := &buying{c: c, o: o, label: "several " + time.Now().UTC().Format(time.RFC3339Nano), left: o.MaxCost}
	if watch != nil {
		b.watch = func(s consumer.Step) {
			b.mu.Lock()
			defer b.mu.Unlock()
			watch(s)
		}
	}
	if b.able = able; len(able) < n || n == 0 {
		none := c.Nobody(ctx, o)
		none.Out = ranked
		if len(able) > 0 {
			return nil, fmt.Errorf("%d of the %d nodes that are wanted can do it: %w", len(able), n, none)
		}
		return nil, none
	}
	b.share = o.MaxCost / events.Msat(n)
	out := &Outcome{Need: need, Answers: make([]Answer, n)}
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { out.Answers[i] = b.one(ctx) })
	}
	all.Wait()
	for _, a := range out.Answers {
		if a.Got != nil {
			out.Paid += a.Got.Paid
		}
	}
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	var given []*Answer
	for i := range out.Answers {
		a := &out.Answers[i]
		if a.Group = -1; a.Got != nil {
			given = append(given, a)
		}
	}
	if len(given) == 0 {
		return out, out.Answers[0].Err
	}
	same, err := b.sameness(ctx, p, given, out)
	if err != nil {
		return out, fmt.Errorf("hold %d answers against each other: %w", len(given), err)
	}
	if err := group(given, same); err != nil {
		return out, fmt.Errorf("hold %d answers against each other: %w", len(given), err)
	}
	for _, a := range given {
		if a.Group == 0 {
			out.Agree++
		}
	}
	b.remember(ctx, given, out)
	if out.Agree < need {
		return out, &DisagreeError{out}
	}
	out.Text, err = aggregate(ctx, p, given)
	if err != nil {
		return out, fmt.Errorf("make one answer of %d: %w", len(given), err)
	}
	return out, nil
}

// auto is how many nodes are asked where the buyer has not said: one that is known to be good is enough.
func auto(able []choose.Verdict, money events.Msat) int {
	if len(able) == 0 {
		return 0
	}
	if best := able[0]; best.Jobs >= 10 && best.Failed < 0.05 && best.Lied == 0 {
		return 1
	}
	n, sum := 0, events.Msat(0)
	for _, v := range able[:min(3, len(able))] {
		if sum += v.About; n > 0 && sum > money {
			break
		}
		n++
	}
	if n == 2 { // two that disagree say nothing
		return 1
	}
	return n
}

// buying is one order under way at several nodes.
type buying struct {
	c     *consumer.Consumer
	o     consumer.Order
	label string
	watch func(consumer.Step)

	mu   sync.Mutex
	able []choose.Verdict // not asked yet, best first
	left events.Msat

	share events.Msat // of each node in the money
}

// next takes the best node that was not asked yet and what it may cost: its share, or what it is likely to ask.
func (b *buying) next() (choose.Verdict, events.Msat, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.able) > 0 {
		v := b.able[0]
		b.able = b.able[1:]
		if v.About > b.left {
			continue
		}
		most := min(v.Most, b.left, max(v.About, b.share))
		b.left -= most
		return v, most, true
	}
	return choose.Verdict{}, 0, false
}

func (b *buying) giveBack(amount events.Msat) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += amount
}

// one buys one answer.
func (b *buying) one(ctx context.Context) (a Answer) {
	a.Err = errors.New("no node is left that the money is enough for")
	for {
		v, most, ok := b.next()
		if !ok {
			return a
		}
		o := b.o
		o.Node, o.MaxCost, o.Label, o.Params = v.Node, most, b.label, without(o.Params, "stream")
		a.Node, a.Job = v.Node, ""
		a.Got, a.Err = b.c.Do(ctx, o, func(s consumer.Step) {
			if s.Job != "" {
				a.Job = s.Job
			}
			if b.watch != nil {
				b.watch(s)
			}
		})
		if a.Err == nil {
			b.giveBack(most - min(a.Got.Paid, most))
			return a
		}
		if paid, err := b.c.Ledger.Commitment(a.Job); err != nil || paid != nil || ctx.Err() != nil || !consumer.Blames(a.Err) {
			return a
		}
		b.giveBack(most)
	}
}

// without are parameters but one: answers that are held against each other are not streamed.
func without(all events.Params, name string) events.Params {
	return slices.DeleteFunc(slices.Clone(all), func(p events.Param) bool { return p.Name == name })
}

// verdict is what the ledger keeps of an answer that was held against others.
type verdict struct {
	Agrees bool `json:"agrees"`
	With   int  `json:"with"` // how many said the same, itself counted
	Of     int  `json:"of"`
}

// Verdict is the name under which the ledger keeps whether a job's answer was shared by most.
const Verdict = "quorum"

// remember notes which nodes said what most did not, if there is a most.
func (b *buying) remember(ctx context.Context, given []*Answer, out *Outcome) {
	if len(given) < 2 {
		return
	}
	of := map[int]int{}
	for _, a := range given {
		of[a.Group]++
	}
	clear := out.Agree >= out.Need && out.Agree > len(given)/2
	for _, a := range given {
		body, err := json.Marshal(verdict{a.Group == 0 && clear, of[a.Group], len(given)})
		if err == nil && clear {
			_, err = b.c.Ledger.Put(a.Job, Verdict, body)
		}
		if err != nil {
			b.c.Log.Warn("cannot keep how answers compared", "job", a.Job, "err", err)
		}
		if clear && a.Group != 0 && b.c.Reviews {
			if _, err := b.c.Review(ctx, a.Job, 1, fmt.Sprintf("%d of %d nodes answered the same, and this one something else", out.Agree, len(given))); err != nil {
				b.c.Log.Warn("the review is not published", "job", a.Job, "err", err)
			}
		}
		if clear && a.Group != 0 && b.c.Memory != nil {
			b.c.Memory.Note(choose.Outcome{
				Node: a.Node, Model: a.Got.Model, At: b.c.Now(),
				Failed: fmt.Sprintf("%d of %d nodes answered the same, and it something else", out.Agree, len(given)),
			})
		}
	}
}
