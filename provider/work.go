package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"infernet/engine"
	"infernet/events"
)

// work runs the job in its turn and delivers the result. A job whose result is in the journal is only delivered.
func (p *Provider) work(ctx context.Context, j *job) error {
	if j.result != nil {
		return nil
	}
	ctx, cancel := p.whileHeld(ctx, j)
	defer cancel()
	stop := p.lease(ctx, j)
	defer stop()
	tidy, err := p.fetch(ctx, j) // before the slot: no engine waits for a line
	if err != nil {
		return cause(ctx, err)
	}
	defer tidy()
	done, err := p.queue.slot(ctx, placeOf(j.req, j.terms.Model))
	if err != nil {
		return cause(ctx, err)
	}
	defer done()
	began := p.Now()
	out, err := p.run(ctx, j)
	if err != nil {
		return cause(ctx, err)
	}
	took := p.Now().Sub(began)
	p.pace.learn(j.terms.Model, out.Usage, took)
	out.Usage.Ms = took.Milliseconds()
	return p.make(ctx, j, out)
}

// tries is how often a job that is paid for runs when the engine fails under it.
const tries = 3

// run has the engine do the job, and streams what it says. The engine's own failures are tried again.
func (p *Provider) run(ctx context.Context, j *job) (*engine.Output, error) {
	for try := 1; ; try++ {
		stream := p.stream(ctx, j)
		p.Step(j.req.ID, "running")
		out, err := p.once(ctx, j, func(part engine.Part) error {
			if err := j.onDisk(); err != nil {
				return err
			}
			return stream.emit(part)
		})
		if err := j.onDisk(); err != nil {
			return nil, err
		}
		stream.end()
		if err == nil || ctx.Err() != nil || try == tries || !errors.Is(err, engine.ErrUnavailable) {
			return out, err
		}
		p.Log.Warn("the engine failed, tries again", "job", j.req.ID, "try", try, "err", err)
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(time.Duration(try) * time.Second):
		}
	}
}

// once runs the job one time.
func (p *Provider) once(ctx context.Context, j *job, emit func(engine.Part) error) (*engine.Output, error) {
	work, done, err := j.engineJob(j.terms.Model)
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := p.Engine.Run(ctx, work, emit)
	if err != nil {
		return nil, err
	}
	out.Text = strings.ToValidUTF8(out.Text, "\uFFFD") // else no event holds it
	return out, p.inline(j, out)
}

// renewEvery is how often a lease is renewed: not more often than readers want to store it.
const renewEvery = time.Minute

// leaseIn is how long a job may run before the customer hears that it does: a quick engine's first token says it too, and
// is not to wait behind.
const leaseIn = 30 * time.Millisecond

// lease says that the node works on the job, and again until stop is called. The work does not wait for the first time,
// but stop does: nobody is to hear that it runs after its result.
func (p *Provider) lease(ctx context.Context, j *job) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	said, ended := make(chan struct{}), make(chan struct{})
	p.working.Go(func() {
		select {
		case <-ended:
		case <-time.After(leaseIn):
		}
		err := j.onDisk()
		if err == nil {
			p.sayRunning(ctx, j)
		}
		close(said)
		if err != nil || !j.req.Profile { // a plain customer hears it once
			return
		}
		tick := time.NewTicker(min(renewEvery, p.LeaseFor/2))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				p.sayRunning(ctx, j)
			}
		}
	})
	return func() {
		close(ended)
		<-said
		cancel()
	}
}

func (p *Provider) sayRunning(ctx context.Context, j *job) {
	running := &events.Running{
		Head: p.head(j), Job: j.req.ID, To: j.req.Author, Lease: p.leaseUntil(j),
		Plain: !j.req.Profile, Encrypted: j.req.Encrypted,
	}
	ev, err := events.Sign(ctx, running, p.Signer)
	if err == nil {
		err = p.publish(ctx, j, ev, false)
	}
	if err != nil && ctx.Err() == nil {
		p.Log.Warn("cannot say that it runs", "job", j.req.ID, "err", err)
	}
}

// make makes the job's result and writes it into the journal: from here on the work is not lost.
func (p *Provider) make(ctx context.Context, j *job, out *engine.Output) error {
	kind := events.Kinds[j.req.Kind]
	encrypted := j.req.Encrypted || j.terms.Deliver != events.DeliverPlain
	files, err := p.upload(ctx, j, out.Files, encrypted)
	if err != nil {
		return err
	}
	text := events.WithFiles(out.Text, files)
	result := &events.Result{
		Head: p.head(j), Kind: kind.ResultKind(), Job: j.req.ID, To: j.req.Author, Status: "success",
		Model: j.terms.Model, Usage: out.Usage, Content: text, Files: files, Encrypted: encrypted,
	}
	if j.terms.Pay == events.PaySealed {
		if err := p.sealResult(ctx, j, result); err != nil {
			return err
		}
	} else if j.terms.Pay == events.PayCredit {
		cost, err := j.terms.cost(out.Usage)
		if err != nil {
			return err
		}
		cost = min(cost, j.terms.Cap)
		result.Amount = &cost
	} else if !result.Encrypted {
		result.X = events.ContentHash(text)
		result.Inputs = j.req.Inputs
		if raw := j.ev.String(); len(raw)+len(text) < events.MaxEvent/3 {
			result.Request = raw
		}
	}
	if size := len(result.Event().String()); size > events.MaxEvent {
		return refuse(events.CodeTooLarge, "the result makes an event of %d bytes, at most %d travel", size, events.MaxEvent)
	}
	ev, err := events.Sign(ctx, result, p.Signer)
	if err != nil {
		return refuse(events.CodeTooLarge, "%v", err)
	}
	if err := p.write(ctx, func() error { return p.Ledger.Keep(j.req.ID, ev) }); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.result = result
	j.remember(ev)
	p.Step(j.req.ID, "made")
	return nil
}
