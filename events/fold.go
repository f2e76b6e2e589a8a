package events

import (
	"cmp"
	"slices"
	"time"
)

// State says where a job stands. Only StateDelivered and StateSettled are final; every other may move back when a
// message comes late.
type State string

// The states, best first.
const (
	StateSettled      State = "settled"       // the node has signed a receipt for its result
	StateDelivered    State = "delivered"     // a result is there
	StateRunning      State = "running"       // the node works, its lease lasts
	StateAwaitPayment State = "await payment" // an invoice waits to be paid
	StateAwarded      State = "awarded"       // the node is chosen and has not answered yet
	StateFailed       State = "failed"        // the node said so
	StateNoShow       State = "no show"       // the node was chosen or ran, and fell silent
	StateUnpaid       State = "unpaid"        // the invoice was not paid in time
	StateCancelled    State = "cancelled"
	StateOffered      State = "offered" // nobody chosen, a live offer is there
	StateOpen         State = "open"    // nobody chosen
	StateExpired      State = "expired" // nobody chosen, the deadline is over
)

// best orders the states of engaged nodes, best first.
var best = []State{
	StateSettled, StateDelivered, StateRunning, StateAwaitPayment, StateAwarded, StateFailed, StateNoShow, StateUnpaid,
}

// Final says whether no message and no time can undo the state.
func (s State) Final() bool { return s == StateDelivered || s == StateSettled }

// Over says whether nothing more is to be expected, as far as is known now.
func (s State) Over() bool {
	switch s {
	case StateOpen, StateOffered, StateAwarded, StateAwaitPayment, StateRunning:
		return false
	}
	return true
}

// Job is where a job stands.
type Job struct {
	Request   *Request
	State     State
	Best      *Engagement   // the node the state is about; nil if nobody is engaged
	Engaged   []*Engagement // all of them, best first
	Offers    []*Offer      // every node's, cheapest first
	Reviews   []*Review     // the customer's, of nodes with a result
	Cancelled bool
	Conflict  bool // two nodes were awarded, or a node signed two different results
}

// Engagement is one node's part in a job.
type Engagement struct {
	Node     PubKey
	State    State
	Awards   []*Award
	Invoices []*Invoice
	Runs     []*Running
	Errors   []*Refusal
	Results  []*Result
	Receipts []*Receipt
}

// Result is the node's result, its earliest; nil if it has none.
func (e *Engagement) Result() *Result {
	if e == nil || len(e.Results) == 0 {
		return nil
	}
	return e.Results[0]
}

// Error is the node's latest error; nil if it has none.
func (e *Engagement) Error() *Refusal {
	if e == nil || len(e.Errors) == 0 {
		return nil
	}
	return e.Errors[len(e.Errors)-1]
}

// Result is the job's result; nil if there is none.
func (j *Job) Result() *Result {
	if !j.State.Final() {
		return nil
	}
	return j.Best.Result()
}

// Fold says where a job stands from the messages seen so far, in any order, with repeats. It is pure: relays, wallets
// and the order of arrival play no part, created_at orders only messages of one signer. Money never follows it.
func Fold(req *Request, said []Message, now time.Time) *Job {
	job := &Job{Request: req}
	nodes := job.gather(req, said)
	awarded := 0
	for node, e := range nodes {
		if len(e.Awards) > 0 {
			awarded++
		}
		e.sort()
		if req.engages(node, e) {
			e.State = e.judge(req, At(now))
			job.Engaged = append(job.Engaged, e)
			job.Conflict = job.Conflict || e.differs()
		}
	}
	job.Conflict = job.Conflict || awarded > 1
	job.Reviews = slices.DeleteFunc(job.Reviews, func(m *Review) bool { return nodes[m.Node].Result() == nil })
	slices.SortFunc(job.Reviews, byTime)
	slices.SortFunc(job.Engaged, better)
	slices.SortFunc(job.Offers, cheaper)
	job.State = job.judge(At(now))
	return job
}

// gather puts what counts into sets that only grow.
func (j *Job) gather(req *Request, said []Message) map[PubKey]*Engagement {
	nodes := map[PubKey]*Engagement{}
	at := func(node PubKey) *Engagement {
		if nodes[node] == nil {
			nodes[node] = &Engagement{Node: node}
		}
		return nodes[node]
	}
	if len(req.To) == 1 && req.Bids == nil {
		at(req.To[0])
	}
	for _, m := range once(said) {
		about, ok := m.(About)
		if !ok || about.About() != req.ID {
			continue
		}
		author := m.Signed().Author
		switch m := m.(type) {
		case *Award:
			if author == req.Author && req.Bids != nil {
				e := at(m.Node)
				e.Awards = append(e.Awards, m)
			}
			continue
		case *Cancel:
			j.Cancelled = j.Cancelled || author == req.Author
			continue
		case *Review:
			if author == req.Author {
				j.Reviews = append(j.Reviews, m)
			}
			continue
		}
		if !req.Names(author) || (author == req.Author && len(req.To) == 0) {
			continue
		}
		switch m := m.(type) {
		case *Offer:
			j.Offers = append(j.Offers, m)
		case *Invoice:
			at(author).Invoices = append(at(author).Invoices, m)
		case *Running:
			at(author).Runs = append(at(author).Runs, m)
		case *Refusal:
			at(author).Errors = append(at(author).Errors, m)
		case *Result:
			if m.Kind == req.Kind+1000 {
				at(author).Results = append(at(author).Results, m)
			}
		case *Receipt:
			at(author).Receipts = append(at(author).Receipts, m)
		}
	}
	return nodes
}

