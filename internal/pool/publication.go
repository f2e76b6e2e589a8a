package pool

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// publication is one Send: an event on its way to every relay.
type publication struct {
	ev   *nostr.Event
	body []byte
	done chan error

	mu      sync.Mutex
	over    bool // the sender was told
	ok      bool // a relay has said OK
	late    bool // the context has ended
	waiting int  // relays that have it yet to answer, or to give up
	refused []error
	stop    func() bool // of what waits for the context
}

// Send hands an event to every relay, in the order of the calls. The channel gets one value: nil as soon as one relay
// has said OK, the joined refusals once all have said no, or why ctx or the pool ended.
//
// While ctx lasts, also after that first OK, an event that a relay has not answered is sent to it again after each
// reconnect; an ephemeral one only until some relay has it, and for 30 s. What was handed to a connection is written even
// if ctx ends meanwhile. For each relay at most 8192 events or 32 MiB wait: when there are more, what nobody waits for
// goes first, then ephemeral ones, then what another relay has stored; if all that is left is stored nowhere, the relay
// counts as one that has said no.
func (p *Pool) Send(ctx context.Context, ev *nostr.Event) <-chan error {
	body, err := nostr.EventEnvelope{Event: *ev}.MarshalJSON()
	pub := &publication{ev: ev, body: body, done: make(chan error, 1), waiting: len(p.conns)}
	switch {
	case err != nil:
		pub.end(err)
	case len(p.conns) == 0:
		pub.end(errors.New("there is no relay to publish to"))
	case p.ctx.Err() != nil:
		pub.end(context.Cause(p.ctx))
	default:
		for _, c := range p.conns {
			c.publish(pub)
		}
		stop := context.AfterFunc(ctx, func() {
			pub.mu.Lock()
			pub.late = true
			pub.mu.Unlock()
			pub.end(fmt.Errorf("publish: no relay said OK: %w", context.Cause(ctx)))
			p.settled(pub)
		})
		pub.mu.Lock()
		if pub.stop = stop; pub.waiting <= 0 {
			stop()
		}
		pub.mu.Unlock()
	}
	return pub.done
}

// settled tells every connection that a publication has an OK, or that its context has ended.
func (p *Pool) settled(pub *publication) {
	for _, c := range p.conns {
		c.settled(pub)
	}
}

// answer counts one relay's answer, or that it is not waited for any more. A pool whose last relay has answered lets go
// of the event.
func (pub *publication) answer(err error) {
	pub.mu.Lock()
	if pub.waiting--; err != nil {
		pub.refused = append(pub.refused, err)
	} else {
		pub.ok = true
	}
	last, all := pub.waiting <= 0, errors.Join(pub.refused...)
	if last && pub.stop != nil {
		pub.stop()
	}
	pub.mu.Unlock()
	if err == nil {
		pub.end(nil)
	} else if last {
		pub.end(all)
	}
}

// end tells the sender, once.
func (pub *publication) end(err error) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if !pub.over {
		pub.over = true
		pub.done <- err
	}
}

func (pub *publication) stored() bool {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return pub.ok
}

func (pub *publication) ended() bool {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return pub.late
}

// Publish hands an event to every relay and waits until one has said OK. A relay that is away is waited for while ctx
// lasts. Errors: *RefusedError joined, or ctx's.
func (p *Pool) Publish(ctx context.Context, ev *nostr.Event) error { return <-p.Send(ctx, ev) }

// Say signs a message and publishes it.
func (p *Pool) Say(ctx context.Context, m events.Message) (*nostr.Event, error) {
	if p.signer == nil {
		return nil, errors.New("the pool has no signer")
	}
	ev, err := events.Sign(ctx, m, p.signer)
	if err != nil {
		return nil, err
	}
	return ev, p.Publish(ctx, ev)
}
