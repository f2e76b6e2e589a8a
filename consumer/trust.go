package consumer

import (
	"context"
	"slices"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer/choose"
	"infernet/events"
)

// trustFor is how long what others say is good for.
const trustFor = time.Minute

// Opinion is what reviews (31117) and assertions (NIP-85) say of a node. Only those of trusted keys count for anything:
// everybody can make keys, and reviews with them.
type Opinion struct {
	All   int // reviews by anybody, for what they are worth
	Trust choose.Trust
}

// Opinions reads what is said of nodes, by node.
func (c *Consumer) Opinions(ctx context.Context) (map[events.PubKey]Opinion, error) {
	filters := []nostr.Filter{{Kinds: []int{events.KindReview}, Limit: 500}}
	if len(c.Trust) > 0 {
		var authors []string
		for _, key := range c.Trust {
			authors = append(authors, string(key))
		}
		filters = append(filters, nostr.Filter{Kinds: []int{events.KindReview, events.KindReputation, events.KindReputationOf}, Authors: authors, Limit: 500})
	}
	found, err := c.Pool.Query(ctx, filters...)
	if err != nil {
		return nil, err
	}
	all, sums := map[events.PubKey]Opinion{}, map[events.PubKey]float64{}
	newest := map[string]bool{} // a review, or an assertion, has newer versions
	slices.SortFunc(found, func(a, b *nostr.Event) int { return int(b.CreatedAt - a.CreatedAt) })
	for _, ev := range found {
		m, err := events.Parse(ev)
		if err != nil {
			continue
		}
		trusted := slices.Contains(c.Trust, events.PubKey(ev.PubKey))
		var node events.PubKey
		var rank float64
		var name string
		switch m := m.(type) {
		case *events.Review:
			node, rank, name = m.Node, float64(m.Rating-1)/4, "review "+ev.PubKey+string(m.Job)
		case *events.Reputation:
			key, _ := addressed(m.Subject)
			node, rank, name = key, float64(m.Rank)/100, "rank "+ev.PubKey+m.Subject
		}
		if node == "" || newest[name] {
			continue
		}
		newest[name] = true
		x := all[node]
		if _, review := m.(*events.Review); review {
			x.All++
		}
		if trusted {
			x.Trust.Said++
			sums[node] += rank
			x.Trust.Rank = sums[node] / float64(x.Trust.Said)
		}
		all[node] = x
	}
	return all, nil
}

// addressed is the key that an assertion is about: itself, or that of an announcement's address.
func addressed(subject string) (events.PubKey, bool) {
	if nostr.IsValidPublicKey(subject) {
		return events.PubKey(subject), true
	}
	for i := range subject { // kind:key:name
		if subject[i] == ':' && len(subject) > i+64 && nostr.IsValidPublicKey(subject[i+1:i+65]) {
			return events.PubKey(subject[i+1 : i+65]), true
		}
	}
	return "", false
}

// trusted is what trusted keys say of nodes, looked up now and then.
func (c *Consumer) trusted(ctx context.Context) map[events.PubKey]Opinion {
	if len(c.Trust) == 0 {
		return nil
	}
	c.asking.Lock()
	defer c.asking.Unlock()
	if c.opinions != nil && c.Now().Sub(c.opinionsAt) < trustFor {
		return c.opinions
	}
	ctx, stop := context.WithTimeout(ctx, announcedIn)
	defer stop()
	said, err := c.Opinions(ctx)
	if err != nil {
		c.Log.Warn("what trusted keys say of nodes is not known", "err", err)
		return c.opinions
	}
	c.opinions, c.opinionsAt = said, c.Now()
	return said
}
