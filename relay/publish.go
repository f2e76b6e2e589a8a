package relay

import (
	"context"
	"errors"
	"strings"

	"github.com/mailru/easyjson"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/relay/eventlog"
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
	if nostr.IsEphemeralKind(ev.Kind) {
		r.dispatch(ctx, ev, raw)
		ended(true, "")
		return true
	}
	r.store.admit(ev)
	early := !hasAddress(ev.Kind) && r.store.log.Well() == nil // while the disk takes nothing, nothing is handed on that may be refused
	if early {
		r.jobs.note(ctx, ev)
		r.dispatch(ctx, ev, raw)
	}
	r.commit(ctx, ev, raw, func(err error) { // a connection that publishes faster than the disk writes is read more slowly
		if err == nil && !early {
			r.after.do(func() {
				if !hasAddress(ev.Kind) {
					r.jobs.note(ctx, ev)
				}
				r.dispatch(ctx, ev, raw)
				ended(true, "")
			})
			return
		}
		if err == nil {
			ended(true, "")
			return
		}
		r.jobs.forget(ev) // its author may send it again, and it has not counted
		reason := errorOf(err)
		ended(strings.HasPrefix(reason, "duplicate:"), reason)
	})
	return true
}

// dispatch hands an event to its subscribers.
func (r *Relay) dispatch(ctx context.Context, ev *nostr.Event, raw []byte) {
	r.index.dispatch(ev, raw)
	r.meters.took("delivered", came(ctx))
}

// refuse asks the policies.
func (r *Relay) refuse(ctx context.Context, ev *nostr.Event) (why string) {
	ctx = withMessage(ctx)
	for _, reject := range r.policies {
		if no, why := reject(ctx, ev); no {
			return nostr.NormalizeOKMessage(why, "blocked")
		}
	}
	return ""
}

// commit brings an admitted event to the disk together with what it asks for; done hears of it, and must not wait.
func (r *Relay) commit(ctx context.Context, ev *nostr.Event, raw []byte, done func(error)) {
	if raw == nil {
		var err error
		if raw, err = easyjson.Marshal(ev); err != nil {
			done(err)
			return
		}
	}
	var gone deletion
	if ev.Kind == nostr.KindDeletion {
		gone = r.deletion(ctx, ev)
	}
	r.store.log.Put(eventlog.Write{Event: ev, Raw: raw, Check: func(t *eventlog.Turn) error {
		if buried(t, ev) && !r.keeps(ctx, ev) { // deleted on its way
			return errDeleted
		}
		if err := supersede(t, ev); err != nil {
			return err
		}
		switch ev.Kind {
		case nostr.KindDeletion:
			gone.carryOut(t, ev)
		case events.KindAnnouncement:
			r.store.meet(t, ev.PubKey)
		}
		return nil
	}}, func(_ eventlog.Ref, err error) { done(err) })
}

func errorOf(err error) string {
	if errors.Is(err, eventlog.ErrFull) {
		return "error: " + err.Error() + "; nothing is taken until there is room, what is stored is served"
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
