package cli

import (
	"fmt"
	"io"
	"sync"
	"time"

	"infernet/consumer"
	"infernet/events"
)

// patience is how long a job may say nothing before a line of the conversation says what it waits for.
const patience = 3 * time.Second

// waiting says what a job waits for, whenever nothing was heard for a while.
type waiting struct {
	mu    sync.Mutex
	to    io.Writer
	began time.Time
	last  string
	timer *time.Timer
	ended bool
}

func startWaiting(to io.Writer, what string) *waiting {
	w := &waiting{to: to, began: time.Now(), last: what}
	w.timer = time.AfterFunc(patience, w.say)
	return w
}

func (w *waiting) say() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	fmt.Fprintf(w.to, "waiting for %s, %.0f s so far\n", w.last, time.Since(w.began).Seconds())
	w.timer.Reset(patience)
}

// heard notes that something came, and what comes next; "" if that is what came before.
func (w *waiting) heard(next string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if next != "" {
		w.last = next
	}
	if !w.ended {
		w.timer.Reset(patience)
	}
}

// next is what a job waits for once a step is done; "" if the step changes nothing.
func next(s consumer.Step) string {
	switch m := s.Message.(type) {
	case *events.Request:
		return "offers"
	case *events.Award:
		return "the node that was chosen"
	case *events.Invoice:
		return "the wallet to pay " + m.Amount.Human()
	case *events.Running:
		return "the work of node " + cutKey(string(m.Author))
	case *events.Result:
		return "the receipt of node " + cutKey(string(m.Author))
	}
	return ""
}

// end says nothing any more.
func (w *waiting) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
	w.timer.Stop()
}
