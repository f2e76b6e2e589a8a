package eventlog

import (
	"slices"
	"sort"
	"sync"
)

// index finds the entries of one segment by key.
type index interface {
	// find gives a cursor over what a key has between two times, both included; nil if it has nothing.
	find(k key, since, until uint32) cursor
}

// cursor gives entries, the latest first; of one time, the last written first.
type cursor interface {
	next() (e entry, ok bool)
	// size is about how many it gives.
	size() int
}

func (e entry) before(than entry) bool {
	return e.at < than.at || e.at == than.at && e.offset < than.offset
}

// fresh is the index of a segment that is still written, in memory. It is written by one goroutine and read by many.
type fresh struct {
	mu    sync.RWMutex
	lists map[key]list
}

// list is what one key has, in order. Most keys have one entry.
type list struct {
	one  entry
	more []entry // all of them, if there are several
}

func newFresh() *fresh { return &fresh{lists: map[key]list{}} }

// add is called with mu held.
func (x *fresh) add(k key, e entry) {
	l, ok := x.lists[k]
	switch {
	case !ok:
		l.one = e
	case l.more == nil:
		if e.before(l.one) {
			l.more = []entry{e, l.one}
		} else {
			l.more = []entry{l.one, e}
		}
	default:
		i := len(l.more) // nearly always the latest
		if e.before(l.more[i-1]) {
			i = sort.Search(i, func(i int) bool { return e.before(l.more[i]) })
		}
		l.more = slices.Insert(l.more, i, e)
	}
	x.lists[k] = l
}

func (l list) all(room *[1]entry) []entry {
	if l.more != nil {
		return l.more
	}
	room[0] = l.one
	return room[:]
}

func (x *fresh) find(k key, since, until uint32) cursor {
	x.mu.RLock()
	l, ok := x.lists[k]
	x.mu.RUnlock()
	if !ok {
		return nil
	}
	return &freshCursor{of: x, key: k, since: since, below: entry{until, ^uint32(0)}, first: true, n: max(1, len(l.more))}
}

// freshCursor takes a few entries at a time: between, the list may grow anywhere.
type freshCursor struct {
	of    *fresh
	key   key
	since uint32
	below entry // what it gave last
	first bool
	room  [32]entry
	few   []entry
	done  bool
	n     int
}

func (c *freshCursor) size() int { return c.n }

func (c *freshCursor) next() (entry, bool) {
	if len(c.few) == 0 && !c.done {
		c.fill()
	}
	if len(c.few) == 0 {
		return entry{}, false
	}
	e := c.few[len(c.few)-1]
	c.few = c.few[:len(c.few)-1]
	return e, true
}

func (c *freshCursor) fill() {
	c.of.mu.RLock()
	defer c.of.mu.RUnlock()
	var room [1]entry
	all := c.of.lists[c.key].all(&room)
	end := sort.Search(len(all), func(i int) bool { return !all[i].before(c.below) })
	if c.first && end < len(all) && all[end] == c.below {
		end++
	}
	c.first = false
	begin := max(0, end-len(c.room))
	begin += sort.Search(end-begin, func(i int) bool { return all[begin+i].at >= c.since })
	c.few = append(c.room[:0], all[begin:end]...)
	if len(c.few) > 0 {
		c.below = c.few[0]
	}
	c.done = begin == 0 || len(c.few) < len(c.room)
}
