package cli

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/notify"
	"infernet/internal/pool"
	"infernet/internal/store"
	"infernet/internal/store/pbstore"
)

// look reads what people look at: from the daemon that owns this folder's store, or else from the journals themselves.
func (a *app) look(ctx context.Context, read func(store.Reader) error) error {
	if c, err := store.Dial(ctx, a.settings.path("store")); err == nil {
		defer c.Close()
		if err = read(c); err == nil || ctx.Err() != nil {
			return err
		}
		a.log.Info("the store's owner does not answer: reads the journals", "err", err)
	}
	j, err := store.OpenJournals(a.journals(nil))
	if err != nil {
		return err
	}
	defer j.Close()
	return read(j)
}

// journals are where this folder's journals lie. A signer on another machine is not asked to open each event: there the
// history does without what is encrypted.
func (a *app) journals(signer events.Signer) store.Files {
	files := store.Files{
		Ledgers: map[string]string{"node": a.settings.path("node.db"), "customer": a.settings.path("customer.db")},
		Notices: a.settings.path("notices.db"),
	}
	if local, ok := signer.(*events.Keys); ok {
		files.Signer = local
	}
	return files
}

// records are the rooms beside a node where nothing is decided: its history and its notices. They begin once the node is
// there; when they fail, the node goes on.
type records struct {
	*app
	signer events.Signer
	opened chan struct{} // closed once there was a history
	owner  atomic.Pointer[store.Owner]
	outbox atomic.Pointer[notify.Outbox]
	desk   *desk // told when the history changes; nil where nobody asks
	steps  steps
	wait   sync.WaitGroup
}

// step tells the history, and the log, that a job has moved on. It waits for nothing.
func (r *records) step(job events.ID, step string) {
	r.steps.add(step)
	r.log.Info("job", "job", job, "step", step)
	if o := r.owner.Load(); o != nil {
		o.Nudge()
	}
}

// begin runs the rooms until ctx ends; then end waits for them.
func (r *records) begin(ctx context.Context, l *ledger.Ledger, p *pool.Pool) {
	r.wait.Go(func() {
		outbox, err := r.openOutbox(p, r.signer, l, r.whose)
		if err != nil {
			r.log.Error("there are no notices", "err", err)
		} else {
			r.outbox.Store(outbox)
			defer outbox.Close()
			defer r.outbox.Store(nil)
			var telling sync.WaitGroup
			telling.Go(func() { outbox.Run(ctx) })
			telling.Go(func() { r.watchOwn(ctx, r.outbox.Load) })
			defer telling.Wait()
		}
		if err := r.keep(ctx, outbox); err != nil && ctx.Err() == nil {
			r.log.Warn("there is no history", "err", err)
		}
		<-ctx.Done() // notices do without
	})
}

// whose is who is told where the settings name nobody: the node's owner.
func (r *records) whose() (owner events.PubKey) {
	if r.desk != nil {
		for _, key := range r.desk.owners.Keys() {
			return key
		}
	}
	return owner
}

func (r *records) end() { r.wait.Wait() }

// keep owns the store until ctx ends.
func (r *records) keep(ctx context.Context, outbox *notify.Outbox) error {
	o, err := store.Own(ctx, r.storeConfig(r.signer, func(j store.Job) {
		if r.desk != nil {
			r.desk.changed.Store(true)
		}
		r.tellOwed(outbox, j)
		if r.desk != nil {
			r.desk.ended(&j)
		}
	}))
	if err != nil {
		return err
	}
	r.owner.Store(o)
	close(r.opened)
	err = o.Run(ctx)
	r.owner.Store(nil)
	return errors.Join(err, o.Close())
}

func (a *app) storeConfig(signer events.Signer, changed func(store.Job)) store.Config {
	return store.Config{
		Dir: a.settings.path("store"), Files: a.journals(signer), Changed: changed, Log: a.log,
		Open: func(dir string) (store.Store, error) { return pbstore.Open(dir) },
	}
}

// tellOwed tells, once, that a job failed after it was paid for: the node has signed that it owes the money.
func (r *records) tellOwed(outbox *notify.Outbox, j store.Job) {
	if outbox == nil || j.Role != ledger.Provider || j.Owed == 0 || time.Since(j.Done.Time()) > 24*time.Hour {
		return
	}
	_, err := outbox.Tell(notify.Notice{
		Level: notify.Warning, Incident: "owed/" + string(j.ID), Job: j.ID,
		Title: "A paid job failed: " + j.Owed.Human() + " are owed to its customer",
		Text:  "The node has signed that it owes them. The job's key is " + string(j.Peer) + ".",
	})
	if err != nil {
		r.log.Error("cannot tell that money is owed", "job", j.ID, "err", err)
	}
}
