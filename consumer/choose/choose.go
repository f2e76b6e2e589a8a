// Package choose ranks the nodes that could do a job, and says of each why it won or lost.
//
// It is pure: what a job would cost at each node, and what this client has measured of it, comes in; an order comes out. A
// node that a control excludes, that is too dear, or that failed just now is not taken, however cheap it is. Begin with Rank.
package choose

import (
	"cmp"
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

// Controls are a buyer's wishes, by the names that people know from other routers. The zero value wishes nothing.
type Controls struct {
	Sort     string          `json:"sort,omitempty"`      // Best if unset
	MaxPrice *MaxPrice       `json:"max_price,omitempty"` // of announced prices
	Order    []events.PubKey `json:"order,omitempty"`     // these first, in this order; keys or their beginnings
	Only     []events.PubKey `json:"only,omitempty"`      // these and no others
	Ignore   []events.PubKey `json:"ignore,omitempty"`    // not these
}

// MaxPrice bounds announced prices, in msat for 1000 units; a field that is nil does not.
type MaxPrice struct {
	In  *events.Msat `json:"in,omitempty"`
	Out *events.Msat `json:"out,omitempty"`
}

// Check says what is wrong with controls.
func (c Controls) Check() error {
	if ways := []string{"", Best, Price, Throughput, Latency}; !slices.Contains(ways, c.Sort) {
		return fmt.Errorf("sort %q is none of %s", c.Sort, strings.Join(ways[1:], ", "))
	}
	for _, key := range slices.Concat(c.Order, c.Only, c.Ignore) {
		if len(key) < 8 || strings.Trim(strings.ToLower(string(key)), "0123456789abcdef") != "" {
			return errors.New("order, only and ignore name nodes by their keys in hex, or by the first 8 or more characters of them")
		}
	}
	return nil
}

// Measured is what this client has seen of a node: of its own jobs, newer ones counting more.
type Measured struct {
	Jobs   int           // that ended, well or not
	Failed float64       // share of them that failed, 0 to 1, newer ones counting more
	First  time.Duration // to the first token; 0 if not known
	Rate   float64       // tokens a second after it; 0 if not known
	Until  time.Time     // not before then: it failed just now
	Why    string        // how it failed
}

// Candidate is a node that runs the model.
type Candidate struct {
	Node  events.PubKey
	Name  string
	Model string
	Price events.Price
	About events.Msat // what this job would cost there, roughly
	Most  events.Msat // and at most
	Load  float64     // jobs that run and wait for each slot, as the node says itself
	Measured
}

// Verdict is a candidate with its place, and why.
type Verdict struct {
	Candidate
	Out   bool    // it is not taken
	Score float64 // lower is better
	Why   string
}

// Need is what the job allows.
type Need struct {
	MaxCost events.Msat // most to pay
	Wallet  bool        // there is one; without only free nodes will do
}

// Rank gives the candidates, the best first, those that are not taken last. If all that a control allows failed just now,
// the one whose pause ends first is taken all the same: nobody else is there.
func Rank(all []Candidate, c Controls, need Need, now time.Time) []Verdict {
	var in, paused, out []Verdict
	for _, x := range all {
		v := Verdict{Candidate: x}
		switch why := excluded(x, c, need); {
		case why != "":
			v.Out, v.Why = true, why
			out = append(out, v)
		case now.Before(x.Until):
			v.Out, v.Why = true, fmt.Sprintf("it failed just now (%s) and has a pause for %s", x.Why, x.Until.Sub(now).Round(time.Second))
			paused = append(paused, v)
		default:
			in = append(in, v)
		}
	}
	slices.SortStableFunc(paused, func(a, b Verdict) int { return a.Until.Compare(b.Until) })
	if len(in) == 0 && len(paused) > 0 {
		first := paused[0]
		first.Out, first.Why = false, "it failed just now ("+first.Measured.Why+"), but no other node is left"
		in, paused = []Verdict{first}, paused[1:]
	} else {
		score(in, c)
	}
	return slices.Concat(in, paused, out)
}

// excluded says why a candidate cannot be taken; "" if it can.
func excluded(x Candidate, c Controls, need Need) string {
	switch {
	case len(c.Only) > 0 && place(c.Only, x.Node) < 0:
		return "only names others"
	case place(c.Ignore, x.Node) >= 0:
		return "ignore names it"
	case c.MaxPrice != nil && c.MaxPrice.In != nil && x.Price.In > *c.MaxPrice.In:
		return fmt.Sprintf("it asks %s for 1000 units in, max_price allows %s", x.Price.In.Human(), c.MaxPrice.In.Human())
	case c.MaxPrice != nil && c.MaxPrice.Out != nil && x.Price.Out > *c.MaxPrice.Out:
		return fmt.Sprintf("it asks %s for 1000 units out, max_price allows %s", x.Price.Out.Human(), c.MaxPrice.Out.Human())
	case x.About > need.MaxCost:
		return fmt.Sprintf("the job would cost about %s there, at most %s may be paid", x.About.Human(), need.MaxCost.Human())
	case x.Most > 0 && !need.Wallet:
		return "it is not free, and there is no wallet"
	}
	return ""
}

// place is where a node stands in a list of keys or their beginnings; -1 if nowhere.
func place(keys []events.PubKey, node events.PubKey) int {
	return slices.IndexFunc(keys, func(key events.PubKey) bool { return strings.HasPrefix(string(node), strings.ToLower(string(key))) })
}

// score gives each its place. Best weighs price against speed: both as parts of the best there is, and a node that fails
// costs as much more as it fails more often. What was never measured counts as the middle of what was.
func score(in []Verdict, c Controls) {
	cheapest, quickest, fastest := bests(in)
	for i := range in {
		v := &in[i]
		price, first, rate := 1.0, 1.0, 1.0
		if cheapest > 0 {
			price = float64(max(v.About, 1)) / float64(cheapest)
		}
		if quickest > 0 && v.First > 0 {
			first = float64(v.First) / float64(quickest)
		}
		if fastest > 0 && v.Rate > 0 {
			rate = fastest / v.Rate
		}
		switch c.Sort {
		case Price:
			v.Score = price
		case Throughput:
			v.Score = rate
		case Latency:
			v.Score = first
		default:
			v.Score = 0.6*price + 0.2*min(first, 20) + 0.2*min(rate, 20)
		}
		v.Score *= (1 + 4*v.Failed) * (1 + min(v.Load, 4)/4)
		v.Why = reasons(*v)
		if at := place(c.Order, v.Node); at >= 0 {
			v.Score = float64(at-len(c.Order)) * 1e6 // before all others
			v.Why = fmt.Sprintf("order names it as number %d; %s", at+1, v.Why)
		}
	}
	slices.SortStableFunc(in, func(a, b Verdict) int {
		return cmp.Or(cmp.Compare(a.Score, b.Score), cmp.Compare(a.About, b.About), cmp.Compare(a.Node, b.Node))
	})
}

// bests are the lowest price, the soonest first token and the highest rate there are, of what is known.
func bests(in []Verdict) (price events.Msat, first time.Duration, rate float64) {
	for _, v := range in {
		if about := max(v.About, 1); price == 0 || about < price {
			price = about
		}
		if v.First > 0 && (first == 0 || v.First < first) {
			first = v.First
		}
		rate = max(rate, v.Rate)
	}
	return price, first, rate
}

// reasons says what a candidate's place was made of.
func reasons(v Verdict) string {
	said := []string{"about " + v.About.Human()}
	if v.First > 0 {
		said = append(said, fmt.Sprintf("first token after %s", v.First.Round(time.Millisecond)))
	}
	if v.Rate > 0 {
		said = append(said, fmt.Sprintf("%.1f tok/s", v.Rate))
	}
	if v.Jobs == 0 {
		said = append(said, "never tried")
	}
	if v.Failed > 0.005 {
		said = append(said, fmt.Sprintf("%.0f %% failed", 100*v.Failed))
	}
	if v.Load > 0 {
		said = append(said, fmt.Sprintf("load %.1f", v.Load))
	}
	return strings.Join(said, ", ")
}
