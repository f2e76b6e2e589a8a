package consumer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"infernet/events"
)

// A slow job is hedged by a second one: the same order to another node, tagged `retry`. Only one of the two is paid, or
// taken where nothing is paid: the ledger gives the right to it once, also over a crash. The other is cancelled. Under hold
// the money of both is locked, and the cancelled node lets it go; one that delivers in the same moment may have taken it.

// errLost says that the other job of a pair was first.
var errLost = errors.New("another node was first")

// race is the pair that a job belongs to; "" if it runs alone.
func (j *job) race() events.ID {
	switch {
	case j.order.Race != "":
		return j.order.Race
	case j.order.Hedge > 0:
		return j.req.ID
	}
	return ""
}

// win takes the pair's only right to be paid or accepted. errLost if the other job has it.
func (j *job) win() error {
	race := j.race()
	if race == "" {
		return nil
	}
	ours, err := j.c.Ledger.Use(race, j.req.ID)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if !ours {
		return errLost
	}
	return nil
}

// ending is how one job of a pair ended.
type ending struct {
	done *Delivery
	err  error
}

// hedged buys one job, and a second one if the first gives nothing for a while.
func (c *Consumer) hedged(ctx context.Context, o Order, watch func(Step)) (*Delivery, error) {
	w := &hearing{watch: watch, awarded: make(chan struct{}), heard: make(chan struct{})}
	first, err := c.submit(ctx, o, w.first)
	if err != nil {
		return nil, err
	}
	ended := make(chan ending, 2)
	start := func(j *job) (stop context.CancelFunc) {
		ctx, stop := context.WithCancel(ctx)
		go func() {
			done, err := c.finish(ctx, j)
			ended <- ending{done, err}
		}()
		return stop
	}
	if first.node != "" {
		w.chose(first.node)
	}
	stops, ids := []context.CancelFunc{start(first)}, []events.ID{first.req.ID}
	defer func() {
		for _, stop := range stops {
			stop()
		}
	}()
	late := time.NewTimer(o.Hedge)
	late.Stop()
	awarded, heard := w.awarded, w.heard
	var failed error
	for running := 1; running > 0; {
		select {
		case <-awarded: // from here on the node has its time
			awarded = nil
			late.Reset(o.Hedge)
		case <-heard: // it works where everybody can see it
			heard = nil
			late.Stop()
		case <-late.C:
			second, err := c.second(ctx, first, w)
			if err != nil {
				c.Log.Warn("cannot hedge", "job", first.req.ID, "err", err)
				continue
			}
			stops, ids = append(stops, start(second)), append(ids, second.req.ID)
			running++
		case e := <-ended:
			running--
			late.Stop()
			if e.err == nil {
				for _, stop := range stops {
					stop()
				}
				for ; running > 0; running-- {
					<-ended // it says that it is cancelled first
				}
				for _, id := range ids {
					if id != e.done.Job {
						c.release(ctx, id)
					}
				}
				return e.done, nil
			}
			if failed == nil || errors.Is(failed, errLost) {
				failed = e.err
			}
		}
	}
	return nil, failed
}

// releaseIn is how long a cancelled node has to let locked money go before the ledger's next look has to see to it.
const releaseIn = 5 * time.Second

// release waits until the locked money of a job that lost is back.
func (c *Consumer) release(ctx context.Context, id events.ID) {
	if held, err := c.Ledger.Commitment(id); err != nil || held == nil || held.Settled {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, releaseIn)
	defer cancel()
	_, err := c.Resume(ctx, id, nil)
	c.Log.Info("the money of the other node", "job", id, "end", err)
}

// second submits the other job of a pair, to any node but the first's.
func (c *Consumer) second(ctx context.Context, first *job, w *hearing) (*job, error) {
	o := first.order
	o.Hedge, o.Race, o.Retry = 0, first.req.ID, first.req.ID
	o.Avoid = append(slices.Clone(o.Avoid), w.node())
	if o.Node != "" && slices.Contains(o.Avoid, o.Node) {
		return nil, errors.New("the order names one node")
	}
	w.tell(Step{Job: first.req.ID, Note: "node " + short(w.node()) + " is slow, asking another"})
	return c.submit(ctx, o, w.tell)
}

// hearing passes on what two jobs say, one step at a time, and notes how far the first is.
type hearing struct {
	watch func(Step)

	mu             sync.Mutex
	by             events.PubKey
	awarded, heard chan struct{}
}

func (w *hearing) tell(s Step) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watch != nil {
		w.watch(s)
	}
}

func (w *hearing) first(s Step) {
	switch m := s.Message.(type) {
	case *events.Award:
		w.chose(m.Node)
	case *events.Chunk:
		w.works()
	case *events.Result: // its node may still be about to take the money
		if m.Author == w.node() {
			w.works()
		}
	}
	w.tell(s)
}

// works notes that the first job's node works, or has delivered: no second one is needed.
func (w *hearing) works() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !over(w.heard) {
		close(w.heard)
	}
}

// chose notes which node the first job is at.
func (w *hearing) chose(node events.PubKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by = node; !over(w.awarded) {
		close(w.awarded)
	}
}

func (w *hearing) node() events.PubKey {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.by
}

func over(done chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
