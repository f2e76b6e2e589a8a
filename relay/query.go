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

// A query first finds which events make up its answer, then reads them again, one by one, as they are sent: of an answer
// no more than a little is in memory, however large it is and however slowly its reader reads.

// event is what was found; nil if it has gone meanwhile.
func (s *store) event(ctx context.Context, h hit) *nostr.Event {
	if h.ev != nil {
		return h.ev
	}
	return s.find(ctx, h.id)
}

// query gives what filters find, newest first, of one second the lower id first (NIP-01): on the disk and under way,
// nothing expired or replaced, at most limit for each filter. show says what may be given; nil for everything.
func (s *store) query(ctx context.Context, filters nostr.Filters, limit int, show func(*nostr.Event) bool) (all []hit) {
	seen, kept := map[string]bool{}, keptBytes
	for _, f := range filters {
		if f.LimitZero {
			continue
		}
		if f.Limit <= 0 || f.Limit > limit {
			f.Limit = limit
		}
		for _, h := range s.search(ctx, f, show) {
			if seen[h.id] {
				continue
			}
			seen[h.id] = true
			if h.ev != nil {
				if kept -= sizeOf(h.ev); kept < 0 {
					h.ev = nil
				}
			}
			all = append(all, h)
		}
	}
	slices.SortFunc(all, hit.newer)
	return all
}

// search gives what one filter finds, at most its limit.
func (s *store) search(ctx context.Context, f nostr.Filter, show func(*nostr.Event) bool) []hit {
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

// Pages are read whole: of a page of unknown events there are few, of the next as many as should fit pageBytes.
const (
	firstPage = 16
	mostPage  = 512
	pageBytes = 512 << 10
)

// pages reads what one key finds, newest first, until there are enough or no more. A page begins in the second where the
// last one ended.
func (s *store) pages(ctx context.Context, f nostr.Filter, n *newest) {
	for f.Limit = firstPage; ctx.Err() == nil; {
		if at, ok := n.floor(); ok && (f.Since == nil || *f.Since < at) {
			f.Since = &at
		}
		found := s.ask(ctx, f)
		size := 1
		for _, ev := range found {
			size += sizeOf(ev)
			n.add(ev)
		}
		if len(found) < f.Limit {
			return
		}
		until := found[len(found)-1].CreatedAt
		wanted := max(2*f.Limit, n.limit-len(n.hits)+firstPage)
		wanted = min(wanted, max(firstPage/2, len(found)*pageBytes/size), mostPage)
		if found[0].CreatedAt == until && wanted <= f.Limit { // there may be more in this second than a page holds
			s.second(ctx, f, until, n)
			until--
		}
		f.Limit, f.Until = wanted, &until
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
