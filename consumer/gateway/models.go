package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"infernet/consumer"
	"infernet/events"
)

// Model is a model that living nodes run.
type Model struct {
	ID      string      `json:"id"`
	Object  string      `json:"object"`
	Created int64       `json:"created"` // when its first node announced it, unix seconds
	Owner   string      `json:"owned_by"`
	Market  modelMarket `json:"infernet"`
}

// modelMarket is what the market says of a model.
type modelMarket struct {
	Kinds   []int         `json:"kinds"`
	Context int           `json:"context,omitempty"` // the largest there is, tokens
	Nodes   int           `json:"nodes"`
	Node    events.PubKey `json:"node"`  // the cheapest
	Price   events.Price  `json:"price"` // there; msat, for 1000 units
}

// Models are the models that living nodes run, by name.
func (g *Gateway) Models(ctx context.Context) (all []Model, err error) {
	return g.modelsOf(ctx, func(consumer.Node) bool { return true }, func(events.ModelOffer) bool { return true })
}

// modelsOf are those of some nodes.
func (g *Gateway) modelsOf(ctx context.Context, at func(consumer.Node) bool, which func(events.ModelOffer) bool) (all []Model, err error) {
	nodes, err := g.roster.living(ctx)
	if err != nil {
		return nil, err
	}
	per := map[string]events.Msat{}
	for _, n := range nodes {
		if !at(n) {
			continue
		}
		for _, m := range n.Profile.Market.Models {
			if !which(m) {
				continue
			}
			i := slices.IndexFunc(all, func(x Model) bool { return x.ID == m.ID })
			if i < 0 {
				i = len(all)
				all = append(all, Model{ID: m.ID, Object: "model", Created: int64(n.At), Owner: "infernet"})
			}
			x := &all[i]
			x.Created = min(x.Created, int64(n.At))
			x.Market.Nodes++
			x.Market.Context = max(x.Market.Context, m.Context)
			for _, kind := range m.Kinds {
				if !slices.Contains(x.Market.Kinds, kind) {
					x.Market.Kinds = append(x.Market.Kinds, kind)
				}
			}
			cost, err := m.Price.Cost(events.Usage{In: 1000, Out: 1000}, 100)
			if old, ok := per[m.ID]; err == nil && (!ok || cost < old) {
				per[m.ID], x.Market.Price, x.Market.Node = cost, m.Price, n.Author
			}
		}
	}
	slices.SortFunc(all, func(a, b Model) int { return strings.Compare(a.ID, b.ID) })
	return all, nil
}

// serveModels is GET /v1/models.
func (g *Gateway) serveModels(w http.ResponseWriter, r *http.Request) {
	all, err := g.Models(r.Context())
	if err != nil {
		g.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": append([]Model{}, all...)})
}

// serveModel is GET /v1/models/{id}.
func (g *Gateway) serveModel(w http.ResponseWriter, r *http.Request) {
	all, err := g.Models(r.Context())
	if err != nil {
		g.fail(w, r, err)
		return
	}
	var ids []string
	id := strings.ToLower(r.PathValue("id"))
	for _, m := range all {
		if m.ID == id {
			writeJSON(w, http.StatusOK, m)
			return
		}
		ids = append(ids, m.ID)
	}
	near := events.Near(id, ids)
	if len(near) == 0 {
		near = ids[:min(3, len(ids))]
	}
	g.fail(w, r, unknownModel(id, near))
}
