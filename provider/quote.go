package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"infernet/engine"
	"infernet/events"
	"infernet/wallet"
)

// terms are what a job costs here and how it is done. The journal keeps them: a job that goes on after a crash goes on
// under the terms it was taken for.
type terms struct {
	Model   string
	Price   events.Price
	Percent int          // of the job's priority
	Minimum events.Msat  // least that it costs, if it costs anything
	Gift    bool         // it is given away
	Most    events.Usage // the units in, and the most units out
	Amount  events.Msat  // what is paid if all goes as quoted
	Cap     events.Msat  // the most that can be paid
	Pay     string
	Deliver string
}

// refusal says no, with a code that the customer's program understands.
type refusal struct{ Code, Text string }

func (e *refusal) Error() string { return e.Code + ": " + e.Text }

func refuse(code, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// quote says what the job costs at this node, or why it is not done here.
func (p *Provider) quote(ctx context.Context, j *job) (*terms, error) {
	req := j.req
	if req.Order != "" {
		return p.takeUp(ctx, j)
	}
	if req.Profile && req.Bids == nil && !j.direct() {
		return nil, refuse(events.CodeInvalidParameter, "bids: a job that does not name one node is offered for first") // else all would work, and one be paid
	}
	model, err := p.model(req)
	if err != nil {
		return nil, err
	}
	if err := p.check(req); err != nil {
		return nil, err
	}
	most, err := p.estimate(ctx, j, model)
	if err != nil {
		return nil, err
	}
	y := p.policy.Load()
	if err := y.fits(model.ID, &most); err != nil {
		return nil, err
	}
	t := &terms{Model: model.ID, Price: p.price(model.ID), Percent: y.percent(req), Minimum: y.Minimum, Most: most}
	if j.direct() && req.Price != "" {
		if err = p.board.honour(req, t); err != nil {
			return nil, err
		}
	}
	if t.Price.Ms > 0 {
		t.Most.Ms = p.pace.most(model.ID, most)
	}
	if !t.Price.Free() && p.customers.gift(req.Author, y.Quota, p.Now()) {
		t.Price, t.Gift, j.gift = events.Price{}, true, true
	}
	if t.Amount, err = t.cost(t.Most); err != nil {
		return nil, refuse(events.CodeTooLarge, "%v", err)
	}
	t.Cap = t.Amount
	if err := p.choosePay(j, t); err != nil {
		return nil, err
	}
	if req.Bid != nil && t.Cap > *req.Bid {
		return nil, refuse(events.CodeUnderbid, "the bid is %s, this job costs up to %s", req.Bid.Human(), t.Cap.Human())
	}
	if err := p.inTime(req, t.Model); err != nil {
		return nil, err
	}
	return t, p.room(req)
}

// cost is the price of a use under these terms, a whole number of satoshi.
func (t *terms) cost(u events.Usage) (events.Msat, error) {
	amount, err := t.Price.Cost(u, t.Percent)
	if amount > 0 {
		amount = max(amount, t.Minimum)
	}
	return amount.CeilSat(), err
}

// model picks the model the job asks for, or the first that serves its kind.
func (p *Provider) model(req *events.Request) (engine.Model, error) {
	want, ids := req.Model(), []string{}
	y := p.policy.Load()
	for _, m := range p.models {
		if !slices.Contains(m.Kinds, req.Kind) || !y.runs(m) {
			continue
		}
		if want == "" || m.ID == want {
			return m, nil
		}
		ids = append(ids, m.ID)
	}
	if len(ids) == 0 {
		return engine.Model{}, refuse(events.CodeUnsupportedModel, "no model here does kind %d", req.Kind)
	}
	near := events.Near(want, ids)
	if len(near) == 0 {
		near = ids[:min(3, len(ids))]
	}
	return engine.Model{}, refuse(events.CodeUnsupportedModel, "%q is not run here; there is %s", want, strings.Join(near, ", "))
}

func (p *Provider) modelByID(id string) engine.Model {
	i := slices.IndexFunc(p.models, func(m engine.Model) bool { return m.ID == id })
	if i < 0 {
		return engine.Model{ID: id}
	}
	return p.models[i]
}

// check holds the request against its kind and against what this node can do.
func (p *Provider) check(req *events.Request) error {
	var invalid *events.ParamError
	if err := events.Kinds[req.Kind].Check(req); errors.As(err, &invalid) {
		return refuse(events.CodeInvalidParameter, "%v", invalid)
	}
	for _, in := range req.Inputs {
		if err := p.checkInput(in); err != nil {
			return err
		}
	}
	for _, need := range req.Require {
		if err := p.has(need); err != nil {
			return err
		}
	}
	return nil
}

// has says whether the machine is what a job requires: a card whose name holds a word, or one with so much memory in MB.
// What this node knows nothing about it cannot promise.
func (p *Provider) has(need events.Require) error {
	want, err := strconv.Atoi(need.Value)
	switch {
	case need.Name == "vram_mb" && err != nil:
		return refuse(events.CodeInvalidParameter, "require: vram_mb is a number of MB, not %q", need.Value)
	case need.Name == "vram_mb" && slices.ContainsFunc(p.GPUs, func(g events.GPU) bool { return g.VRAMMB >= want }),
		need.Name == "gpu" && slices.ContainsFunc(p.GPUs, func(g events.GPU) bool {
			return strings.Contains(strings.ToLower(g.Name), strings.ToLower(need.Value))
		}):
		return nil
	}
	return refuse(events.CodeUnavailable, "this node cannot promise %s %s", need.Name, need.Value)
}

// estimate gives the units in and the most units out. It is what the price is made of before the work.
func (p *Provider) estimate(ctx context.Context, j *job, model engine.Model) (events.Usage, error) {
	req, kind := j.req, events.Kinds[j.req.Kind]
	most := events.Usage{In: req.SizeIn, Out: req.SizeOut}
	program := kind.Inputs.Min == 0 && !req.Sizes() // it may have no input; its engine says what is wrong before it is paid
	if len(req.Inputs) > 0 || program {
		counted, err := p.count(ctx, j, model)
		if err != nil {
			return most, err
		}
		most.In = counted.In
		unread := req.Unread()
		if req.SizeIn == 0 && model.Context > 0 { // what nobody declared may not leave the model without an answer
			unread = min(unread, int64(model.Context)/2)
		}
		most.In += unread
	}
	if n, ok := req.Params.Int("max_tokens"); ok {
		most.Out = n
	}
	if most.Out == 0 {
		most.Out = kind.OutUnit
	}
	if model.Context > 0 {
		if most.In >= int64(model.Context) {
			return most, refuse(events.CodeTooLarge, "%d %ss in, the model takes %d", most.In, kind.Unit, model.Context)
		}
		most.Out = min(most.Out, int64(model.Context)-most.In)
	}
	return most, nil
}

// count asks the engine for the units in; an engine that cannot say is given one unit for each byte, which is never
// less than its tokens.
func (p *Provider) count(ctx context.Context, j *job, model engine.Model) (events.Usage, error) {
	work, done, err := j.engineJob(model.ID)
	if err != nil {
		return events.Usage{}, err
	}
	defer done()
	files := false
	bytes := int64(len(j.req.Params.Text("messages")) + len(j.req.Params.Text("system")))
	for _, in := range work.Inputs {
		bytes += int64(len(in.Text))
		files = files || in.File != nil
	}
	program := events.Kinds[work.Kind].Inputs.Min == 0
	if !program && len(work.Inputs) == 0 || !program && p.price(model.ID).Free() && !files && bytes < int64(model.Context)/2 {
		return events.Usage{In: bytes}, nil // nothing is here yet; or it fits and costs nothing: not worth a question
	}
	if e, ok := p.Engine.(engine.Estimator); ok {
		u, err := e.Estimate(ctx, work)
		if err != nil {
			return u, refusalOf(err)
		}
		return u, nil
	}
	return events.Usage{In: bytes}, nil
}

// choosePay picks the first way that the customer takes and this node offers.
func (p *Provider) choosePay(j *job, t *terms) error {
	req := j.req
	t.Deliver = events.DeliverPlain
	if req.Encrypted {
		t.Deliver = events.DeliverEncrypted
	}
	can := p.ways(t.Amount)
	if !req.Profile {
		can = slices.DeleteFunc(can, func(way string) bool { return way != events.PayFree && way != events.PayPrepaid })
	}
	if !j.direct() || !req.Encrypted || req.Credit == nil {
		can = slices.DeleteFunc(can, func(way string) bool { return way == events.PayCredit })
	}
	if p.loaded() && !p.proves(j) { // a stranger pays before, or works
		can = slices.DeleteFunc(can, func(way string) bool {
			return way != events.PayPrepaid && way != events.PayHold && way != events.PayCredit
		})
		if len(can) == 0 {
			return refuse(events.CodePOW, "many wait: a key that is not known here brings %d bits of work (NIP-13)", p.policy.Load().Work)
		}
	}
	want := req.Pay
	if len(want) == 0 || slices.Contains(can, events.PayFree) {
		want = can
	}
	for _, way := range want {
		if !slices.Contains(can, way) || (way == events.PaySealed && req.Stream()) {
			continue
		}
		if t.Pay = way; way == events.PaySealed {
			t.Deliver = events.DeliverSealed
		}
		if way == events.PayCredit && t.Cap > req.Credit.Max {
			return refuse(events.CodeUnderbid, "the credit is %s, this job costs up to %s", req.Credit.Max.Human(), t.Cap.Human())
		}
		return nil
	}
	if slices.Contains(req.Pay, events.PaySealed) && req.Stream() {
		return refuse(events.CodeInvalidParameter, "stream: a sealed result cannot be streamed")
	}
	return refuse(events.CodeInvalidParameter, "pay: %s is not taken here, only %s", strings.Join(req.Pay, ", "), strings.Join(can, ", "))
}

// ways are how a job of that amount can be paid here.
func (p *Provider) ways(amount events.Msat) []string {
	if amount == 0 {
		return []string{events.PayFree}
	}
	if p.Wallet == nil {
		return nil
	}
	all := []string{events.PayPrepaid}
	if p.holds {
		all = append(all, events.PayHold)
	}
	if _, ok := p.Wallet.(wallet.Sealer); ok || p.holds {
		all = append(all, events.PaySealed)
	}
	if p.credits() {
		all = append(all, events.PayCredit)
	}
	if len(p.Pay) == 0 {
		return all
	}
	return slices.DeleteFunc(slices.Clone(p.Pay), func(way string) bool { return !slices.Contains(all, way) })
}

// maxJobs is how many jobs a node has open at once, offers that wait for their award among them.
const maxJobs = 1000

// room says whether one more job fits.
func (p *Provider) room(req *events.Request) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unpaid[req.Author] >= p.Unpaid {
		return refuse(events.CodeDenied, "%d results were left unpaid", p.unpaid[req.Author])
	}
	if waiting := p.queue.waiting(); waiting >= p.Queue {
		return refuse(events.CodeUnavailable, "%d jobs are waiting already", waiting)
	}
	return nil
}

