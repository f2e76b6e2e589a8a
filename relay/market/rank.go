package market

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"infernet/events"
)

// Purchase is one job that the asserting key itself bought and measured.
type Purchase struct {
	Node events.PubKey `json:"node"`
	At   events.Unix   `json:"at"`
	Good float64       `json:"good"` // how well it was done: 0 not at all, 1 as promised
	Lied bool          `json:"lied"` // the node signed what is proven wrong: weighs as several failures
}

// Evidence is all that a rank may rest on (PROTOCOL §1): what the asserting key bought itself, and reviews of keys that it names.
type Evidence struct {
	Bought []Purchase
	Named  []*events.Review // of keys that the asserting key names, and only such as count (Reviews)
}

// What weighs how much.
const (
	halfLife   = 30 * 24 * time.Hour // a purchase of that age weighs half
	lieWeighs  = 5.0
	namedCount = 0.5  // a review of a named key, of what an own purchase weighs
	doubt      = 1.96 // how far below what was seen a rank stays: the truth is above it in 39 of 40 cases
	leastSeen  = 0.2  // less is no rank
)

// Rank is a node's place between 0 and 100: the share of work done well that the evidence makes likely, and no more. Of little
// evidence it is low, and without any there is none: trade of others moves nothing.
func Rank(e Evidence, now time.Time) (rank int, ok bool) {
	good, seen := 0.0, 0.0
	weigh := func(at events.Unix, weight, how float64) {
		age := max(now.Sub(at.Time()), 0)
		weight *= math.Exp2(-age.Hours() / halfLife.Hours())
		seen += weight
		good += weight * min(max(how, 0), 1)
	}
	for _, p := range e.Bought {
		if p.Lied {
			weigh(p.At, lieWeighs, 0)
			continue
		}
		weigh(p.At, 1, p.Good)
	}
	once := map[events.PubKey]*events.Review{} // one voice for each key, its newest
	for _, r := range e.Named {
		if old := once[r.Author]; old == nil || old.At < r.At {
			once[r.Author] = r
		}
	}
	for _, r := range once {
		weigh(r.At, namedCount, float64(r.Rating-1)/4)
	}
	if seen < leastSeen {
		return 0, false
	}
	share, z := good/seen, doubt*doubt // the lower end of Wilson's interval
	low := (share + z/(2*seen) - doubt*math.Sqrt(share*(1-share)/seen+z/(4*seen*seen))) / (1 + z/seen)
	return int(math.Round(100 * min(max(low, 0), 1))), true
}

// proven is how many purchases of a node make out whether it is good, and recent how many of the last count for that.
const (
	proven = 8
	recent = 20
)

// Next picks the node that an auditor buys from next, of those that are alive; bought is what it bought of each so far, the
// oldest first. Half of the time it is a good one, so that its rank stays true. Else it is one that is being tried out: it is
// bought from until it has failed twice or is made out, and only then another is tried, a new one first. So who comes with a
// thousand keys has each of them tried out once, which a bad one ends soon, and takes nothing from those that are known as good.
func Next(r *rand.Rand, nodes []events.PubKey, bought map[events.PubKey][]Purchase) (events.PubKey, bool) {
	if len(nodes) == 0 {
		return "", false
	}
	var good, fresh, rest []events.PubKey
	trying := events.PubKey("")
	for _, n := range nodes {
		all := bought[n]
		lately := all[max(0, len(all)-recent):]
		bad := 0
		for _, p := range lately {
			if p.Lied {
				bad += 2
			} else if p.Good < 0.5 {
				bad++
			}
		}
		switch {
		case len(all) == 0:
			fresh = append(fresh, n)
		case len(all) < proven && bad < 2:
			if trying == "" || len(all) > len(bought[trying]) {
				trying = n
			}
		case len(all) >= proven && 10*bad <= 3*len(lately):
			good = append(good, n)
		default:
			rest = append(rest, n)
		}
	}
	switch {
	case len(good) > 0 && (r.IntN(2) == 0 || trying == "" && len(fresh)+len(rest) == 0):
		return good[r.IntN(len(good))], true
	case trying != "":
		return trying, true
	case len(fresh) > 0:
		return fresh[r.IntN(len(fresh))], true
	}
	// who failed has another chance, in its turn
	return slices.MinFunc(rest, func(a, b events.PubKey) int {
		return cmp.Compare(bought[a][len(bought[a])-1].At, bought[b][len(bought[b])-1].At)
	}), true
}