// once drops repeats and unsigned messages. Of one event seen closed and opened, the opened counts.
func once(said []Message) map[ID]Message {
	seen := make(map[ID]Message, len(said))
	for _, m := range said {
		id := m.Signed().ID
		if id == "" {
			continue
		}
		if have, ok := seen[id]; !ok || isClosed(have) {
			seen[id] = m
		}
	}
	return seen
}

func isClosed(m Message) bool {
	switch m := m.(type) {
	case *Closed:
		return true
	case *Result:
		return m.Closed
	case *Request:
		return m.Closed
	}
	return false
}

// engages says whether a node has a part in the job, not just a word about it.
func (m *Request) engages(node PubKey, e *Engagement) bool {
	switch {
	case len(e.Awards) > 0:
		return true
	case len(m.To) == 1 && m.Bids == nil && m.To[0] == node:
		return true
	case !m.Profile:
		return slices.ContainsFunc(e.Runs, (*Running).promises) || len(e.Results) > 0
	}
	return false
}

// judge is the table of docs/protocol.md: the first line that fits.
func (e *Engagement) judge(req *Request, now Unix) State {
	switch {
	case slices.ContainsFunc(e.Receipts, e.hasResult):
		return StateSettled
	case len(e.Results) > 0:
		return StateDelivered
	case len(e.Errors) > 0:
		return StateFailed
	case slices.ContainsFunc(e.Runs, (*Running).promises):
		return while(now, req.leaseOf(e), req.Deadline, StateRunning, StateNoShow)
	case len(e.Invoices) > 0:
		until := slices.MaxFunc(e.Invoices, func(a, b *Invoice) int { return cmp.Compare(a.Until, b.Until) }).Until
		return while(now, until, req.Deadline, StateAwaitPayment, StateUnpaid)
	}
	until := req.Deadline
	if len(e.Awards) > 0 {
		until = slices.MaxFunc(e.Awards, func(a, b *Award) int { return cmp.Compare(a.Until, b.Until) }).Until
	}
	return while(now, until, req.Deadline, StateAwarded, StateNoShow)
}

// promises says whether it is a lease. A mere report of progress is none: it cannot lapse.
func (m *Running) promises() bool { return m.Plain || m.Lease > 0 }

// leaseOf is the greatest lease of a node. A plain node gives none: it has until the deadline.
func (m *Request) leaseOf(e *Engagement) Unix {
	var lease Unix
	for _, run := range e.Runs {
		if run.Plain {
			return m.Deadline
		}
		lease = max(lease, run.Lease)
	}
	return lease
}

func while(now, until, deadline Unix, then, after State) State {
	if now <= min(until, deadline) {
		return then
	}
	return after
}

func (e *Engagement) hasResult(m *Receipt) bool {
	return slices.ContainsFunc(e.Results, func(r *Result) bool { return r.ID == m.Result })
}

// differs says whether the node signed two different results. Closed ones cannot be compared.
func (e *Engagement) differs() bool {
	var first *Result
	for _, m := range e.Results {
		if m.Closed {
			continue
		}
		if first != nil && m.Content != first.Content {
			return true
		}
		if first == nil {
			first = m
		}
	}
	return false
}

// judge gives the job the state of its best engaged node, or says why nobody is engaged.
func (j *Job) judge(now Unix) State {
	if len(j.Engaged) > 0 {
		j.Best = j.Engaged[0]
	}
	switch {
	case j.Best != nil && j.Best.State.Final():
		return j.Best.State
	case j.Cancelled:
		return StateCancelled
	case j.Best != nil:
		return j.Best.State
	case now > j.Request.Deadline:
		return StateExpired
	case slices.ContainsFunc(j.Offers, func(o *Offer) bool { return now <= o.until(j.Request) }):
		return StateOffered
	}
	return StateOpen
}

// until is how long the offer holds; a plain one says nothing and holds to the deadline.
func (m *Offer) until(req *Request) Unix {
	if m.Plain {
		return req.Deadline
	}
	return min(m.Until, req.Deadline)
}

func (e *Engagement) sort() {
	slices.SortFunc(e.Awards, byTime)
	slices.SortFunc(e.Invoices, byTime)
	slices.SortFunc(e.Runs, byTime)
	slices.SortFunc(e.Errors, byTime)
	slices.SortFunc(e.Results, byTime)
	slices.SortFunc(e.Receipts, byTime)
}

// byTime orders the messages of one signer: by created_at, ties by id.
func byTime[M Message](a, b M) int {
	x, y := a.Signed(), b.Signed()
	return cmp.Or(cmp.Compare(x.At, y.At), cmp.Compare(x.ID, y.ID))
}

// better orders engaged nodes: by state, then the lowest award id, then the lower key.
func better(a, b *Engagement) int {
	return cmp.Or(
		cmp.Compare(slices.Index(best, a.State), slices.Index(best, b.State)),
		cmp.Compare(a.lowestAward(), b.lowestAward()),
		cmp.Compare(a.Node, b.Node),
	)
}

// lowestAward is the lowest id of a node's awards; a node without one comes after all that have one.
func (e *Engagement) lowestAward() ID {
	lowest := ID("~")
	for _, m := range e.Awards {
		lowest = min(lowest, m.ID)
	}
	return lowest
}

func cheaper(a, b *Offer) int {
	return cmp.Or(cmp.Compare(a.Cap, b.Cap), cmp.Compare(a.ETA, b.ETA), cmp.Compare(a.ID, b.ID))
}
