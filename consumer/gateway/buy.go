package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"infernet/consumer"
	"infernet/consumer/choose"
	"infernet/events"
	"infernet/internal/httpd"
)

// wish is what one request wants to buy.
type wish struct {
	order   consumer.Order
	options Options
	who     string // the app key's id; "" without one
	model   string
	cards   []string // words that the name of a card has to have, lower case
	tools   bool     // the answer may call tools
	chat    int      // bytes of a conversation that travels as a file
	dir     string   // for files that travel with it; buy removes it
	stays   bool     // nobody waits for its end on this connection: the gateway's next run goes on with what was paid
}

// wish makes a request's wish: its order lacks what the kind needs.
func (g *Gateway) wish(r *http.Request, kind int, model string, options Options) (*wish, error) {
	return g.wishOf(httpd.CallerOf(r.Context()).Key, kind, model, options)
}

// wishOf makes a wish of the app key who, "" without one.
func (g *Gateway) wishOf(who string, kind int, model string, options Options) (*wish, error) {
	w := &wish{options: options, who: who, model: strings.ToLower(model)}
	if w.model == "" {
		return nil, invalid("model", "model is missing; what there is: GET /v1/models")
	}
	if w.model == anyModel {
		w.model = ""
	}
	var limit Limit
	if g.budget != nil { // a batch has none
		var err error
		if limit, err = g.budget.Limit(w.who); err != nil {
			return nil, err
		}
	}
	if len(limit.Models) > 0 && !slices.Contains(limit.Models, w.model) {
		param := "model"
		return nil, &failure{Status: http.StatusForbidden, Type: "permission_error", Code: "model_not_allowed", Param: &param,
			Message: fmt.Sprintf("this app key is not for the model %q; it is for %s", model, strings.Join(limit.Models, ", "))}
	}
	g.apply(options, &w.order)
	w.order.Kind = kind
	if w.model != "" {
		w.set("model", w.model)
	}
	return w, nil
}

// anyModel is the model of who takes any.
const anyModel = "auto"

// name is the model as it was asked for.
func (w *wish) name() string {
	if w.model == "" {
		return anyModel
	}
	return w.model
}

// set sets a parameter of the job.
func (w *wish) set(name string, values ...string) {
	w.order.Params = append(w.order.Params, events.Param{Name: name, Values: values})
}

// maxTries is how many nodes are tried for one request: only one that got nothing and gave nothing is followed by another.
const maxTries = 3

// buy buys what a request wants: from the best node that is alive, or by auction if the request asks for that. watch is
// told each step.
func (g *Gateway) buy(ctx context.Context, w *wish, watch func(consumer.Step)) (*consumer.Delivery, error) {
	if w.dir != "" {
		defer os.RemoveAll(w.dir)
	}
	if w.order.Way == consumer.Auction {
		if len(w.order.Require) > 0 { // nobody waits for offers that cannot come
			if _, err := g.rank(ctx, w); err != nil {
				return nil, err
			}
		}
		if len(w.options.Only) > 0 {
			w.order.Only = w.options.Only
		}
		w.order.Avoid = w.options.Ignore
		return g.try(ctx, w, w.order, w.order.MaxCost, watch)
	}
	ranked, err := g.rank(ctx, w)
	if err != nil {
		return nil, err
	}
	var failed error
	for i, v := range ranked {
		if v.Out || i == maxTries {
			break
		}
		order, gave := w.order, false
		order.Node = v.Node
		got, err := g.try(ctx, w, order, min(v.Most, order.MaxCost), func(s consumer.Step) {
			gave = gave || s.Delta != ""
			watch(s)
		})
		if err == nil {
			g.record.did(v.Node, v.Model, got.First, got.Took, got.Usage.Out)
			return got, nil
		}
		if blame(err) && ctx.Err() == nil {
			g.record.failed(v.Node, v.Model, err)
			g.roster.forget()
		}
		if failed = err; gave || ctx.Err() != nil || !again(err) {
			break
		}
		g.Log.Info("a node failed, the next is tried", "node", v.Node, "err", err)
	}
	return nil, failed
}

// again says whether another node may be tried: nothing was paid, and the failure was the node's.
func again(err error) bool {
	var (
		vanished *consumer.VanishedError
		result   *consumer.BadResultError
	)
	switch {
	case errors.As(err, &vanished):
		return vanished.Paid == 0 && vanished.Life == 0
	case errors.As(err, &result):
		return result.Paid == 0
	}
	return blame(err)
}

// rank gives the nodes that could do it, best first, or says why there is none.
func (g *Gateway) rank(ctx context.Context, w *wish) ([]choose.Verdict, error) {
	nodes, err := g.roster.living(ctx)
	if err != nil {
		return nil, err
	}
	able, err := hardware(nodes, w)
	if err != nil {
		return nil, err
	}
	if err := w.fits(able); err != nil {
		return nil, err
	}
	candidates, err := g.candidates(ctx, w, able)
	if err != nil {
		return nil, err
	}
	if len(candidates) == 0 {
		have := models(nodes, w.order.Kind)
		switch {
		case len(have) == 0:
			return nil, &failure{Status: http.StatusServiceUnavailable, Type: serverError, Code: "no_node", Retry: 5,
				Message: fmt.Sprintf("no living node serves %s (kind %d)", events.Kinds[w.order.Kind].Name, w.order.Kind)}
		case w.model != "":
			near := events.Near(w.model, have)
			if len(near) == 0 {
				near = have[:min(3, len(have))]
			}
			return nil, unknownModel(w.model, near)
		}
	}
	ranked := choose.Rank(candidates, w.options.Controls, choose.Need{MaxCost: w.order.MaxCost, Wallet: g.Consumer.Wallet != nil}, g.Now())
	if len(ranked) > 0 && !ranked[0].Out {
		return ranked, nil
	}
	return nil, g.none(ranked, w)
}

