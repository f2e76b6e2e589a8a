package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/engine"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/pool"
)

// job is one request being served, with what the journal knows of it.
type job struct {
	req     *events.Request
	ev      *nostr.Event // the request as it was signed
	stop    context.CancelCauseFunc
	awards  chan heard
	terms   *terms
	tracked bool           // the journal resumes it after a crash
	resumed bool           // it comes from the journal of an earlier run
	begun   func() error   // waits until a free job's first entry and its start are on the disk; nil for others
	paid    events.Msat    // what arrived for it
	heldTil time.Time      // until when its locked money may be kept; zero if none is
	gift    bool           // one of today's gifts is kept for it
	dir     string         // its folder, while it is worked on
	inputs  []engine.Input // all of them, once they were fetched

	// what was said, in this run or in one before a crash
	offer   *events.Offer
	award   *events.Award
	invoice *events.Invoice
	result  *events.Result
	refused *events.Refusal            // it ended with this
	said    map[events.ID]*nostr.Event // by id, to be published again as they were
}

// heard is a message with the event that carried it, which the journal keeps.
type heard struct {
	*events.Award
	ev *nostr.Event
}

var errCancelled = errors.New("cancelled by the customer")

func (j *job) hear(m *events.Award, ev *nostr.Event) {
	select {
	case j.awards <- heard{m, ev}:
	default: // a customer that floods its own job
	}
}

// addressed says whether the customer waits for this very node's answer.
func (j *job) addressed(me events.PubKey) bool {
	return len(j.req.To) > 0 && j.req.Names(me) || j.award != nil
}

// direct says whether the request itself is the award: it names one node and asks for no bids.
func (j *job) direct() bool { return j.req.Profile && j.req.Bids == nil && len(j.req.To) == 1 }

// recall rebuilds a job from its journal.
func (p *Provider) recall(ctx context.Context, kept []*nostr.Event) (*job, error) {
	j := &job{tracked: true, resumed: true, said: map[events.ID]*nostr.Event{}}
	for _, ev := range kept {
		m, err := events.Open(ctx, ev, p.Signer)
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		j.said[events.ID(ev.ID)] = ev
		switch m := m.(type) {
		case *events.Request:
			j.req, j.ev = m, ev
		case *events.Offer:
			j.offer = m
		case *events.Award:
			j.award = m
		case *events.Invoice:
			j.invoice = m
		case *events.Result:
			j.result = m
		case *events.Refusal:
			if m.Author == p.me {
				j.refused = m
			}
		}
	}
	if j.req == nil {
		return nil, errors.New("journal: the request is missing")
	}
	var err error
	if j.terms, err = p.termsOf(j.req.ID); err != nil || j.terms == nil {
		return nil, fmt.Errorf("journal: the terms are missing: %w", err)
	}
	if j.offer != nil {
		p.mu.Lock()
		p.offers[j.offer.ID] = j
		p.mu.Unlock()
	}
	return j, nil
}

// termsOf reads the terms that a job was taken for; nil if it was not.
func (p *Provider) termsOf(id events.ID) (t *terms, err error) {
	body, ok, err := p.Ledger.Value(id, "terms")
	if err != nil || !ok {
		return nil, err
	}
	return t, json.Unmarshal(body, &t)
}

// say signs a message of the job, writes it into the journal and then publishes it. With wait, it returns only after a
// relay said OK.
func (p *Provider) say(ctx context.Context, j *job, m events.Message, wait bool) error {
	if err := j.onDisk(); err != nil {
		return err
	}
	ev, err := events.Sign(ctx, m, p.Signer)
	if err != nil {
		return err
	}
	if err := p.write(ctx, func() error { return p.Ledger.Keep(j.req.ID, ev) }); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	switch m := m.(type) {
	case *events.Invoice:
		p.Step(j.req.ID, "asked")
	case *events.Offer:
		if m.Plain { // with its invoice
			p.Step(j.req.ID, "asked")
		}
	case *events.Refusal:
		p.Step(j.req.ID, "owed")
	}
	return p.publish(ctx, j, ev, wait)
}

// onDisk waits for the job's first entry in the journal. The engine works on a free job while that is written: nothing
// is said before.
func (j *job) onDisk() error {
	if j.begun == nil {
		return nil
	}
	return j.begun()
}

// track writes a job into the journal before anything is promised: the request and the terms it is taken for.
func (p *Provider) track(j *job) error {
	if j.tracked {
		return nil
	}
	body, err := json.Marshal(j.terms)
	if err != nil {
		return err
	}
	facts := map[string][]byte{"terms": body}
	if j.terms.Pay == events.PayFree && j.req.Bids == nil && j.req.Order == "" { // nothing to wait for: it begins at once
		written := make(chan error, 1)
		p.working.Go(func() {
			first, err := p.Ledger.TakeAndBegin(j.req.ID, ledger.Provider, facts, j.ev)
			switch {
			case err != nil:
				err = fmt.Errorf("journal: %w", err)
			case !first:
				err = errUsed
			default:
				p.Step(j.req.ID, "started")
			}
			written <- err
		})
		j.tracked, j.begun = true, sync.OnceValue(func() error { return <-written })
		return nil
	}
	if err := p.Ledger.Take(j.req.ID, ledger.Provider, facts, j.ev); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.tracked = true
	return nil
}

var errUsed = refuse(events.CodeConflict, "this job or its payment was used before")

func (p *Provider) publish(ctx context.Context, j *job, ev *nostr.Event, wait bool) error {
	sent := p.Pool.Send(ctx, ev)
	if wait {
		return p.press(ctx, ev, sent)
	}
	p.working.Go(func() {
		if err := p.press(ctx, ev, sent); err != nil && ctx.Err() == nil {
			p.Log.Warn("a relay did not take it", "job", j.req.ID, "kind", ev.Kind, "err", err)
		}
	})
	return nil
}

// press waits until a relay has an event. A relay with trouble of its own, such as a full disk, is told again while ctx
// lasts: the customer may have paid for what it does not take.
func (p *Provider) press(ctx context.Context, ev *nostr.Event, sent <-chan error) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := <-sent
		var no *pool.RefusedError
		if !errors.As(err, &no) || no.Prefix() != "error" || nostr.IsEphemeralKind(ev.Kind) {
			return err
		}
		p.Log.Warn("a relay has trouble, is told again", "kind", ev.Kind, "err", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
		sent = p.Pool.Send(ctx, ev)
	}
}

// write writes into the ledger. A job that money depends on does not end because the disk is full: it goes on when there is
// room.
func (p *Provider) write(ctx context.Context, write func() error) error {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		err := write()
		if !errors.Is(err, ledger.ErrFull) {
			return err
		}
		p.Log.Error("the ledger cannot be written, tries again", "err", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// head is what every message of the job has in common.
func (p *Provider) head(j *job) events.Head {
	return events.Head{At: events.At(p.Now()), Expires: j.req.Keep()}
}
