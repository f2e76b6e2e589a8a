package relay

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/nbd-wtf/go-nostr"
)

// eventstore's indexes hold 8 bytes of a value and compare texts by how they begin, its limit counts what it wrongly
// found, and times wrap around at 32 bits. So it is asked for one key at a time, page after page, and what it gives is
// held against the filter here.

// query gives what filters find, newest first, of one second the lower id first (NIP-01): on the disk and under way,
// nothing expired or replaced, at most limit for each filter. show says what may be given; nil for everything.
func (s *store) query(ctx context.Context, filters nostr.Filters, limit int, show func(*nostr.Event) bool) (all []*nostr.Event) {
	seen := map[string]bool{}
	for _, f := range filters {
		if f.LimitZero {
			continue
		}
		if f.Limit <= 0 || f.Limit > limit {
			f.Limit = limit
		}
		for _, ev := range s.search(ctx, f, show) {
			if !seen[ev.ID] {
				seen[ev.ID] = true
				all = append(all, ev)
			}
		}
	}
	slices.SortFunc(all, newestFirst)
	return all
}

// search gives what one filter finds, at most its limit.
func (s *store) search(ctx context.Context, f nostr.Filter, show func(*nostr.Event) bool) []*nostr.Event {
	now := nostr.Timestamp(s.now().Unix())
	n := newest{limit: f.Limit, ids: map[string]bool{}, keep: func(ev *nostr.Event) bool {
		return f.Matches(ev) && !expired(ev, now) && (show == nil || show(ev)) && s.holds(ev)
	}}
	for _, ev := range s.underWay(f) { // before the disk: else an event may move there unseen
		n.add(ev)
	}
	for _, part := range lookups(f) {
		s.pages(ctx, part, &n)
	}
	return n.take()
}

const page = 256

// pages reads what one key finds, newest first, until there are enough or no more. A page begins in the second where the
// last one ended.
func (s *store) pages(ctx context.Context, f nostr.Filter, n *newest) {
	for f.Limit = page; ctx.Err() == nil; {
		if at, ok := n.floor(); ok && (f.Since == nil || *f.Since < at) {
			f.Since = &at
		}
		found := s.ask(ctx, f)
		for _, ev := range found {
			n.add(ev)
		}
		if len(found) < f.Limit {
			return
		}
		last := found[len(found)-1].CreatedAt
		if found[0].CreatedAt == last { // there may be more in one second than a page holds
			if f.Limit == pageLimit {
				return
			}
			f.Limit = min(2*f.Limit, pageLimit)
		}
		f.Until = &last
	}
}

// ask runs one look-up on the disk.
func (s *store) ask(ctx context.Context, f nostr.Filter) (found []*nostr.Event) {
	events, err := s.db.QueryEvents(ctx, f)
	if err != nil {
		return nil
	}
	for ev := range events {
		if ev != nil {
			found = append(found, ev)
		}
	}
	return found
}

// maxLookups is how many keys are looked up one by one for a filter, before all events are.
const maxLookups = 2000

// lookups takes a filter apart into look-ups of one key each, along the dimension that tells most.
func lookups(f nostr.Filter) (parts []nostr.Filter) {
	times := nostr.Filter{Since: clamp(f.Since), Until: clamp(f.Until)}
	part := func(change func(*nostr.Filter)) {
		one := times
		change(&one)
		parts = append(parts, one)
	}
	kinds := distinct(f.Kinds, func(k int) bool { return k >= 0 && k <= math.MaxUint16 })
	authors := distinct(f.Authors, isHex64)
	tag, values := narrowest(f)
	for _, wanted := range f.Tags {
		if wanted != nil && len(wanted) == 0 { // nothing can match
			return nil
		}
	}
	switch {
	case f.IDs != nil:
		for _, id := range distinct(f.IDs, isHex64) {
			part(func(p *nostr.Filter) { p.IDs = []string{id} })
		}
	case f.Kinds != nil && len(kinds) == 0 || f.Authors != nil && len(authors) == 0: // nothing can match
	case tag == "p" && f.Authors == nil: // without kinds: with them eventstore reads all events of the kind
		for _, v := range values {
			part(func(p *nostr.Filter) { p.Tags = nostr.TagMap{tag: {v}} })
		}
	case tag != "" && tag != "p":
		for _, v := range values {
			part(func(p *nostr.Filter) { p.Tags, p.Kinds = nostr.TagMap{tag: {v}}, kinds })
		}
	case f.Authors != nil && f.Kinds != nil && len(authors)*len(kinds) <= maxLookups:
		for _, a := range authors {
			for _, k := range kinds {
				part(func(p *nostr.Filter) { p.Authors, p.Kinds = []string{a}, []int{k} })
			}
		}
	case f.Authors != nil && len(authors) <= maxLookups:
		for _, a := range authors {
			part(func(p *nostr.Filter) { p.Authors = []string{a} })
		}
	case f.Kinds != nil && len(kinds) <= maxLookups:
		for _, k := range kinds {
			part(func(p *nostr.Filter) { p.Kinds = []int{k} })
		}
	default:
		part(func(*nostr.Filter) {})
	}
	return parts
}

// narrowest is the tag whose index eventstore keeps well: e, q or p, with ids or keys only.
func narrowest(f nostr.Filter) (tag string, values []string) {
	for _, tag := range []string{"e", "q", "p"} {
		if v := distinct(f.Tags[tag], isHex64); len(v) > 0 && len(v) == len(distinct(f.Tags[tag], nil)) {
			return tag, v
		}
	}
	return "", nil
}

func distinct[T cmp.Ordered](all []T, ok func(T) bool) []T {
	all = slices.Clone(all)
	slices.Sort(all)
	all = slices.Compact(all)
	if ok == nil {
		return all
	}
	return slices.DeleteFunc(all, func(v T) bool { return !ok(v) })
}

// clamp keeps a time within what eventstore can hold.
func clamp(at *nostr.Timestamp) *nostr.Timestamp {
	if at == nil {
		return nil
	}
	held := min(max(*at, 0), math.MaxUint32-1)
	return &held
}

// newest gathers the newest events that are kept, a few more than the limit at times.
type newest struct {
	limit  int
	keep   func(*nostr.Event) bool
	ids    map[string]bool
	events []*nostr.Event
	sorted bool
}

func (n *newest) add(ev *nostr.Event) {
	if !n.ids[ev.ID] && n.keep(ev) {
		n.ids[ev.ID] = true
		n.events = append(n.events, ev)
		n.sorted = false
	}
}

// take gives what was gathered, in order.
func (n *newest) take() []*nostr.Event {
	if !n.sorted {
		slices.SortFunc(n.events, newestFirst)
		n.events, n.sorted = n.events[:min(n.limit, len(n.events))], true
	}
	return n.events
}

// floor is the time before which nothing is wanted any more, once there are enough.
func (n *newest) floor() (nostr.Timestamp, bool) {
	if all := n.take(); len(all) == n.limit {
		return all[n.limit-1].CreatedAt, true
	}
	return 0, false
}

func newestFirst(a, b *nostr.Event) int {
	return cmp.Or(cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(a.ID, b.ID))
}
