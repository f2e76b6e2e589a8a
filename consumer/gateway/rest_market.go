package gateway

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"infernet/consumer"
	"infernet/consumer/choose"
	"infernet/events"
	"infernet/internal/httpd"
)

// Node is a node of the market, as it shows itself and as this gateway has measured it.
type Node struct {
	Key         events.PubKey       `json:"node"`
	Name        string              `json:"name,omitempty"`
	About       string              `json:"about,omitempty"`
	Alive       bool                `json:"alive"`
	Seen        int64               `json:"seen_at,omitempty" doc:"its last sign of life, unix seconds"`
	Status      string              `json:"status,omitempty" doc:"as it says: ready, busy or draining"`
	Load        int                 `json:"load" doc:"jobs that run there, as it says"`
	Queue       int                 `json:"queue" doc:"jobs that wait there, as it says"`
	Capacity    int                 `json:"capacity" doc:"jobs at once, as it says"`
	GPUs        []events.GPU        `json:"gpus" nullable:"false"`
	Pay         []string            `json:"pay" nullable:"false"`
	Models      []events.ModelOffer `json:"models" nullable:"false" doc:"prices are msat for 1000 units"`
	Percent     map[string]int      `json:"percent,omitempty" doc:"what a priority multiplies prices with"`
	Minimum     events.Msat         `json:"minimum_msat,omitempty"`
	Concurrency int                 `json:"concurrency,omitempty"`
}

// Offer is what a node offers to whoever orders: a model at a price.
type Offer struct {
	Node     events.PubKey `json:"node"`
	Name     string        `json:"name,omitempty"`
	Model    string        `json:"model"`
	Kinds    []int         `json:"kinds" nullable:"false"`
	Digest   string        `json:"digest,omitempty" doc:"of the weights"`
	Context  int           `json:"context,omitempty" doc:"tokens"`
	Price    events.Price  `json:"price" doc:"msat: base for a job, in and out for 1000 units, ms for 1000 milliseconds"`
	PerK     events.Msat   `json:"msat_per_1000_in_1000_out"`
	Pay      []string      `json:"pay" nullable:"false"`
	Delivery []string      `json:"delivery" nullable:"false"`
	GPUs     []events.GPU  `json:"gpus" nullable:"false"`
	Load     float64       `json:"load" doc:"jobs that run and wait for each slot, as the node says"`
	Measured *Measured     `json:"measured,omitempty" doc:"by this gateway"`
}

// Measured is what this gateway has seen of a node.
type Measured struct {
	Jobs    int     `json:"jobs"`
	Failed  float64 `json:"failed" doc:"share of them, newer ones counting more"`
	FirstMs int64   `json:"first_ms,omitempty" doc:"until the first token"`
	Rate    float64 `json:"tokens_per_second,omitempty"`
}

func measuredOf(m choose.Measured) *Measured {
	if m.Jobs == 0 {
		return nil
	}
	return &Measured{m.Jobs, m.Failed, m.First.Milliseconds(), m.Rate}
}

// Estimate is what a job would cost.
type Estimate struct {
	Kind       int         `json:"kind"`
	Model      string      `json:"model"`
	About      events.Msat `json:"about_msat" doc:"at the node that would be taken"`
	Most       events.Msat `json:"most_msat" doc:"and at most there; so much is taken off the budget until it is over"`
	Dearest    events.Msat `json:"dearest_msat" doc:"about, at the dearest of those that may be taken"`
	Max        events.Msat `json:"max_cost_msat" doc:"what it may cost"`
	Enough     bool        `json:"enough" doc:"whether that buys it"`
	Left       *Left       `json:"left,omitempty" doc:"of the caller's budgets, where there are any"`
	Candidates []Candidate `json:"candidates" nullable:"false" doc:"the best first, those that are not taken last"`
}

// Left is what is left of budgets.
type Left struct {
	Day   *events.Msat `json:"day_msat,omitempty"`
	Total *events.Msat `json:"total_msat,omitempty"`
}

// Candidate is a node that could do a job, and why it would be taken or not.
type Candidate struct {
	Node     events.PubKey `json:"node"`
	Name     string        `json:"name,omitempty"`
	Taken    bool          `json:"taken" doc:"it may be taken"`
	Why      string        `json:"why"`
	Score    float64       `json:"score" doc:"lower is better"`
	About    events.Msat   `json:"about_msat"`
	Most     events.Msat   `json:"most_msat"`
	Price    events.Price  `json:"price"`
	Load     float64       `json:"load"`
	Measured *Measured     `json:"measured,omitempty"`
}

