package cli

import (
	"fmt"
	"io"
	"strings"
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
	open  bool // a line of streamed text is not at its end
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
	w.print(fmt.Sprintf("waiting for %s, %.0f s so far", w.last, time.Since(w.began).Seconds()))
	w.timer.Reset(patience)
}

// print writes a line of the conversation, on a line of its own also where text streams. The caller holds w.mu.
func (w *waiting) print(line string) {
	if w.open {
		fmt.Fprintln(w.to)
		w.open = false
	}
	fmt.Fprintln(w.to, line)
}

// tell says something besides.
func (w *waiting) tell(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.print(line)
}

// text notes that a piece of text came, and was shown.
func (w *waiting) text(piece string) {
	w.heard("the rest of the answer")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = !strings.HasSuffix(piece, "\n")
}

// heard notes that something came, and what comes next; "" if that is what came before. No one waits on a nil.
func (w *waiting) heard(next string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if next != "" {
		w.last = next
	}
	if !w.ended {
		w.timer.Reset(patience)
	}
}

// stage is how far a job is: who goes on with one hears what was said before in any order, and a payment that was made is
// not waited for.
type stage struct {
	at   int
	paid bool
}

// stageOf is where in a job's life a message has its place; 0 if it begins one.
func stageOf(m events.Message) int {
	switch m.(type) {
	case *events.Request:
		return 0
	case *events.Offer, *events.Award:
		return 1
	case *events.Invoice:
		return 2
	case *events.Running:
		return 3
	}
	return 4
}

// next is what a job waits for once a step is done; "" if the step changes nothing.
func (p *stage) next(s consumer.Step) string {
	if s.Message == nil {
		p.paid = p.paid || strings.HasPrefix(s.Note, "paid ") && s.Storage == 0
		if p.paid && p.at == 2 {
			return "the work of the node that was paid"
		}
		return ""
	}
	at := stageOf(s.Message)
	if at > 0 && at < p.at {
		return ""
	}
	if p.at = at; at == 0 {
		p.paid = false
	}
	switch m := s.Message.(type) {
	case *events.Request:
		switch {
		case m.Bids != nil:
			return "offers"
		case len(m.To) == 1:
			return "node " + cutKey(string(m.To[0])) + " to answer"
		}
		return "a node that takes the job"
	case *events.Award:
		return "the node that was chosen"
	case *events.Invoice:
		if p.paid {
			return "the work of node " + cutKey(string(m.Author))
		}
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
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended, w.open = true, false
	w.timer.Stop()
}
