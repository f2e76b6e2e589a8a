package provider

import (
	"container/heap"
	"context"
	"sync"
)

// queue hands out the node's slots: first to jobs of higher priority, then in the order they came.
type queue struct {
	mu    sync.Mutex
	free  int
	slots int
	count int
	line  line
}

func newQueue(slots int) *queue { return &queue{free: slots, slots: slots} }

// slot waits for a slot; done gives it back. percent is the priority.
func (q *queue) slot(ctx context.Context, percent int) (done func(), err error) {
	q.mu.Lock()
	if q.free > 0 {
		q.free--
		q.mu.Unlock()
		return q.release, nil
	}
	q.count++
	w := &waiter{percent: percent, order: q.count, turn: make(chan struct{})}
	heap.Push(&q.line, w)
	q.mu.Unlock()
	select {
	case <-w.turn:
		return q.release, nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if w.at < 0 { // its turn came in the same moment
		q.pass()
		return nil, context.Cause(ctx)
	}
	heap.Remove(&q.line, w.at)
	return nil, context.Cause(ctx)
}

func (q *queue) release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pass()
}

// pass gives a slot to the next in line.
func (q *queue) pass() {
	if len(q.line) == 0 {
		q.free++
		return
	}
	close(heap.Pop(&q.line).(*waiter).turn)
}

func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.line)
}

func (q *queue) running() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.slots - q.free
}

type waiter struct {
	percent, order int
	turn           chan struct{}
	at             int // place in line; -1 once it has left
}

// line is a heap of waiters.
type line []*waiter

func (l line) Len() int { return len(l) }
func (l line) Less(i, k int) bool {
	if l[i].percent != l[k].percent {
		return l[i].percent > l[k].percent
	}
	return l[i].order < l[k].order
}
func (l line) Swap(i, k int) { l[i], l[k] = l[k], l[i]; l[i].at, l[k].at = i, k }
func (l *line) Push(x any)   { w := x.(*waiter); w.at = len(*l); *l = append(*l, w) }
func (l *line) Pop() any {
	old := *l
	w := old[len(old)-1]
	*l = old[:len(old)-1]
	w.at = -1
	return w
}