// eta is how long a job of average size takes that comes now.
func (p *Provider) eta() time.Duration {
	took, _ := p.pace.job()
	return took * time.Duration(1+(p.queue.waiting()+p.queue.running())/p.queue.size())
}

// inTime refuses a job that cannot be done by its deadline, and says when it could.
func (p *Provider) inTime(req *events.Request, model string) error {
	took, sure := p.pace.job()
	ahead := p.queue.ahead(placeOf(req, model))
	done := p.Now().Add(took * time.Duration(1+ahead/p.queue.size()))
	if !sure || !done.After(req.Deadline.Time()) {
		return nil
	}
	return refuse(events.CodeUnavailable, "%d jobs come before it: it would be done at %s, after its deadline", ahead, done.UTC().Truncate(time.Second).Add(time.Second).Format(time.RFC3339))
}

// placeOf is where a job stands in the queue.
func placeOf(req *events.Request, model string) place {
	rank := 1
	switch req.Priority {
	case "low":
		rank = 0
	case "high":
		rank = 2
	}
	return place{rank, req.Deadline.Time(), model}
}

// takeUp takes the terms of an offer that the customer orders by. An offer is used up by its first award or order.
func (p *Provider) takeUp(ctx context.Context, j *job) (*terms, error) {
	p.mu.Lock()
	auction := p.offers[j.req.Order]
	p.mu.Unlock()
	if auction == nil || auction.req.Author != j.req.Author || auction.req.Kind != j.req.Kind {
		return nil, refuse(events.CodeExpired, "there is no offer %s for you here", j.req.Order)
	}
	if events.At(p.Now()) > auction.offer.Until {
		return nil, refuse(events.CodeExpired, "the offer held until %s", auction.offer.Until.Time().UTC().Format(time.RFC3339))
	}
	t := *auction.terms
	if t.Gift { // the order's now
		p.mu.Lock()
		auction.gift, j.gift = false, auction.gift
		p.mu.Unlock()
	}
	if err := p.check(j.req); err != nil {
		return nil, err
	}
	most, err := p.estimate(ctx, j, p.modelByID(t.Model))
	if err != nil {
		return nil, err
	}
	if most.In > t.Most.In || most.Out > t.Most.Out {
		return nil, refuse(events.CodeTooLarge, "the order is %d in and %d out, the offer was for %d and %d", most.In, most.Out, t.Most.In, t.Most.Out)
	}
	if t.Deliver == events.DeliverPlain {
		t.Deliver = events.DeliverEncrypted
	}
	return &t, p.use(auction.offer.ID, j)
}

// use uses an offer up, for one job.
func (p *Provider) use(offer events.ID, j *job) error {
	ours, err := p.Ledger.Use(offer, j.req.ID)
	if err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	if !ours {
		return refuse(events.CodeConflict, "the offer is used up")
	}
	return nil
}

// refusalOf turns what an engine says into what a customer hears.
func refusalOf(err error) error {
	var invalid *engine.InvalidError
	switch {
	case errors.As(err, &invalid):
		return refuse(events.CodeInvalidParameter, "%v", invalid)
	case errors.Is(err, engine.ErrUnknownModel):
		return refuse(events.CodeUnsupportedModel, "%v", err)
	case errors.Is(err, engine.ErrTooLarge):
		return refuse(events.CodeTooLarge, "%v", err)
	}
	return refuse(events.CodeUnavailable, "%v", err)
}
