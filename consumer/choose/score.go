package choose

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"infernet/events"
)

// own is how many own jobs make up for what others say of a node, and how many nodes a buyer gets to know at first.
const own = 3

// late is how many times as long as it had said a node may take: what it says is of a job of average size.
const late = 3

// curious is how many jobs go by between two that try what is new.
const curious = 5

// score gives each its place. Best weighs price against speed: both as parts of the best there is. A node that fails costs
// as much more as it fails more often, one that took more than it had said as much more, and one that lied tenfold. What
// was never measured counts as good as the best, and as better while fewer than three nodes are known, and then
// for one job in five: a node is known once it was tried.
func score(in []Verdict, c Controls) {
	cheapest, quickest, fastest := bests(in)
	jobs, known := 0, 0
	for _, v := range in {
		if jobs += v.Jobs; v.Jobs > 0 {
			known++
		}
	}
	try := known > 0 && known < own || jobs%curious == curious-1
	for i := range in {
		v := &in[i]
		price, first, rate := float64(v.expected())/float64(cheapest), 1.0, 1.0
		if v.Jobs == 0 && try {
			first, rate = 0.5, 0.5
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
		v.Score *= (1 + 4*v.failing()) * (1 + min(v.Load, 40)/4)
		v.Score *= 1 + min(max(v.Late-late, 0)/late, 4)
		if v.caught() {
			v.Score *= 1 + 9*v.Lied
		}
		v.Why = reasons(*v)
		if at := place(c.Order, v.Node); at >= 0 {
			v.Score = float64(at - len(c.Order)) // before all others
			v.Why = fmt.Sprintf("order names it as number %d; %s", at+1, v.Why)
		}
	}
	slices.SortStableFunc(in, func(a, b Verdict) int {
		return cmp.Or(cmp.Compare(a.Score, b.Score), cmp.Compare(a.About, b.About), cmp.Compare(a.Node, b.Node))
	})
}

// expected is what the job will cost there: what the node says, by what it took before for what it had said.
func (x Candidate) expected() events.Msat {
	about := max(x.About, 1)
	if x.Dear > 1 && x.About > 0 {
		return events.Msat(float64(about) * min(x.Dear, 100))
	}
	return about
}

// failing is the share of jobs that will fail there: as was seen, and while little was, as trusted keys say.
func (x Candidate) failing() float64 {
	if x.Trust.Said == 0 || x.Jobs >= own {
		return x.Failed
	}
	known := float64(x.Jobs) / own
	return known*x.Failed + (1-known)*(1-x.Trust.Rank)
}

// bests are the lowest price, the soonest first token and the highest rate there are, of what is known.
func bests(in []Verdict) (price events.Msat, first time.Duration, rate float64) {
	for _, v := range in {
		if about := v.expected(); price == 0 || about < price {
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
	if v.Dear > 1.05 && v.About > 0 {
		said = append(said, fmt.Sprintf("took %.1f times what it had said", v.Dear))
	}
	if v.Late > late {
		said = append(said, fmt.Sprintf("took %.0f times as long as it had said", v.Late))
	}
	if v.First > 0 {
		said = append(said, fmt.Sprintf("first token after %s", v.First.Round(time.Millisecond)))
	}
	if v.Rate > 0 {
		said = append(said, fmt.Sprintf("%.1f tok/s", v.Rate))
	}
	switch {
	case v.Jobs == 0:
		said = append(said, "never tried")
	case v.Failed > 0.005:
		said = append(said, fmt.Sprintf("%.0f %% failed", 100*v.Failed))
	}
	if v.caught() {
		said = append(said, "it lied before ("+v.Measured.Why+")")
	}
	if v.Trust.Said > 0 && v.Jobs < own {
		said = append(said, fmt.Sprintf("%d trusted reviews say %.0f of 100", v.Trust.Said, 100*v.Trust.Rank))
	}
	if v.Load > 0 {
		said = append(said, fmt.Sprintf("load %.1f", v.Load))
	}
	return strings.Join(said, ", ")
}
