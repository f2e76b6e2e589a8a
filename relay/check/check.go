// Package check is a conformance suite for Nostr relays: each check says one thing that a NIP asks of a relay, and finds out
// over a WebSocket whether a relay does it. It runs against any relay, with keys of its own.
//
// What a relay does not claim (supported_nips of NIP-11), or does not let strangers do, is skipped with the reason. What the
// checks have published is deleted afterwards. Begin with Run; the lists of checks are in the files named by their subject.
package check

import (
	"context"
	"fmt"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"infernet/events"
)

// Config says which relay is checked, and how.
type Config struct {
	URL      string        // ws://… or wss://…
	Patience time.Duration // how long an answer is waited for; 10 s if unset
	Parallel int           // checks at once; 4 if unset
	Hostile  bool          // also what has crashed relays; only for your own
	Keep     bool          // what was published is not deleted afterwards
	NIPs     []string      // only their checks; all if unset
}

// State is how a check ended.
type State string

// States of a check.
const (
	Pass State = "pass"
	Fail State = "fail"
	Skip State = "skip" // it could not be found out, or the relay does not claim it
)

// Result is one check of a relay.
type Result struct {
	NIP   string `json:"nip"`   // two characters, as NIPs are numbered
	Name  string `json:"check"` // what a relay should do
	State State  `json:"state"`
	Why   string `json:"why"` // why it failed or was skipped
}

// check is one thing that a relay should do. It ends early by l.fail or l.skip.
type check struct {
	nip     string
	name    string
	run     func(l *lab)
	claimed bool // only where the relay claims the NIP
	hostile bool
}

// all is every check, in the order of the table.
func all() []check {
	return slices.Concat(facts, publishing, shapes, times, finding, listening, replacing, deleting, expiring, auth, protecting, counting, searching, syncing, limits, hostility)
}

// Run checks a relay. It fails only if the relay cannot be reached at all; results come in the order of the table, and tell
// hears each as it is there, if it is not nil.
func Run(ctx context.Context, c Config, tell func(Result)) ([]Result, error) {
	if c.Patience <= 0 {
		c.Patience = 10 * time.Second
	}
	if c.Parallel <= 0 {
		c.Parallel = 4
	}
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
		return nil, fmt.Errorf("%q is no address of a relay: one begins with ws:// or wss://", c.URL)
	}
	suite := &suite{Config: c, published: map[*events.Keys][]string{}}
	first, err := suite.dial(ctx)
	if err != nil {
		return nil, err
	}
	first.close()
	suite.facts, suite.factsErr = fetchFacts(ctx, c.URL, c.Patience)
	checks := all()
	if len(c.NIPs) > 0 {
		checks = slices.DeleteFunc(checks, func(k check) bool {
			return !slices.ContainsFunc(c.NIPs, func(nip string) bool { return fmt.Sprintf("%02s", nip) == k.nip })
		})
		if len(checks) == 0 {
			return nil, fmt.Errorf("there is no check of NIP-%s", strings.Join(c.NIPs, ", "))
		}
	}
	results := make([]Result, len(checks))
	var (
		turn sync.Mutex
		work sync.WaitGroup
		room = make(chan struct{}, c.Parallel)
	)
	for i, each := range checks {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		work.Go(func() {
			defer func() { <-room }()
			results[i] = suite.run(ctx, each)
			if tell != nil {
				turn.Lock()
				defer turn.Unlock()
				tell(results[i])
			}
		})
	}
	work.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if !c.Keep {
		suite.cleanUp(ctx)
	}
	return results, nil
}

// suite is one run.
type suite struct {
	Config
	facts    *Facts
	factsErr error

	mu        sync.Mutex
	published map[*events.Keys][]string // ids of what the relay took
}

// ended is what a check that ends early panics with.
type ended struct {
	state State
	why   string
}

// run runs one check.
func (s *suite) run(ctx context.Context, c check) (r Result) {
	r = Result{NIP: c.nip, Name: c.name, State: Pass}
	switch {
	case c.hostile && !s.Hostile:
		r.State, r.Why = Skip, "it has crashed relays; --hostile runs it"
		return r
	case c.claimed && !s.facts.claims(c.nip):
		r.State, r.Why = Skip, "the relay does not claim NIP-"+c.nip
		return r
	}
	l := &lab{suite: s, ctx: ctx}
	defer func() {
		for _, c := range l.lines {
			c.close()
		}
		switch end := recover().(type) {
		case nil:
		case ended:
			r.State, r.Why = end.state, end.why
		default:
			r.State, r.Why = Fail, fmt.Sprintf("the check itself broke: %v\n%s", end, debug.Stack())
		}
	}()
	c.run(l)
	return r
}

// cleanUp asks the relay to delete what the checks have left.
func (s *suite) cleanUp(ctx context.Context) {
	s.run(ctx, check{run: func(l *lab) {
		c := l.dial()
		for keys, ids := range s.published {
			for part := range slices.Chunk(ids, 100) {
				var tags [][]string
				for _, id := range part {
					tags = append(tags, []string{"e", id})
				}
				c.publish(l.event(keys, 5, 0, "the check of this relay has ended", tags...))
			}
		}
	}})
}

// Passed says whether a relay does all that was found out, and how many checks ended in each state.
func Passed(results []Result) (ok bool, n map[State]int) {
	n = map[State]int{}
	for _, r := range results {
		n[r.State]++
	}
	return n[Fail] == 0 && n[Pass] > 0, n
}
