package provider

import (
	"context"
	"sync"
	"time"
)

// queue hands out the node's slots: first to jobs of higher priority, then to the one whose deadline comes first. Every
// fourth slot goes to who has waited longest, whatever its priority: nobody waits for ever.
type queue struct {
	mu    sync.Mutex
	slots int
	each  map[string]int // most jobs of a model at once; those that are not named have no bound of their own
	busy  int
	runs  map[string]int // jobs of a model that run
	count int
	turns int // slots that were handed to somebody who waited
	line  []*waiter
}

// fourth is how often a slot goes to who has waited longest.
const fourth = 4

// place is where a job stands in the queue.
type place struct {
	rank  int       // of its priority; higher goes first
	due   time.Time // its deadline
	model string
}

type waiter struct {
	place
	order int
	turn  chan struct{}
}

func newQueue(slots int) *queue {
	return &queue{slots: slots, runs: map[string]int{}}
}

// set changes how many jobs run at once. Those that run go on.
func (q *queue) set(slots int, each map[string]int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.slots, q.each = slots, each
	q.pass()
}

// slot waits for a slot; done gives it back.
func (q *queue) slot(ctx context.Context, at place) (done func(), err error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	q.mu.Lock()
	done = sync.OnceFunc(func() { q.release(at.model) })
	if q.fits(at.model) {
		q.take(at.model)
		q.mu.Unlock()
		return done, nil
	}
	q.count++
	w := &waiter{place: at, order: q.count, turn: make(chan struct{})}
	q.line = append(q.line, w)
	q.mu.Unlock()
	select {
	case <-w.turn:
		return done, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.line {
		if q.line[i] == w {
			q.line = append(q.line[:i], q.line[i+1:]...)
			return nil, context.Cause(ctx)
		}
	}
	q.give(at.model) // its turn came in the same moment
	return nil, context.Cause(ctx)
}

// fits says whether one more job of a model may run.
func (q *queue) fits(model string) bool {
	most := q.each[model]
	return q.busy < q.slots && (most == 0 || q.runs[model] < most)
}

func (q *queue) take(model string) {
	q.busy++
	q.runs[model]++
}

func (q *queue) release(model string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.give(model)
}

func (q *queue) give(model string) {
	q.busy--
	if q.runs[model]--; q.runs[model] == 0 {
		delete(q.runs, model)
	}
	q.pass()
}

// pass hands free slots to those in line.
func (q *queue) pass() {
	for q.busy < q.slots {
		i := q.next()
		if i < 0 {
			return
		}
		w := q.line[i]
		q.line = append(q.line[:i], q.line[i+1:]...)
		q.turns++
		q.take(w.model)
		close(w.turn)
	}
}

// next is who gets the next slot; -1 if nobody in line may run.
func (q *queue) next() int {
	longest := q.turns%fourth == fourth-1
	best := -1
	for i, w := range q.line { // in the order they came
		if q.fits(w.model) && (best < 0 || !longest && w.before(q.line[best].place)) {
			best = i
		}
	}
	return best
}

// before says whether a place is before another, of those who came in any order.
func (p place) before(o place) bool {
	if p.rank != o.rank {
		return p.rank > o.rank
	}
	return p.due.Before(o.due)
}

// ahead is how many jobs would get a slot before one at this place, those that run among them.
func (q *queue) ahead(at place) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.busy
	for _, w := range q.line {
		if !at.before(w.place) {
			n++
		}
	}
	return n
}

func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.line)
}

func (q *queue) running() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.busy
}

func (q *queue) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.slots
}
