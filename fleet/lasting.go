package fleet

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// lasting are an owner's settings of a node, kept by relays: they hold also for a node that was away.
type lasting struct {
	Rev      int64             `json:"rev"` // rises with each change
	Settings map[string]string `json:"settings"`
}

// lastingName is their `d`.
func lastingName(node events.PubKey) string { return "infernet/" + string(node) }

// openLasting reads what an owner has set for a node; either of the two reads it.
func openLasting(ctx context.Context, s events.Signer, owner, node events.PubKey, ev *nostr.Event) (doc lasting, err error) {
	if d := ev.Tags.Find("d"); ev.Kind != KindLasting || events.PubKey(ev.PubKey) != owner || d == nil || d[1] != lastingName(node) {
		return doc, fmt.Errorf("event %s is not this owner's for this node", ev.ID)
	}
	peer := owner
	if s.PublicKey() == owner {
		peer = node
	}
	plain, err := s.Decrypt(ctx, peer, ev.Content)
	if err != nil {
		return doc, err
	}
	if err := json.Unmarshal([]byte(plain), &doc); err != nil {
		return doc, err
	}
	if doc.Rev < 1 || doc.Rev > maxNumber {
		return doc, fmt.Errorf("rev %d is no number from 1", doc.Rev)
	}
	return doc, nil
}

// readLasting finds the newest that relays have; the zero value if none.
func (o *Owner) readLasting(ctx context.Context, node events.PubKey) (doc lasting, at events.Unix, err error) {
	me := o.Signer.PublicKey()
	found, err := o.Pool.Query(ctx, nostr.Filter{Kinds: []int{KindLasting}, Authors: []string{string(me)}, Tags: nostr.TagMap{"d": {lastingName(node)}}})
	if err != nil {
		return doc, 0, err
	}
	for _, ev := range found {
		if one, err := openLasting(ctx, o.Signer, me, node, ev); err == nil && one.Rev > doc.Rev {
			doc = one
		}
		at = max(at, events.Unix(ev.CreatedAt))
	}
	return doc, at, nil
}

// Lasting leaves settings for a node at the relays, beside those that are there: it takes them when it is there. The node's
// own owner may still change them at the node. It returns the rev under which a Report will show them.
func (o *Owner) Lasting(ctx context.Context, node events.PubKey, set map[string]string) (rev int64, err error) {
	doc, at, err := o.readLasting(ctx, node)
	if err != nil {
		return 0, err
	}
	if doc.Settings == nil {
		doc.Settings = map[string]string{}
	}
	for name, value := range set {
		doc.Settings[name] = value
	}
	doc.Rev = max(doc.Rev+1, o.now().UnixMilli()) // a relay that has lost the last one does not set it back
	body, err := json.Marshal(doc)
	if err != nil {
		return 0, err
	}
	closed, err := o.Signer.Encrypt(ctx, node, string(body))
	if err != nil {
		return 0, err
	}
	ev := &nostr.Event{
		Kind: KindLasting, CreatedAt: nostr.Timestamp(max(events.At(o.now()), at+1)), Content: closed,
		Tags: nostr.Tags{{"d", lastingName(node)}, {"p", string(node)}},
	}
	if err := o.Signer.Sign(ctx, ev); err != nil {
		return 0, err
	}
	return doc.Rev, o.Pool.Publish(ctx, ev)
}