// Sought are the filters of a market's lists.
type Sought struct {
	Kind  int    `query:"kind" minimum:"0" doc:"number of a kind of job"`
	Model string `query:"model" maxLength:"200" doc:"a model's id, or a part of it"`
	GPU   string `query:"gpu" maxLength:"100" doc:"words of a card's name, as NVIDIA_A100"`
	VRAM  int    `query:"vram_mb" minimum:"0" doc:"memory of one card"`
	Pay   string `query:"pay" enum:"prepaid,hold,sealed,free"`
}

func (q Sought) card(n consumer.Node) bool {
	words := gpuWords(q.GPU)
	if len(words) == 0 && q.VRAM == 0 {
		return true
	}
	return slices.ContainsFunc(n.Profile.Market.GPUs, func(card events.GPU) bool {
		name := strings.ToLower(card.Name)
		return card.VRAMMB >= q.VRAM && !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(name, word) })
	})
}

func (q Sought) model(m events.ModelOffer) bool {
	return (q.Kind == 0 || slices.Contains(m.Kinds, q.Kind)) && strings.Contains(m.ID, strings.ToLower(q.Model))
}

func (q Sought) node(n consumer.Node) bool {
	return q.card(n) && (q.Pay == "" || slices.Contains(n.Profile.Market.Pay, q.Pay)) && (q.Kind == 0 && q.Model == "" || slices.ContainsFunc(n.Profile.Market.Models, q.model))
}

func (g *Gateway) mountMarket(s *httpd.Server) {
	type nodes struct {
		Body struct {
			Nodes []Node `json:"nodes" nullable:"false" doc:"living ones first"`
		}
	}
	handle(g, s, g.op("GET", "nodes", "nodes", "market", "The nodes of the market", "Those that are alive, if all is not set.", 503),
		func(ctx context.Context, _ httpd.Caller, in *struct {
			Sought
			All bool `query:"all" doc:"silent ones, too"`
		}) (*nodes, error) {
			all, err := g.nodesOf(ctx, in.All)
			if err != nil {
				return nil, err
			}
			out := &nodes{}
			out.Body.Nodes = []Node{}
			for _, n := range all {
				if in.node(n) {
					out.Body.Nodes = append(out.Body.Nodes, g.nodeOf(n))
				}
			}
			return out, nil
		})
	type node struct{ Body Node }
	handle(g, s, g.op("GET", "nodes/{key}", "node", "market", "One node", "", 404, 503),
		func(ctx context.Context, _ httpd.Caller, in *struct {
			Key string `path:"key" minLength:"8" maxLength:"64" pattern:"^[0-9a-f]+$" doc:"its key, or the first 8 or more characters"`
		}) (*node, error) {
			all, err := g.nodesOf(ctx, true)
			if err != nil {
				return nil, err
			}
			for _, n := range all {
				if strings.HasPrefix(string(n.Author), in.Key) {
					return &node{g.nodeOf(n)}, nil
				}
			}
			return nil, httpd.FailAs(http.StatusNotFound, "node_not_found", nil, fmt.Sprintf("no node whose key begins with %s is announced on these relays; GET /api/v1/nodes?all=true lists those that are", in.Key))
		})
	type offers struct {
		Body struct {
			Offers []Offer `json:"offers" nullable:"false" doc:"the cheapest first"`
		}
	}
	handle(g, s, g.op("GET", "offers", "offers", "market", "What living nodes offer, for how much",
		"Each model of each living node at its announced price. What nodes offer for one job of an auction is in that job's stream.", 503),
		func(ctx context.Context, _ httpd.Caller, in *Sought) (*offers, error) {
			all, err := g.roster.living(ctx)
			if err != nil {
				return nil, err
			}
			out := &offers{}
			out.Body.Offers = []Offer{}
			for _, n := range all {
				if in.node(n) {
					out.Body.Offers = append(out.Body.Offers, g.offersOf(n, in.model)...)
				}
			}
			slices.SortStableFunc(out.Body.Offers, func(a, b Offer) int { return int(a.PerK - b.PerK) })
			return out, nil
		})
	type found struct {
		Body struct {
			Models []Model `json:"models" nullable:"false" doc:"by name"`
		}
	}
	handle(g, s, g.op("GET", "models", "models", "market", "The models that living nodes run", "", 503),
		func(ctx context.Context, _ httpd.Caller, in *Sought) (*found, error) {
			all, err := g.modelsOf(ctx, in.node, in.model)
			if err != nil {
				return nil, err
			}
			out := &found{}
			out.Body.Models = append([]Model{}, all...)
			return out, nil
		})
	type estimate struct{ Body Estimate }
	ask := g.op("POST", "estimates", "estimate", "market", "What a job would cost, and where",
		"Takes an order as POST /api/v1/jobs does, and buys nothing.", 400, 404, 503)
	ask.MaxBody = maxOrder
	ask.Others.MaxBody = maxOrder
	handle(g, s, ask, func(ctx context.Context, who httpd.Caller, in *struct{ Body NewJob }) (*estimate, error) {
		e, err := g.estimate(ctx, who.Key, &in.Body)
		if err != nil {
			return nil, err
		}
		return &estimate{*e}, nil
	})
}

