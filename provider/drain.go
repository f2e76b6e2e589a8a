package provider

import (
	"context"
	"time"
)

// Drain takes no new job from now on, and returns once every job that is open has ended and every offer that is out was
// taken up or has lapsed. The node still runs then: end its context. An error means that ctx ended before.
func (p *Provider) Drain(ctx context.Context) error {
	p.draining.Store(true)
	p.turn()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for p.Open() > 0 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

// Open is how many jobs are open, offers that wait for their award among them.
func (p *Provider) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.jobs)
}

// Load is how many jobs run, how many wait for a slot, and how many slots there are.
func (p *Provider) Load() (running, waiting, slots int) {
	return p.queue.running(), p.queue.waiting(), p.queue.size()
}
