package provider

import (
	"context"
	"errors"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/ledger"
)

// How far back a starting node looks: for open jobs, whose customers go on quickly, and for what is addressed to it.
const (
	lookBackOpen  = 30 * time.Second
	lookBackInbox = 10 * time.Minute
)

// listen subscribes to open jobs of the node's kinds and to everything addressed to it.
func (p *Provider) listen(ctx context.Context) <-chan *nostr.Event {
	kinds := p.kinds()
	open := nostr.Timestamp(p.Now().Add(-lookBackOpen).Unix())
	mine := nostr.Timestamp(p.Now().Add(-lookBackInbox).Unix())
	return p.Pool.Subscribe(ctx,
		nostr.Filter{Kinds: kinds, Since: &open},
		nostr.Filter{
			Kinds: append(kinds, events.KindFeedback, events.KindCancel, events.KindAccount),
			Tags:  nostr.TagMap{"p": {string(p.me)}}, Since: &mine,
		},
	).Events
}

// route gives each event to the job it belongs to; a new request becomes a job.
func (p *Provider) route(ctx context.Context, ev *nostr.Event) {
	if !p.concerns(ev) {
		return
	}
	m, err := events.Open(ctx, ev, p.Signer)
	if err != nil {
		p.Log.Debug("ignored an event", "id", ev.ID, "err", err)
		return
	}
	if at := m.Signed().At; at > events.At(p.Now().Add(events.MaxFuture)) {
		p.Log.Debug("ignored an event of the future", "id", ev.ID, "at", at)
		return
	}
	switch m := m.(type) {
	case *events.Request:
		p.accept(ctx, m, ev)
	case *events.Award:
		if m.Node != p.me {
			return
		}
		if j := p.job(m.Job); j != nil {
			if m.Author == j.req.Author {
				j.hear(m, ev)
			}
			return
		}
		p.refuseUnknownAward(ctx, m)
	case *events.Cancel:
		p.cancel(m)
	}
}

// maxCancelled is how many cancellations are remembered before all are forgotten.
const maxCancelled = 10_000

// cancel stops a job, also one whose request comes later: relays give what is stored newest first.
func (p *Provider) cancel(m *events.Cancel) {
	p.mu.Lock()
	j := p.jobs[m.Job]
	if len(p.cancelled) >= maxCancelled {
		clear(p.cancelled)
	}
	p.cancelled[m.Job] = m.Author
	p.mu.Unlock()
	if j != nil && j.req.Author == m.Author {
		j.stop(errCancelled)
	}
}

// unwanted says whether a request was cancelled, or refused in an earlier run.
func (p *Provider) unwanted(req *events.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cancelled[req.ID] == req.Author || p.answered[req.ID]
}