// fits says whether some node has room for a long conversation, as far as its bytes say: no token has more than eight of them
// on average.
func (w *wish) fits(nodes []consumer.Node) error {
	most := 0
	for _, n := range nodes {
		for _, m := range n.Profile.Market.Models {
			if (w.model == "" || m.ID == w.model) && slices.Contains(m.Kinds, w.order.Kind) {
				if m.Context == 0 || w.chat <= 8*m.Context {
					return nil
				}
				most = max(most, m.Context)
			}
		}
	}
	if most == 0 {
		return nil
	}
	f := tooLong(w.chat)
	f.Message = fmt.Sprintf("the conversation has %d bytes, more than fit into the %d tokens of context of this model; leave its first messages out, or take a model with more (GET /api/v1/models)", w.chat, most)
	return f
}

// candidates are the living nodes that run the model, with what the job would cost there.
func (g *Gateway) candidates(ctx context.Context, w *wish, nodes []consumer.Node) (all []choose.Candidate, err error) {
	for _, n := range nodes {
		if !runs(n, w.order.Kind, w.model) {
			continue
		}
		about, most, err := g.Consumer.Estimate(ctx, w.order, n.Announcement)
		if err != nil {
			return nil, err
		}
		c := consumer.Described(n, w.order.Kind, w.model)
		c.About, c.Most, c.Measured = about, most, g.record.measured(n.Author, w.model)
		if memory := g.Consumer.Memory; memory != nil { // durable, and what other commands have measured
			c.Measured = memory.Measured(n.Author, w.model)
		}
		all = append(all, c)
	}
	return all, nil
}

// none says why no candidate is taken: the price, if that is what is in the way.
func (g *Gateway) none(ranked []choose.Verdict, w *wish) error {
	var cheapest *choose.Verdict
	for i := range ranked {
		if v := &ranked[i]; v.About > w.order.MaxCost && (cheapest == nil || v.About < cheapest.About) {
			cheapest = v
		}
	}
	if cheapest != nil {
		return &failure{Status: http.StatusPaymentRequired, Type: noQuota, Code: noQuota, Message: fmt.Sprintf(
			"the cheapest node, %.8s, would take about %s for this job (at most %s), and at most %s may be paid; raise max_cost_sats to %d, or lower max_tokens",
			cheapest.Node, cheapest.About.Human(), cheapest.Most.Human(), w.order.MaxCost.Human(), int64(cheapest.About.CeilSat()/events.Sat))}
	}
	if g.Consumer.Wallet == nil {
		return &failure{Status: http.StatusPaymentRequired, Type: noQuota, Code: noQuota,
			Message: "no node does this job for free, and the gateway has no wallet to pay from"}
	}
	var said []string
	for _, v := range ranked {
		said = append(said, fmt.Sprintf("%.8s: %s", v.Node, v.Why))
	}
	return &failure{Status: http.StatusServiceUnavailable, Type: serverError, Code: "no_node", Message: "no node may be taken for this job: " + strings.Join(said, "; ")}
}

// try is one order: its money is taken off the budget first, and settled afterwards.
func (g *Gateway) try(ctx context.Context, w *wish, order consumer.Order, most events.Msat, watch func(consumer.Step)) (*consumer.Delivery, error) {
	var (
		h     *hold
		err   error
		noted events.ID
	)
	order.MaxCost = most
	if most > 0 {
		if h, err = g.budget.take(w.who, most, g.MaxDay, g.Now()); err != nil {
			return nil, err
		}
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	got, err := g.Consumer.Do(ctx, order, func(s consumer.Step) {
		if s.Job != noted && s.Job != "" { // before anything is paid for it
			noted = s.Job
			if err := h.note(s.Job); err != nil {
				stop(fmt.Errorf("budgets: %w", err))
			}
		}
		if h != nil && s.Storage > 0 {
			h.storage = s.Storage
		}
		watch(s)
	})
	g.finish(w, h, noted, err)
	return got, err
}

// afterIn is how long is waited for the end of a job whose client has gone.
const afterIn = 2 * time.Minute

// finish settles an order, and looks after a job that goes on without its client: it is cancelled, and what is still out
// for it is followed until its end.
func (g *Gateway) finish(w *wish, h *hold, job events.ID, err error) {
	var left *consumer.LeftError
	var vanished *consumer.VanishedError
	open := errors.As(err, &left) && !left.Back || errors.As(err, &vanished) && vanished.Held
	if err := h.settle(g.Consumer.Ledger, !open); err != nil {
		g.Log.Error("cannot settle a budget", "job", job, "err", err)
	}
	if !open || job == "" || w.stays && g.ctx.Err() != nil {
		return
	}
	g.after.Go(func() {
		ctx, stop := context.WithTimeout(g.ctx, afterIn)
		defer stop()
		if left != nil && !left.Held { // a lock was let go already
			if err := g.Consumer.Cancel(ctx, job); err != nil {
				g.Log.Info("cannot cancel a job whose client has gone", "job", job, "err", err)
			}
		}
		if _, err := g.Consumer.Resume(ctx, job, nil); err != nil {
			g.Log.Info("the end of a job whose client has gone", "job", job, "err", err)
		}
		if err := h.settle(g.Consumer.Ledger, true); err != nil {
			g.Log.Error("cannot settle a budget", "job", job, "err", err)
		}
	})
}
