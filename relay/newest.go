package relay

import (
	"cmp"
	"slices"

	"github.com/nbd-wtf/go-nostr"
)

// hit is an event that a query has found.
type hit struct {
	id string
	at nostr.Timestamp
	ev *nostr.Event // nil if it is to be read again
}

// keptBytes is how much of one answer is kept, and not read again.
const keptBytes = 512 << 10

// newest gathers the newest events that are kept, a few more than the limit at times.
type newest struct {
	limit  int
	keep   func(*nostr.Event) bool
	ids    map[string]bool
	hits   []hit
	kept   int // bytes of events that need not be read again
	sorted bool
}

func (n *newest) add(ev *nostr.Event) {
	if n.ids[ev.ID] || !n.keep(ev) {
		return
	}
	h := hit{id: ev.ID, at: ev.CreatedAt}
	if size := sizeOf(ev); n.kept+size <= keptBytes {
		n.kept += size
		h.ev = ev
	}
	n.ids[h.id] = true
	n.hits = append(n.hits, h)
	if n.sorted = false; len(n.hits) > 2*n.limit+mostPage {
		n.take()
	}
}

// take gives what was gathered, in order.
func (n *newest) take() []hit {
	if n.sorted {
		return n.hits
	}
	slices.SortFunc(n.hits, hit.newer)
	for _, h := range n.hits[min(n.limit, len(n.hits)):] {
		delete(n.ids, h.id)
		if h.ev != nil {
			n.kept -= sizeOf(h.ev)
		}
	}
	clear(n.hits[min(n.limit, len(n.hits)):])
	n.hits, n.sorted = n.hits[:min(n.limit, len(n.hits))], true
	return n.hits
}

// floor is the time before which nothing is wanted any more, once there are enough.
func (n *newest) floor() (nostr.Timestamp, bool) {
	if all := n.take(); len(all) == n.limit {
		return all[n.limit-1].at, true
	}
	return 0, false
}

func (h hit) newer(than hit) int {
	return cmp.Or(cmp.Compare(than.at, h.at), cmp.Compare(h.id, than.id))
}

func newestFirst(a, b *nostr.Event) int {
	return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(a.ID, b.ID))
}

// sizeOf is about how many bytes of memory an event takes.
func sizeOf(ev *nostr.Event) int {
	size := len(ev.Content) + 500
	for _, tag := range ev.Tags {
		size += 24
		for _, item := range tag {
			size += 16 + len(item)
		}
	}
	return size
}
