package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// Owned is a node in its owner's list.
type Owned struct {
	Node   events.PubKey `json:"node"`
	Name   string        `json:"name"` // as its owner calls it
	Relays []string      `json:"relays"`
}

// listName is the list's `d`.
const listName = "infernet/nodes"

// OpenList reads a list of nodes (NIP-51): its entries are private, encrypted by the owner to itself, as a JSON array of
// ["p", node, relay, name, relay…] tags.
func OpenList(ctx context.Context, s events.Signer, ev *nostr.Event) ([]Owned, error) {
	if d := ev.Tags.Find("d"); ev.Kind != KindList || events.PubKey(ev.PubKey) != s.PublicKey() || d == nil || d[1] != listName {
		return nil, fmt.Errorf("event %s is not this owner's list of nodes", ev.ID)
	}
	plain, err := s.Decrypt(ctx, s.PublicKey(), ev.Content)
	if err != nil {
		return nil, err
	}
	var tags [][]string
	if err := json.Unmarshal([]byte(plain), &tags); err != nil {
		return nil, err
	}
	var all []Owned
	for _, tag := range tags {
		if len(tag) < 4 || tag[0] != "p" || !nostr.IsValidPublicKey(tag[1]) {
			continue // of a later version
		}
		one := Owned{Node: events.PubKey(tag[1]), Name: tag[3]}
		for _, relay := range append([]string{tag[2]}, tag[4:]...) {
			if relay != "" {
				one.Relays = append(one.Relays, relay)
			}
		}
		all = append(all, one)
	}
	return all, nil
}

// List reads the owner's newest list from the relays, and when it was signed; at is 0 if there is none.
func (o *Owner) List(ctx context.Context) (all []Owned, at events.Unix, err error) {
	found, err := o.Pool.Query(ctx, nostr.Filter{Kinds: []int{KindList}, Authors: []string{string(o.Signer.PublicKey())}, Tags: nostr.TagMap{"d": {listName}}})
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(found, func(a, b *nostr.Event) int { return int(b.CreatedAt - a.CreatedAt) })
	for _, ev := range found {
		if all, err := OpenList(ctx, o.Signer, ev); err == nil {
			return all, events.Unix(ev.CreatedAt), nil
		}
	}
	return nil, 0, nil
}

// SaveList publishes the owner's list, newer than after.
func (o *Owner) SaveList(ctx context.Context, all []Owned, after events.Unix) (at events.Unix, err error) {
	tags := [][]string{}
	for _, one := range all {
		tag := []string{"p", string(one.Node), "", one.Name}
		if len(one.Relays) > 0 {
			tag[2] = one.Relays[0]
			tag = append(tag, one.Relays[1:]...)
		}
		tags = append(tags, tag)
	}
	body, err := json.Marshal(tags)
	if err != nil {
		return 0, err
	}
	closed, err := o.Signer.Encrypt(ctx, o.Signer.PublicKey(), string(body))
	if err != nil {
		return 0, err
	}
	at = max(events.At(o.now()), after+1)
	ev := &nostr.Event{Kind: KindList, CreatedAt: nostr.Timestamp(at), Tags: nostr.Tags{{"d", listName}}, Content: closed}
	if err := o.Signer.Sign(ctx, ev); err != nil {
		return 0, err
	}
	return at, o.Pool.Publish(ctx, ev)
}
