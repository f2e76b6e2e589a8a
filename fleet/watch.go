package fleet

import (
	"cmp"
	"context"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// Sight is a node as its owner's side sees it, by its heartbeats.
type Sight struct {
	Node   events.PubKey
	Last   events.Unix // the newest heartbeat; 0 if none was seen
	Beat   *events.Heartbeat
	Down   bool // missed: nothing for three heartbeats
	Closed bool // it went by itself: its last word was that it drains
}

// Watch tells each change of who is there, until ctx ends: a node that has missed its heartbeats, and one that is back. At
// the beginning a node has as long to be heard as one that fell silent.
func (o *Owner) Watch(ctx context.Context, nodes []events.PubKey, told func(Sight)) {
	seen := map[events.PubKey]*Sight{}
	var authors []string
	for _, node := range nodes {
		seen[node] = &Sight{Node: node}
		authors = append(authors, string(node))
	}
	if len(nodes) == 0 {
		<-ctx.Done()
		return
	}
	began, alone := o.now(), time.Time{}
	beats := o.Pool.Subscribe(ctx, nostr.Filter{Kinds: []int{events.KindHeartbeat}, Authors: authors}).Events
	tick := time.NewTicker(cmp.Or(o.Every, watchEvery))
	defer tick.Stop()
	for {
		select {
		case ev, ok := <-beats:
			if !ok {
				return
			}
			m, err := events.Parse(ev)
			beat, is := m.(*events.Heartbeat)
			s := seen[events.PubKey(ev.PubKey)]
			if err != nil || !is || s == nil || beat.At < s.Last {
				continue
			}
			fresh := s.Last == 0
			s.Last, s.Beat, s.Closed = beat.At, beat, beat.Status == "draining"
			if alive := beat.Alive(o.now()); alive && (s.Down || fresh) {
				s.Down = false
				told(*s)
			}
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if !o.connected() { // it is this side that is away
			alone = o.now()
		}
		if o.now().Sub(alone) < settleIn {
			continue
		}
		for _, s := range seen {
			since := began
			if s.Beat != nil && s.Last.Time().After(began) {
				since = s.Last.Time()
			}
			if !s.Down && o.now().Sub(since) > events.HeartbeatLife {
				s.Down = true
				told(*s)
			}
		}
	}
}

// watchEvery is how often it is looked whether somebody is missed; settleIn is how long relays that are back have to tell what
// they kept.
const (
	watchEvery = 5 * time.Second
	settleIn   = 30 * time.Second
)

func (o *Owner) connected() bool {
	for _, r := range o.Pool.Status() {
		if r.Connected {
			return true
		}
	}
	return false
}
