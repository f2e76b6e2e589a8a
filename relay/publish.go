package relay

import (
	"context"
	"errors"
	"strings"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// add runs an event through policies and the store, and hands it to its subscribers in between. It returns at once when
// the event is refused; else done hears when it is on the disk. It says false if the relay shuts down: then nothing
// has happened to the event, and nothing is answered.
func (r *Relay) add(ctx context.Context, ev *nostr.Event, raw []byte, done answer) bool {
	if !r.work() {
		return false
	}
	if !r.store.begin(ev, done) {
		r.working.Done()
		return true
	}
	ended := func(ok bool, reason string) {
		r.store.end(ev, ok, reason)
		done(ok, reason)
		r.working.Done()
	}
	ctx = context.WithoutCancel(ctx) // what was delivered is stored, also when its sender has left
	if why := r.refuse(ctx, ev); why != "" {
		ended(false, why)
		return true
	}
	ctx = withAdmitted(ctx, ev)
	if nostr.IsEphemeralKind(ev.Kind) {
		_, err := r.khatru.AddEvent(ctx, shell(ev))
		if err == nil {
			r.dispatch(ctx, ev, raw)
		}
		ended(err == nil, reasonOf(err))
		return true
	}
	r.store.admit(ev)
	if !hasAddress(ev.Kind) {
		r.jobs.note(ctx, ev)
		r.dispatch(ctx, ev, raw)
	}
	r.saving <- struct{}{} // a connection that publishes faster than the disk writes is read more slowly
	go func() {
		defer func() { <-r.saving }()
		err := r.commit(ctx, ev)
		if err == nil && hasAddress(ev.Kind) {
			r.dispatch(ctx, ev, raw)
		}
		reason := reasonOf(err)
		ended(err == nil || strings.HasPrefix(reason, "duplicate:"), reason)
	}()
	return true
}

// dispatch hands an event to its subscribers.
func (r *Relay) dispatch(ctx context.Context, ev *nostr.Event, raw []byte) {
	r.index.dispatch(ev, raw)
	r.meters.took("delivered", came(ctx))
}

// refuse asks the policies, once for each event.
func (r *Relay) refuse(ctx context.Context, ev *nostr.Event) (why string) {
	ctx = withMessage(ctx)
	for _, reject := range r.khatru.RejectEvent {
		if no, why := reject(ctx, ev); no {
			return nostr.NormalizeOKMessage(why, "blocked")
		}
	}
	return ""
}

// commit brings an admitted event to the disk, and does what it asks for.
func (r *Relay) commit(ctx context.Context, ev *nostr.Event) error {
	if _, err := r.khatru.AddEvent(ctx, shell(ev)); err != nil {
		return err
	}
	if no, why := r.refuseDeleted(ctx, ev); no { // deleted on its way
		if err := r.store.remove(ctx, ev); err != nil {
			return err
		}
		return errors.New(why)
	}
	switch ev.Kind {
	case nostr.KindDeletion:
		r.delete(ctx, ev)
	case events.KindAnnouncement:
		r.store.meet(ev.PubKey)
	}
	return nil
}

func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	return nostr.NormalizeOKMessage(err.Error(), "error")
}

// work says whether the relay still takes work on; if so, r.working must hear when it is done.
func (r *Relay) work() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return false
	}
	r.working.Add(1)
	return true
}

// shell is what khatru gets to see of an event that goes to the disk: of every event that expires it would keep the id
// in memory until then. Our hooks take the event itself from the context.
func shell(ev *nostr.Event) *nostr.Event {
	return &nostr.Event{ID: ev.ID, PubKey: ev.PubKey, Kind: ev.Kind, CreatedAt: ev.CreatedAt}
}

type admittedKey struct{}

// withAdmitted marks an event whose policies have run: they run before it is delivered, and the store comes after.
func withAdmitted(ctx context.Context, ev *nostr.Event) context.Context {
	return context.WithValue(ctx, admittedKey{}, ev)
}

// admittedEvent is the event that the policies have passed; nil while they run.
func admittedEvent(ctx context.Context) *nostr.Event {
	ev, _ := ctx.Value(admittedKey{}).(*nostr.Event)
	return ev
}

type messageKey struct{}

// message is an event read as one of the market's, once for all policies.
type message struct {
	read bool
	m    events.Message
	err  error
}

func withMessage(ctx context.Context) context.Context {
	return context.WithValue(ctx, messageKey{}, &message{})
}

// parse is events.Parse, once for all policies of one event.
func parse(ctx context.Context, ev *nostr.Event) (events.Message, error) {
	kept, ok := ctx.Value(messageKey{}).(*message)
	if !ok {
		return events.Parse(ev)
	}
	if !kept.read {
		kept.read = true
		kept.m, kept.err = events.Parse(ev)
	}
	return kept.m, kept.err
}