// nodesOf are the nodes of the market: those that are alive, from a moment ago, or all.
func (g *Gateway) nodesOf(ctx context.Context, all bool) ([]consumer.Node, error) {
	if all {
		return g.Consumer.Nodes(ctx)
	}
	return g.roster.living(ctx)
}

func (g *Gateway) nodeOf(n consumer.Node) Node {
	m := n.Profile.Market
	x := Node{
		Key: n.Author, Name: n.Profile.Name, About: n.Profile.About, Alive: n.Alive(g.Now()), GPUs: append([]events.GPU{}, m.GPUs...),
		Pay: append([]string{}, m.Pay...), Models: append([]events.ModelOffer{}, m.Models...), Percent: m.Percent, Minimum: m.Minimum, Concurrency: m.Concurrency,
	}
	if b := n.Beat; b != nil {
		x.Seen, x.Status, x.Load, x.Queue, x.Capacity = int64(b.At), b.Status, int(b.Load), int(b.Queue), int(b.Capacity)
	}
	return x
}

func (g *Gateway) offersOf(n consumer.Node, wants func(events.ModelOffer) bool) (all []Offer) {
	m := n.Profile.Market
	for _, model := range m.Models {
		if !wants(model) {
			continue
		}
		cost, err := m.Cost(model.Price, events.Usage{In: 1000, Out: 1000}, "")
		if err != nil {
			continue
		}
		o := Offer{
			Node: n.Author, Name: n.Profile.Name, Model: model.ID, Kinds: append([]int{}, model.Kinds...), Digest: model.Digest, Context: model.Context, Price: model.Price, PerK: cost,
			Pay: append([]string{}, m.Pay...), Delivery: append([]string{}, m.Delivery...), GPUs: append([]events.GPU{}, m.GPUs...),
			Measured: measuredOf(g.record.measured(n.Author, model.ID)),
		}
		if n.Beat != nil && n.Beat.Capacity > 0 {
			o.Load = float64(n.Beat.Load+n.Beat.Queue) / float64(n.Beat.Capacity)
		}
		all = append(all, o)
	}
	return all
}

// estimate says what an order would cost and where, without buying.
func (g *Gateway) estimate(ctx context.Context, who string, in *NewJob) (*Estimate, error) {
	w, err := g.read(ctx, who, in)
	if err != nil {
		return nil, err
	}
	if w.dir != "" {
		defer os.RemoveAll(w.dir)
	}
	most := w.order.MaxCost
	w.order.MaxCost = events.MaxMsat // to see those that are too dear, too
	ranked, err := g.rank(ctx, w)
	if err != nil {
		return nil, err
	}
	e := &Estimate{Kind: w.order.Kind, Model: w.name(), Max: most, Candidates: []Candidate{}}
	for i, v := range ranked {
		c := Candidate{
			Node: v.Node, Name: v.Name, Taken: !v.Out && v.About <= most, Why: v.Why, Score: v.Score, About: v.About, Most: v.Most, Price: v.Price, Load: v.Load,
			Measured: measuredOf(v.Measured),
		}
		if !v.Out && v.About > most {
			c.Why = fmt.Sprintf("the job would cost about %s there, at most %s may be paid", v.About.Human(), most.Human())
		}
		if i == 0 || !e.Enough && c.Taken {
			e.About, e.Most = v.About, v.Most
		}
		e.Enough = e.Enough || c.Taken
		if !v.Out {
			e.Dearest = max(e.Dearest, v.About)
		}
		e.Candidates = append(e.Candidates, c)
	}
	e.Left, err = g.left(who)
	return e, err
}
