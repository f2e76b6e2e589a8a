package pool

import (
	"container/list"
	"errors"
	"fmt"
	"time"

	"github.com/nbd-wtf/go-nostr"
)

// Bounds of what waits for one relay's answers.
const (
	maxKept      = 8192
	maxKeptBytes = 32 << 20
	ephemeralFor = 30 * time.Second // how long an ephemeral event waits for a relay that is away
)

var (
	errFull  = errors.New("too many events wait for the relay already")
	errStale = errors.New("the relay was away for longer than an ephemeral event is worth")
)

// outbox is what one relay has not answered, in the order of Send, and which of it is to be written on this connection.
//
// A letter stays while somebody waits for it or its context lasts. One that nobody wants kept for later (its contexts have
// ended; or it is ephemeral, and another relay has it) is still written and answered on a connection that is there, but
// goes with it. conn.mu guards it.
type outbox struct {
	byID  map[string]*letter
	order *list.List // of *letter
	todo  *list.List // of *letter
	bytes int
	over  error // why nothing is taken any more
}

// letter is an event on its way to one relay.
type letter struct {
	id        string
	ephemeral bool
	body      []byte
	at        time.Time
	pubs      []*publication // who sent it; mostly one
	refused   bool           // until the relay knows us

	order, todo *list.Element
}

// parting is a publication that an outbox has let go of, and why: nil is the relay's OK.
type parting struct {
	pub *publication
	err error
}

func (c *conn) tell(gone []parting) {
	for _, g := range gone {
		if g.err == errFull || g.err == errStale {
			g.err = fmt.Errorf("%s: %w", c.url, g.err)
		}
		g.pub.answer(g.err)
	}
}

func newOutbox() *outbox {
	return &outbox{byID: map[string]*letter{}, order: list.New(), todo: list.New()}
}

// put takes an event on. Who must be told, and without conn.mu, comes back.
func (o *outbox) put(pub *publication, connected bool, now time.Time) (gone []parting) {
	if o.over != nil {
		return []parting{{pub, o.over}}
	}
	l := o.byID[pub.ev.ID]
	if l != nil { // sent by somebody before; the relay may have lost it
		l.pubs = append(l.pubs, pub)
	} else {
		if !connected {
			gone = o.expire(now)
		}
		if gone = append(gone, o.room(len(pub.body))...); len(o.byID) >= maxKept || o.bytes+len(pub.body) > maxKeptBytes {
			return append(gone, parting{pub, errFull})
		}
		l = &letter{id: pub.ev.ID, ephemeral: nostr.IsEphemeralKind(pub.ev.Kind), body: pub.body, at: now, pubs: []*publication{pub}}
		l.order = o.order.PushBack(l)
		o.byID[l.id] = l
		o.bytes += len(l.body)
	}
	if connected {
		o.write(l)
	}
	return gone
}

// write has a letter written, unless it waits for that already.
func (o *outbox) write(l *letter) {
	if l.todo == nil {
		l.todo = o.todo.PushBack(l)
	}
}

// next is the letter to write.
func (o *outbox) next() []byte {
	front := o.todo.Front()
	if front == nil {
		return nil
	}
	l := o.todo.Remove(front).(*letter)
	l.todo = nil
	return l.body
}

// take takes a letter out: its senders are told err.
func (o *outbox) take(l *letter, err error) (gone []parting) {
	delete(o.byID, l.id)
	o.order.Remove(l.order)
	if l.todo != nil {
		o.todo.Remove(l.todo)
	}
	o.bytes -= len(l.body)
	for _, pub := range l.pubs {
		gone = append(gone, parting{pub, err})
	}
	return gone
}

// loose says whether nobody wants a letter kept for another connection.
func (l *letter) loose() bool {
	for _, pub := range l.pubs {
		if !pub.ended() && !(l.ephemeral && pub.stored()) {
			return false
		}
	}
	return true
}

// elsewhere says whether another relay has it.
func (l *letter) elsewhere() bool {
	for _, pub := range l.pubs {
		if pub.stored() {
			return true
		}
	}
	return false
}

// room makes room for one more, and while it is at it for an eighth of all: what is loose goes first, then what is
// ephemeral, then what another relay has, the oldest of each first. What is nowhere yet stays.
func (o *outbox) room(size int) (gone []parting) {
	if len(o.byID) < maxKept && o.bytes+size <= maxKeptBytes {
		return nil
	}
	most, mostBytes := maxKept*7/8, maxKeptBytes*7/8-size
	for _, may := range []func(*letter) bool{(*letter).loose, func(l *letter) bool { return l.ephemeral }, (*letter).elsewhere} {
		for e := o.order.Front(); e != nil && (len(o.byID) > most || o.bytes > mostBytes); {
			l := e.Value.(*letter)
			e = e.Next()
			if may(l) {
				gone = append(gone, o.take(l, errFull)...)
			}
		}
	}
	return gone
}

// expire lets go of ephemeral events that have waited for too long, at the front.
func (o *outbox) expire(now time.Time) (gone []parting) {
	for e := o.order.Front(); e != nil; {
		l := e.Value.(*letter)
		e = e.Next()
		if !l.ephemeral || now.Sub(l.at) <= ephemeralFor {
			break
		}
		gone = append(gone, o.take(l, errStale)...)
	}
	return gone
}

// up has everything written that is still wanted, as a connection begins.
func (o *outbox) up(now time.Time) (gone []parting) {
	for e := o.order.Front(); e != nil; {
		l := e.Value.(*letter)
		e = e.Next()
		switch {
		case l.ephemeral && now.Sub(l.at) > ephemeralFor:
			gone = append(gone, o.take(l, errStale)...)
		default:
			o.write(l)
		}
	}
	return gone
}

// down lets go of what is not kept for another connection.
func (o *outbox) down() (gone []parting) {
	o.todo.Init()
	for e := o.order.Front(); e != nil; {
		l := e.Value.(*letter)
		e = e.Next()
		l.todo, l.refused = nil, false
		if l.loose() {
			gone = append(gone, o.take(l, errGone)...)
		}
	}
	return gone
}

var errGone = errors.New("the connection was lost, and nobody waits for the event any more")

// settled looks at an event again: a relay has it, or one of its contexts has ended.
func (o *outbox) settled(pub *publication, connected bool) (gone []parting) {
	l := o.byID[pub.ev.ID]
	if l == nil {
		return nil
	}
	if pub.ended() && len(l.pubs) > 1 { // others wait for the same event
		for i, have := range l.pubs {
			if have == pub {
				l.pubs = append(l.pubs[:i:i], l.pubs[i+1:]...)
				gone = append(gone, parting{pub, errGone})
			}
		}
	}
	if !connected && l.loose() {
		gone = append(gone, o.take(l, errGone)...)
	}
	return gone
}

// known has the letters written again that the relay refused before it knew us.
func (o *outbox) known() {
	for e := o.order.Front(); e != nil; e = e.Next() {
		if l := e.Value.(*letter); l.refused {
			l.refused = false
			o.write(l)
		}
	}
}

// end lets go of everything, for good.
func (o *outbox) end(err error) (gone []parting) {
	o.over = err
	for o.order.Len() > 0 {
		gone = append(gone, o.take(o.order.Front().Value.(*letter), err)...)
	}
	return gone
}
