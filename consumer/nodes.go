package consumer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// Node is a node of the market, as it shows itself.
type Node struct {
	*events.Announcement
	Beat *events.Heartbeat // its last; nil if none is known
}

// Alive says whether the node's last heartbeat is young enough.
func (n Node) Alive(now time.Time) bool { return n.Beat != nil && n.Beat.Alive(now) }

// known is a node that was looked up, and when.
type known struct {
	Node
	at time.Time
}

// nodesFor is how long a look-up is good for: shorter than a replaced price holds.
const nodesFor = time.Minute

// Nodes lists the market's nodes, living ones first, then by key.
func (c *Consumer) Nodes(ctx context.Context) ([]Node, error) {
	return c.lookUp(ctx, nostr.Filter{Kinds: []int{events.KindAnnouncement, events.KindHeartbeat}, Limit: 500})
}

func (c *Consumer) lookUp(ctx context.Context, filter nostr.Filter) ([]Node, error) {
	found, err := c.Pool.Collect(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("ask the relays for nodes: %w", err)
	}
	if len(found.Silent) > 0 && len(found.Silent) == len(c.Pool.Status()) { // silence is no answer: whom a node is paid by hangs on it
		return nil, fmt.Errorf("ask the relays for nodes: none has answered, not %s", strings.Join(found.Silent, " nor "))
	}
	shown, beats := map[events.PubKey]*events.Announcement{}, map[events.PubKey]*events.Heartbeat{}
	for _, ev := range found.Events {
		m, err := events.Parse(ev)
		if err != nil {
			continue
		}
		switch m := m.(type) {
		case *events.Announcement:
			if old := shown[m.Author]; m.Profile.Market != nil && (old == nil || old.At < m.At) {
				shown[m.Author] = m
			}
		case *events.Heartbeat:
			if old := beats[m.Author]; old == nil || old.At < m.At {
				beats[m.Author] = m
			}
		}
	}
	now := c.Now()
	var nodes []Node
	for key, m := range shown {
		nodes = append(nodes, Node{m, beats[key]})
	}
	slices.SortFunc(nodes, func(a, b Node) int {
		if x, y := a.Alive(now), b.Alive(now); x != y {
			if x {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Author, b.Author)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range nodes {
		c.nodes[n.Author] = known{n, now}
	}
	return nodes, nil
}

// node looks one node up, if it was not a moment ago.
func (c *Consumer) node(ctx context.Context, key events.PubKey) (Node, error) {
	c.mu.Lock()
	k, ok := c.nodes[key]
	under := c.looking[key]
	if ok && c.Now().Sub(k.at) < nodesFor {
		c.mu.Unlock()
		return k.Node, nil
	}
	if under != nil { // many jobs at one node ask once: relays bound how much is asked at the same time
		c.mu.Unlock()
		select {
		case <-under.done:
		case <-ctx.Done():
			return Node{}, context.Cause(ctx)
		}
		if under.gone {
			return c.node(ctx, key)
		}
		return under.node, under.err
	}
	under = &look{done: make(chan struct{})}
	c.looking[key] = under
	c.mu.Unlock()
	under.node, under.err = c.lookUpOne(ctx, key)
	under.gone = under.err != nil && ctx.Err() != nil
	c.mu.Lock()
	delete(c.looking, key)
	c.mu.Unlock()
	close(under.done)
	return under.node, under.err
}

// look is a look-up under way.
type look struct {
	done chan struct{}
	node Node
	err  error
	gone bool // who asked has left: the answer says nothing
}

func (c *Consumer) lookUpOne(ctx context.Context, key events.PubKey) (Node, error) {
	nodes, err := c.lookUp(ctx, nostr.Filter{
		Kinds: []int{events.KindAnnouncement, events.KindHeartbeat}, Authors: []string{string(key)},
	})
	if err != nil {
		return Node{}, err
	}
	if len(nodes) == 0 {
		return Node{}, fmt.Errorf("node %s: %w", short(key), ErrUnknownNode)
	}
	return nodes[0], nil
}

// payeeAgain is how long after relays gave no answer they are asked again.
const payeeAgain = 500 * time.Millisecond

// payee is a look-up under way: which Lightning key a node announced, "" if none.
type payee struct {
	done chan struct{}
	key  string
	err  error
}

func (c *Consumer) payeeOf(ctx context.Context, key events.PubKey) *payee {
	p := &payee{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		n, err := c.node(ctx, key)
		for err != nil && !errors.Is(err, ErrUnknownNode) && ctx.Err() == nil { // relays that are away come back
			select {
			case <-ctx.Done():
			case <-time.After(payeeAgain):
			}
			n, err = c.node(ctx, key)
		}
		switch {
		case errors.Is(err, ErrUnknownNode):
		case err != nil:
			p.err = err
		case n.Profile.Market != nil:
			p.key = n.Profile.Market.Payee
		}
	}()
	return p
}

// ErrUnknownNode says that a node is not known to these relays.
var ErrUnknownNode = errors.New("not announced on these relays")

// whole finds the node whose key begins so, if just one does.
func (c *Consumer) whole(ctx context.Context, beginning events.PubKey) (events.PubKey, error) {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return "", err
	}
	var found []string
	for _, n := range nodes {
		if strings.HasPrefix(string(n.Author), string(beginning)) {
			found = append(found, string(n.Author))
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("node %s: %w", beginning, ErrUnknownNode)
	case 1:
		return events.PubKey(found[0]), nil
	}
	return "", fmt.Errorf("%w: more than one node begins with %s: %s", ErrUnknownNode, beginning, strings.Join(found, ", "))
}
