package provider

import (
	"slices"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr/nip13"

	"infernet/events"
	"infernet/internal/ledger"
)

// customers is what the node remembers of those who buy: who has paid before, who was given something today, and whom it
// has refused in this minute. All of it is bounded, and read from the ledger at start.
type customers struct {
	mu     sync.Mutex
	known  map[events.PubKey]bool // have paid
	day    int64                  // of given, in days since 1970
	given  map[events.PubKey]int
	all    int // given in all
	minute int64
	told   map[events.PubKey]int  // refusals in this minute
	single map[events.PubKey]bool // whose next job is given away
}

// Bounds of what is remembered. What is forgotten is treated as unknown.
const (
	maxKnown   = 10_000
	lookBack   = 1000 // jobs of the ledger that are read at start
	maxTold    = 20   // refusals that one key is answered in a minute: beyond that it is a flood, and each costs a signature
	maxToldOf  = 4096 // keys whose refusals are counted
	standardBy = 100  // jobs given away in a day, if the owner names no number
)

func newCustomers() *customers {
	return &customers{known: map[events.PubKey]bool{}, given: map[events.PubKey]int{}, told: map[events.PubKey]int{}, single: map[events.PubKey]bool{}}
}

// remember notes that a key has paid.
func (c *customers) remember(key events.PubKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKnown {
		clear(c.known)
	}
	c.known[key] = true
}

func (c *customers) knows(key events.PubKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[key]
}

// gift says whether a job of a key is given away, and counts it; regain gives back what was not used.
func (c *customers) gift(key events.PubKey, q Quota, now time.Time) bool {
	if c.granted(key) {
		return true
	}
	if q.Jobs == 0 || len(q.Keys) > 0 && !slices.Contains(q.Keys, key) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.today(now)
	if c.given[key] >= q.Jobs || c.all >= orDefault(q.All, standardBy) {
		return false
	}
	c.given[key]++
	c.all++
	return true
}

// granted uses up a single gift.
func (c *customers) granted(key events.PubKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	had := c.single[key]
	delete(c.single, key)
	return had
}

// Give gives the next job of a key away.
func (p *Provider) Give(key events.PubKey) {
	p.customers.mu.Lock()
	defer p.customers.mu.Unlock()
	p.customers.single[key] = true
}

// regain takes a gift back that was not used.
func (c *customers) regain(key events.PubKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.given[key] > 0 {
		c.given[key]--
		c.all--
	}
}

func (c *customers) today(now time.Time) {
	if day := now.Unix() / (24 * 60 * 60); day != c.day {
		c.day, c.all = day, 0
		clear(c.given)
	}
}

// tell says whether a key's request is worth one more refusal.
func (c *customers) tell(key events.PubKey, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if minute := now.Unix() / 60; minute != c.minute || len(c.told) > maxToldOf {
		c.minute = minute
		clear(c.told)
	}
	c.told[key]++
	return c.told[key] <= maxTold
}

// meet reads from the ledger who has paid before and what was given away today.
func (p *Provider) meet() error {
	rows, err := p.Ledger.Jobs(ledger.Provider, lookBack)
	if err != nil {
		return err
	}
	now := p.Now()
	for _, row := range rows {
		kept, err := p.Ledger.Events(row.Job)
		if err != nil {
			return err
		}
		if len(kept) == 0 {
			continue
		}
		customer := events.PubKey(kept[0].PubKey)
		terms, err := p.termsOf(row.Job)
		if err != nil || terms == nil {
			continue // of an older edition, or not taken
		}
		if row.End == "delivered" && terms.Amount > 0 {
			p.customers.remember(customer)
		}
		if terms.Gift && (row.End == "" || row.End == "delivered") && row.At.Unix()/(24*60*60) == now.Unix()/(24*60*60) {
			p.customers.mu.Lock()
			p.customers.today(now)
			p.customers.given[customer]++
			p.customers.all++
			p.customers.mu.Unlock()
		}
	}
	return nil
}

// admit says whether a request is looked at at all: the cheap questions, before anything is computed for it. An order takes
// up an offer, and what was offered holds.
func (p *Provider) admit(req *events.Request) error {
	y := p.policy.Load()
	if slices.Contains(y.Block, req.Author) || len(y.Allow) > 0 && !slices.Contains(y.Allow, req.Author) {
		return refuse(events.CodeDenied, "this node does not work for you")
	}
	if req.Order == "" {
		if err := p.closed(); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.jobs) >= maxJobs {
		return refuse(events.CodeUnavailable, "%d jobs are open already", maxJobs)
	}
	if p.perKey[req.Author] >= p.PerKey {
		return refuse(events.CodeRateLimited, "%d jobs of one key at once, no more", p.PerKey)
	}
	return nil
}

// loaded says whether many wait: then who is not known here proves that it means it.
func (p *Provider) loaded() bool {
	if 2*p.queue.waiting() >= p.Queue {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.jobs) > maxJobs/2
}

// proves says whether a customer of this job is known, or has brought the work that is asked of strangers.
func (p *Provider) proves(j *job) bool {
	bits := p.policy.Load().Work
	return bits == 0 || p.customers.knows(j.req.Author) || slices.Contains(p.policy.Load().Allow, j.req.Author) ||
		j.ev != nil && nip13.CommittedDifficulty(j.ev) >= bits
}