// lookBackAnswers reads which jobs this node has said something about lately: one of them that is in no journal was
// refused, and stays so.
func (p *Provider) lookBackAnswers(ctx context.Context) {
	since := nostr.Timestamp(p.Now().Add(-lookBackInbox).Unix())
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	said, err := p.Pool.Query(ctx, nostr.Filter{Kinds: []int{events.KindFeedback}, Authors: []string{string(p.me)}, Since: &since})
	if err != nil {
		p.Log.Warn("what was refused before is not known", "err", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, ev := range said {
		if e := ev.Tags.Find("e"); e != nil {
			p.answered[events.ID(e[1])] = true
		}
	}
}

// accept begins to serve a request, unless it is known already or not for this node.
func (p *Provider) accept(ctx context.Context, req *events.Request, ev *nostr.Event) {
	if req.Closed || req.Author == p.me || !req.Names(p.me) || events.At(p.Now()) > req.Deadline {
		return
	}
	if req.Kind == events.KindAccount {
		p.acceptAccount(ctx, &job{req: req, ev: ev})
		return
	}
	if p.job(req.ID) != nil || p.unwanted(req) {
		return
	}
	if why := (*refusal)(nil); errors.As(p.admit(req), &why) {
		if j := (&job{req: req, ev: ev}); j.addressed(p.me) && p.customers.tell(req.Author, p.Now()) {
			p.working.Go(func() { p.sayNo(ctx, j, why) })
		}
		return
	}
	if kept, err := p.Ledger.Events(req.ID); err != nil || len(kept) > 0 {
		if err != nil {
			p.Log.Error("cannot read the journal", "job", req.ID, "err", err)
		}
		return
	}
	p.begin(ctx, &job{req: req, ev: ev})
}

// begin serves a job in its own goroutine.
func (p *Provider) begin(ctx context.Context, j *job) {
	jobCtx, stop := context.WithCancelCause(ctx)
	j.stop, j.awards = stop, make(chan heard, 4)
	p.mu.Lock()
	if p.jobs[j.req.ID] != nil {
		p.mu.Unlock()
		stop(nil)
		return
	}
	p.jobs[j.req.ID] = j
	p.perKey[j.req.Author]++
	p.mu.Unlock()
	p.working.Go(func() {
		defer stop(nil)
		defer p.forget(j)
		err := p.serve(ctx, jobCtx, j)
		p.close(ctx, j, err)
	})
}

func (p *Provider) forget(j *job) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if j.gift {
		p.customers.regain(j.req.Author)
	}
	delete(p.jobs, j.req.ID)
	if p.perKey[j.req.Author]--; p.perKey[j.req.Author] <= 0 {
		delete(p.perKey, j.req.Author)
	}
	if j.offer != nil {
		delete(p.offers, j.offer.ID)
	}
}

func (p *Provider) job(id events.ID) *job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.jobs[id]
}

// close ends a job: the customer hears why it failed, if it was addressed to this node; the journal forgets to resume
// it. A job that ended only because the node shuts down stays open and is resumed.
func (p *Provider) close(ctx context.Context, j *job, err error) {
	end := "delivered"
	switch refused := (*refusal)(nil); {
	case ctx.Err() != nil && err != nil:
		return
	case err == nil:
	case errors.As(err, &refused):
		end = refused.Code
		p.Log.Info("refused", "job", j.req.ID, "why", refused)
		if j.addressed(p.me) {
			p.sayNo(ctx, j, refused)
		}
	default:
		end = err.Error()
		p.Log.Info("ended", "job", j.req.ID, "why", err)
	}
	if !j.tracked {
		return
	}
	if refused := (*refusal)(nil); err != nil && (j.terms.Pay == events.PayCredit || j.terms.Pay == payAccount && errors.As(err, &refused)) { // nothing was delivered, or paid out
		if err := p.write(ctx, func() error { return p.Ledger.Release(j.req.ID) }); err != nil {
			p.Log.Error("cannot free what was set apart", "job", j.req.ID, "err", err)
			return // resumed, and then freed
		}
	}
	if err := errors.Join(j.onDisk(), p.write(ctx, func() error { return p.Ledger.Finish(j.req.ID, end) })); err != nil {
		p.Log.Error("cannot close the job in the ledger", "job", j.req.ID, "err", err)
	}
}

// resume goes on with every job that the last run left open.
func (p *Provider) resume(ctx context.Context) error {
	ids, err := p.Ledger.Unfinished(ledger.Provider)
	if err != nil {
		return err
	}
	for _, id := range ids {
		kept, err := p.Ledger.Events(id)
		if err != nil {
			return err
		}
		j, err := p.recall(ctx, kept)
		if err != nil {
			p.Log.Error("cannot resume", "job", id, "err", err)
			continue
		}
		p.Log.Info("resumes", "job", id)
		p.begin(ctx, j)
	}
	return nil
}

// concerns says whether an event may be for this node, before it costs anything to open: what names others is for them.
func (p *Provider) concerns(ev *nostr.Event) bool {
	return ev.Tags.Find("p") == nil || ev.Tags.FindWithValue("p", string(p.me)) != nil
}
