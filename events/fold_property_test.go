package events

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// seed gives the random test's seed, printed so that a failure can be repeated with INFERNET_SEED.
func seed(t *testing.T) *rand.Rand {
	s := uint64(time.Now().UnixNano())
	if set := os.Getenv("INFERNET_SEED"); set != "" {
		n, err := strconv.ParseUint(set, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		s = n
	}
	t.Logf("INFERNET_SEED=%d", s)
	return rand.New(rand.NewPCG(s, s))
}

const (
	t0 = Unix(1_800_000_000)
)

// world is one random job: a request and what was said, some of it forged or about other things.
type world struct {
	rnd   *rand.Rand
	req   *Request
	nodes []PubKey
	said  []Message
}

func randomWorld(rnd *rand.Rand) *world {
	w := &world{rnd: rnd, nodes: []PubKey{node.PublicKey(), other.PublicKey(), PubKey(strings.Repeat("ad", 32))}}
	w.req = &Request{Head: Head{ID: jobID, Author: customer.PublicKey(), At: t0}, Kind: KindText, Profile: true, Deadline: t0 + 300}
	switch rnd.IntN(5) {
	case 0: // open auction
		w.req.Bids = &Auction{Seconds: 5, Mode: "auto"}
	case 1: // auction among two
		w.req.Bids, w.req.To = &Auction{Seconds: 5, Mode: "auto"}, w.nodes[:2]
	case 2: // direct
		w.req.To = w.nodes[:1]
	case 3: // plain
		w.req.Profile = false
		if rnd.IntN(2) == 0 {
			w.req.To = w.nodes[:1]
		}
	case 4: // to oneself
		w.req.To = []PubKey{w.req.Author}
	}
	for range rnd.IntN(12) {
		w.said = append(w.said, w.message())
	}
	if n := len(w.said); n > 0 && rnd.IntN(3) == 0 {
		w.said = append(w.said, w.said[rnd.IntN(n)]) // a repeat
	}
	return w
}

// message says something: mostly what a party may say, sometimes what it may not.
func (w *world) message() Message {
	rnd := w.rnd
	id := ID(fmt.Sprintf("%016x%016x%016x%016x", rnd.Uint64(), rnd.Uint64(), rnd.Uint64(), rnd.Uint64()))
	from := w.nodes[rnd.IntN(len(w.nodes))]
	job := w.req.ID
	if rnd.IntN(12) == 0 {
		job = offerID
	}
	if rnd.IntN(10) == 0 {
		from = w.req.Author
	}
	h := Head{ID: id, Author: from, At: t0 + Unix(rnd.IntN(200)-20)}
	until := t0 + Unix(rnd.IntN(400))
	byCustomer := func() Head {
		if rnd.IntN(6) > 0 { // else it is forged
			h.Author = w.req.Author
		}
		return h
	}
	switch rnd.IntN(11) {
	case 0:
		return &Offer{Head: h, Job: job, Amount: Msat(rnd.IntN(5)), Cap: 5, Until: until, Pay: PayPrepaid, Plain: rnd.IntN(4) == 0}
	case 1, 2:
		return &Award{Head: byCustomer(), Job: job, Offer: offerID, Node: w.nodes[rnd.IntN(len(w.nodes))], Until: until}
	case 3:
		return &Invoice{Head: h, Job: job, Until: until, Bolt11: "x"}
	case 4:
		if rnd.IntN(6) == 0 {
			until = 0 // only a report of progress
		}
		return &Running{Head: h, Job: job, Lease: until, Plain: !w.req.Profile && rnd.IntN(2) == 0}
	case 5:
		return &Refusal{Head: h, Job: job, Code: CodeUnavailable}
	case 6, 7:
		kind := w.req.Kind + 1000
		if rnd.IntN(8) == 0 {
			kind++
		}
		return &Result{Head: h, Kind: kind, Job: job, Content: string(rune('a' + rnd.IntN(2))), Closed: rnd.IntN(6) == 0}
	case 8:
		result := offerID
		for _, m := range w.said {
			if r, ok := m.(*Result); ok && rnd.IntN(2) == 0 {
				result = r.ID
				h.Author = r.Author
			}
		}
		return &Receipt{Head: h, Job: job, Result: result}
	case 9:
		return &Cancel{Head: byCustomer(), Job: job}
	default:
		return &Closed{Head: h, Kind: KindFeedback, Job: job}
	}
}

// answer is what a reader learns of a job.
type answer struct {
	State     State
	Best      PubKey
	Engaged   string
	Result    ID
	Cancelled bool
	Conflict  bool
}

func answerOf(j *Job) answer {
	a := answer{State: j.State, Cancelled: j.Cancelled, Conflict: j.Conflict}
	if j.Best != nil {
		a.Best = j.Best.Node
	}
	for _, e := range j.Engaged {
		a.Engaged += fmt.Sprintf("%s:%s ", e.Node[:4], e.State)
	}
	if r := j.Result(); r != nil {
		a.Result = r.ID
	}
	return a
}

// worlds is how many random jobs are tried; ten times as many in the long form.
var worlds = map[bool]int{false: 25_000, true: 250_000}[os.Getenv("INFERNET_LONG") != ""]

func TestFoldGivesOneAnswerInEveryOrder(t *testing.T) {
	rnd := seed(t)
	states := map[State]int{}
	for range worlds {
		w := randomWorld(rnd)
		now := time.Unix(int64(t0)+int64(rnd.IntN(400)), 0)
		want := answerOf(Fold(w.req, w.said, now))
		states[want.State]++
		for range 3 {
			mixed := append(slices.Clone(w.said), w.said[:rnd.IntN(len(w.said)+1)]...)
			rnd.Shuffle(len(mixed), func(i, k int) { mixed[i], mixed[k] = mixed[k], mixed[i] })
			if got := answerOf(Fold(w.req, mixed, now)); got != want {
				t.Fatalf("another order, another answer:\n%+v\n%+v\n%s", want, got, dump(w))
			}
		}
	}
	t.Logf("states seen: %v", states)
	for _, s := range append(slices.Clone(best), StateCancelled, StateOffered, StateOpen, StateExpired) {
		if states[s] == 0 {
			t.Errorf("no random job was %s: the test does not reach it", s)
		}
	}
}

func TestFoldUndoesNoFinalState(t *testing.T) {
	rnd := seed(t)
	finals := 0
	for range worlds {
		w := randomWorld(rnd)
		now := time.Unix(int64(t0)+int64(rnd.IntN(400)), 0)
		before := Fold(w.req, w.said, now).State
		if !before.Final() {
			continue
		}
		finals++
		for range 4 {
			w.said = append(w.said, w.message())
			now = now.Add(time.Duration(rnd.IntN(200)) * time.Second)
			after := Fold(w.req, w.said, now).State
			if !after.Final() || before == StateSettled && after != StateSettled {
				t.Fatalf("%s became %s\n%s", before, after, dump(w))
			}
			before = after
		}
	}
	if finals < 1000 {
		t.Errorf("only %d final states were tried", finals)
	}
}

// TestFoldAgreesWithItsText holds Fold against a second reading of the protocol's text, written line by line from it.
func TestFoldAgreesWithItsText(t *testing.T) {
	rnd := seed(t)
	for range worlds {
		w := randomWorld(rnd)
		now := t0 + Unix(rnd.IntN(400))
		got := Fold(w.req, w.said, now.Time())
		if want := textSays(w.req, w.said, now); got.State != want {
			t.Fatalf("Fold says %s, the text %s\n%s", got.State, want, dump(w))
		}
	}
}

// textSays is PROTOCOL §2 read naively: facts as strings, one pass for each line of the table.
func textSays(req *Request, said []Message, now Unix) State {
	byID := map[ID]Message{}
	for _, m := range said {
		if old, ok := byID[m.Signed().ID]; !ok || isClosed(old) {
			byID[m.Signed().ID] = m
		}
	}
	named := func(n PubKey) bool { return len(req.To) == 0 || slices.Contains(req.To, n) }
	has := map[string]Unix{} // "node fact" → the greatest time it gives
	note := func(n PubKey, fact string, at Unix) {
		if have, ok := has[string(n)+fact]; !ok || at > have {
			has[string(n)+fact] = at
		}
	}
	nodes, cancelled, offered := map[PubKey]ID{}, false, false
	results := map[ID]PubKey{}
	const far = Unix(1 << 40)
	for _, m := range byID {
		about, ok := m.(About)
		if !ok || about.About() != req.ID {
			continue
		}
		who := m.Signed().Author
		customers := who == req.Author
		if award, ok := m.(*Award); ok {
			if customers && req.Bids != nil {
				note(award.Node, "award", award.Until)
				if low, ok := nodes[award.Node]; !ok || award.ID < low {
					nodes[award.Node] = award.ID
				}
			}
			continue
		}
		if _, ok := m.(*Cancel); ok {
			cancelled = cancelled || customers
			continue
		}
		if !named(who) || customers && !slices.Contains(req.To, who) {
			continue
		}
		switch m := m.(type) {
		case *Offer:
			until := m.Until
			if m.Plain {
				until = far
			}
			offered = offered || now <= min(until, req.Deadline)
		case *Invoice:
			note(who, "invoice", m.Until)
		case *Running:
			if m.Plain {
				note(who, "run", far)
			} else if m.Lease != 0 {
				note(who, "run", m.Lease)
			}
		case *Refusal:
			note(who, "error", 0)
		case *Result:
			if m.Kind == req.Kind+1000 {
				note(who, "result", 0)
				results[m.ID] = who
			}
		}
	}
	for _, m := range byID {
		if r, ok := m.(*Receipt); ok && r.Job == req.ID && results[r.Result] == r.Author && named(r.Author) && (r.Author != req.Author || slices.Contains(req.To, r.Author)) {
			note(r.Author, "receipt", 0)
		}
	}
	engaged := maps.Clone(nodes)
	if req.Bids == nil && len(req.To) == 1 {
		engaged[req.To[0]] = "~"
	}
	if !req.Profile {
		for key := range has {
			n := PubKey(key[:64])
			_, run := has[string(n)+"run"]
			_, res := has[string(n)+"result"]
			if _, known := engaged[n]; (run || res) && !known {
				engaged[n] = "~"
			}
		}
	}
	judge := func(n PubKey) State {
		fact := func(name string) (Unix, bool) { at, ok := has[string(n)+name]; return at, ok }
		if _, ok := fact("receipt"); ok {
			return StateSettled
		}
		if _, ok := fact("result"); ok {
			return StateDelivered
		}
		if _, ok := fact("error"); ok {
			return StateFailed
		}
		if lease, ok := fact("run"); ok {
			if now <= min(lease, req.Deadline) {
				return StateRunning
			}
			return StateNoShow
		}
		if until, ok := fact("invoice"); ok {
			if now <= min(until, req.Deadline) {
				return StateAwaitPayment
			}
			return StateUnpaid
		}
		until, ok := fact("award")
		if !ok {
			until = far
		}
		if now <= min(until, req.Deadline) {
			return StateAwarded
		}
		return StateNoShow
	}
	if len(engaged) == 0 {
		switch {
		case cancelled:
			return StateCancelled
		case now > req.Deadline:
			return StateExpired
		case offered:
			return StateOffered
		}
		return StateOpen
	}
	keys := slices.SortedFunc(maps.Keys(engaged), func(a, b PubKey) int {
		return cmp.Or(cmp.Compare(slices.Index(best, judge(a)), slices.Index(best, judge(b))), cmp.Compare(engaged[a], engaged[b]), cmp.Compare(a, b))
	})
	state := judge(keys[0])
	if cancelled && !state.Final() {
		return StateCancelled
	}
	return state
}

func dump(w *world) string {
	var b strings.Builder
	fmt.Fprintf(&b, "request %+v bids %+v\n", *w.req, w.req.Bids)
	for _, m := range w.said {
		fmt.Fprintf(&b, "%T %+v\n", m, m)
	}
	return b.String()
}

// fixedRand is the randomness of the vectors: always the same.
func fixedRand() *rand.Rand { return rand.New(rand.NewPCG(90, 1)) }
