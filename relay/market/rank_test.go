package market

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"infernet/events"
)

func key(name string, i int) events.PubKey { return events.PubKey(fmt.Sprintf("%s-%04d", name, i)) }

// world is a market in which an auditor buys: how often each node does its work well is known to nobody in it.
type world struct {
	nodes  []events.PubKey
	good   map[events.PubKey]float64
	said   map[events.PubKey][]*events.Review // all reviews of a node
	named  []events.PubKey                    // whom the auditor names
	bought map[events.PubKey][]Purchase
	day    int
}

func newWorld() *world {
	return &world{good: map[events.PubKey]float64{}, said: map[events.PubKey][]*events.Review{}, bought: map[events.PubKey][]Purchase{}}
}

func (w *world) add(n events.PubKey, good float64) {
	w.nodes = append(w.nodes, n)
	w.good[n] = good
}

// audit buys for some days, fifty times a day; the last day of all is now.
func (w *world) audit(r *rand.Rand, days, all int, now time.Time) {
	for range days {
		w.day++
		at := now.Add(-time.Duration(all-w.day) * 24 * time.Hour)
		for range 50 {
			n, _ := Next(r, w.nodes, w.bought)
			p := Purchase{Node: n, At: events.At(at)}
			if r.Float64() < w.good[n] {
				p.Good = 1
			}
			w.bought[n] = append(w.bought[n], p)
		}
	}
}

// rank is a node's rank as the auditor asserts it; 0 for none.
func (w *world) rank(n events.PubKey, now time.Time) int {
	e := Evidence{Bought: w.bought[n]}
	for _, r := range w.said[n] {
		for _, named := range w.named {
			if r.Author == named {
				e.Named = append(e.Named, r)
			}
		}
	}
	rank, _ := Rank(e, now)
	return rank
}

// place is the best place of a gang among the honest: 1 if one of it stands above them all.
func (w *world) place(honest, gang []events.PubKey, now time.Time) int {
	best := 0
	for _, n := range gang {
		best = max(best, w.rank(n, now))
	}
	place := 1
	for _, n := range honest {
		if w.rank(n, now) >= best {
			place++
		}
	}
	return place
}

// TestSybilsGainAtMostOnePlace puts 1,000 keys of one owner beside ten honest nodes. They trade among themselves, and praise
// their best, which does worse than the honest; a key that the auditor names was bought, too. They come when the auditor has
// known the market for ten days, or are there before it. None of them stands more than one place higher than their best alone.
func TestSybilsGainAtMostOnePlace(t *testing.T) {
	now, seeds := time.Now(), uint64(1)
	if os.Getenv("INFERNET_LONG") != "" {
		seeds = 10
	}
	for name, c := range map[string]struct{ before, days int }{"they come later": {10, 40}, "they are there first, until each was tried out": {0, 240}} {
		for seed := range seeds {
			r := rand.New(rand.NewPCG(seed, 7))
			var honest, gang []events.PubKey
			alone, crowd, best := newWorld(), newWorld(), key("sybil", 0)
			for i := range 10 {
				honest = append(honest, key("honest", i))
				alone.add(honest[i], 0.90+float64(i)/100)
				crowd.add(honest[i], 0.90+float64(i)/100)
			}
			alone.add(best, 0.80)
			alone.audit(r, c.days, c.days, now)
			before := alone.place(honest, []events.PubKey{best}, now)

			crowd.audit(r, c.before, c.days, now)
			crowd.trade(r, 1000, &gang, now)
			crowd.audit(r, c.days-c.before, c.days, now)
			after := crowd.place(honest, gang, now)
			t.Logf("%s, seed %d: place %d alone, %d with 1,000 sybils", name, seed, before, after)
			if before-after > 1 {
				t.Errorf("%s, seed %d: from place %d to %d", name, seed, before, after)
			}
		}
	}
}

// trade lets so many keys of one owner in, which buy from each other and are delighted.
func (w *world) trade(r *rand.Rand, n int, gang *[]events.PubKey, now time.Time) {
	best, bribed := key("sybil", 0), key("friend", 0)
	w.named = []events.PubKey{bribed, key("friend", 1)}
	praise := func(author, node events.PubKey, ago int) {
		w.said[node] = append(w.said[node], &events.Review{Head: events.Head{Author: author, At: events.At(now) - events.Unix(ago)}, Node: node, Rating: 5})
	}
	for i := range n {
		*gang = append(*gang, key("sybil", i))
		w.add((*gang)[i], map[bool]float64{true: 0.80, false: 0.5}[i == 0])
		for k := range 20 {
			praise((*gang)[i], (*gang)[r.IntN(i+1)], k)
		}
		praise((*gang)[i], best, 0)
	}
	for k := range 100 {
		praise(bribed, best, k)
	}
}

func TestRankRestsOnWhatWasBoughtAndNamed(t *testing.T) {
	now := time.Now()
	bought := func(n int, good float64) (e Evidence) {
		for range n {
			e.Bought = append(e.Bought, Purchase{At: events.At(now), Good: good})
		}
		return e
	}
	rank := func(e Evidence) int {
		r, ok := Rank(e, now)
		if !ok {
			return -1
		}
		return r
	}
	if got := rank(Evidence{}); got != -1 {
		t.Errorf("without evidence the rank is %d", got)
	}
	one, ten, hundred, bad := rank(bought(1, 1)), rank(bought(10, 1)), rank(bought(100, 1)), rank(bought(100, 0))
	if !(one > 0 && one < ten && ten < hundred && hundred <= 100 && bad == 0) {
		t.Errorf("one %d, ten %d, a hundred %d, a hundred failures %d", one, ten, hundred, bad)
	}
	liar := bought(10, 1)
	liar.Bought[0].Lied = true
	if got := rank(liar); got > ten-20 {
		t.Errorf("after a lie: %d, without %d", got, ten)
	}
	old := bought(10, 1)
	for i := range old.Bought {
		old.Bought[i].At -= 120 * 24 * 3600
	}
	if got := rank(old); got >= ten {
		t.Errorf("four months old: %d, new %d", got, ten)
	}
	many := bought(5, 0)
	for range 1000 {
		many.Named = append(many.Named, &events.Review{Head: events.Head{Author: "friend", At: events.At(now)}, Rating: 5})
	}
	if got := rank(many); got > 15 {
		t.Errorf("one named key's thousand reviews make %d of five failures", got)
	}
}
