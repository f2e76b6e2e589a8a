// Package choose ranks the nodes that could do a job, and says of each why it won or lost.
//
// It is pure: what a job would cost at each node, and what this client has measured of it, comes in; an order comes out. A
// node that a control excludes, that is too dear, that lied, or that failed just now is not taken, however cheap it is.
// Begin with Rank.
package choose

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"infernet/events"
)

// Ways to sort.
const (
	Best       = "best"       // price, and speed as far as it was measured
	Price      = "price"      // the cheapest
	Throughput = "throughput" // the most tokens a second
	Latency    = "latency"    // the soonest first token
)

// Sorts are the ways to sort.
var Sorts = []string{Best, Price, Throughput, Latency}

// Controls are a buyer's wishes, by the names that people know from other routers. The zero value wishes nothing.
type Controls struct {
	Sort     string          `json:"sort,omitempty"`      // Best if unset
	MaxPrice *MaxPrice       `json:"max_price,omitempty"` // of announced prices
	Order    []events.PubKey `json:"order,omitempty"`     // these first, in this order; keys or their beginnings
	Only     []events.PubKey `json:"only,omitempty"`      // these and no others
	Ignore   []events.PubKey `json:"ignore,omitempty"`    // not these
	Context  int             `json:"context,omitempty"`   // least that the model holds there, in tokens, as its node says
	Digest   string          `json:"digest,omitempty"`    // hash of the model's file, or its beginning, as its node says
}

// MaxPrice bounds announced prices, in msat for 1000 units; a field that is nil does not.
type MaxPrice struct {
	In  *events.Msat `json:"in,omitempty"`
	Out *events.Msat `json:"out,omitempty"`
}

// Check says what is wrong with controls.
func (c Controls) Check() error {
	if c.Sort != "" && !slices.Contains(Sorts, c.Sort) {
		return fmt.Errorf("sort %q is none of %s", c.Sort, strings.Join(Sorts, ", "))
	}
	for _, key := range slices.Concat(c.Order, c.Only, c.Ignore) {
		if len(key) < 8 || strings.Trim(strings.ToLower(string(key)), "0123456789abcdef") != "" {
			return errors.New("order, only and ignore name nodes by their keys in hex, or by the first 8 or more characters of them")
		}
	}
	if c.Context < 0 {
		return fmt.Errorf("context %d is below 0", c.Context)
	}
	return nil
}

// Announced says whether the controls ask for what only an announcement says.
func (c Controls) Announced() bool { return c.MaxPrice != nil || c.Context > 0 || c.Digest != "" }

// Measured is what this client has seen of a node: of its own jobs, newer ones counting more.
type Measured struct {
	Jobs   int           // that ended, well or not
	Failed float64       // share of them that failed, 0 to 1, newer ones counting more
	First  time.Duration // to the first token; 0 if not known
	Rate   float64       // tokens a second after it; 0 if not known
	Dear   float64       // what it took for what it had said; 0 if not known, 1 if as it said
	Late   float64       // how many times as long it took as its offer had said; 0 if not known
	Until  time.Time     // not before then: it failed just now, or lied
	Lied   float64       // how often it was caught: wrong invoices, results, models; older ones counting less
	Why    string        // how it failed, or lied
}

// caught says whether a lie still counts: one that is four half-lives old does not.
func (m Measured) caught() bool { return m.Lied > 1.0/16 }

// Candidate is a node that runs the model.
type Candidate struct {
	Node    events.PubKey
	Name    string
	Model   string
	Price   events.Price
	About   events.Msat // what this job would cost there, roughly
	Most    events.Msat // and at most
	Load    float64     // jobs that run and wait for each slot, as the node says itself: it counts only against it
	Context int         // as the node says; 0 if it does not
	Digest  string
	GPUs    []events.GPU
	Trust   Trust
	Measured
}

// Trust is what keys that the buyer trusts say of a node. It counts while the buyer has little of its own.
type Trust struct {
	Said int     // reviews and assertions
	Rank float64 // 0 to 1
}

// Verdict is a candidate with its place, and why.
type Verdict struct {
	Candidate
	Out   bool    // it is not taken
	Rests bool    // it is not taken only because it failed just now
	Score float64 // lower is better
	Why   string
}

// Need is what the job allows and wants.
type Need struct {
	MaxCost events.Msat      // most to pay
	Wallet  bool             // there is one; without only free nodes will do
	Require []events.Require // of the machine: gpu, vram_mb
}

// Rank gives the candidates, the best first, those that are not taken last. If all that a control allows failed just now,
// the one whose pause ends first is taken all the same: nobody else is there. One that lied is not.
func Rank(all []Candidate, c Controls, need Need, now time.Time) []Verdict {
	var in, paused, out []Verdict
	for _, x := range all {
		v := Verdict{Candidate: x}
		switch why := excluded(x, c, need, now); {
		case why != "":
			v.Out, v.Why = true, why
			out = append(out, v)
		case now.Before(x.Until):
			v.Out, v.Rests, v.Why = true, true, fmt.Sprintf("it failed just now (%s) and has a pause for %s", x.Why, x.Until.Sub(now).Round(time.Second))
			paused = append(paused, v)
		default:
			in = append(in, v)
		}
	}
	slices.SortStableFunc(paused, func(a, b Verdict) int { return a.Until.Compare(b.Until) })
	if len(in) == 0 && len(paused) > 0 {
		first := paused[0]
		first.Out, first.Rests, first.Why = false, false, "it failed just now ("+first.Measured.Why+"), but no other node is left"
		in, paused = []Verdict{first}, paused[1:]
	} else {
		score(in, c)
	}
	return slices.Concat(in, paused, out)
}
