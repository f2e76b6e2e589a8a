// Package market is what a relay's events say of the market: nodes, models, prices, open jobs, what is known of a node and how
// it is known, and which rank somebody may give it.
//
// Everything is computed from signed events by pure functions, so that a relay, a terminal and a test see the same. What a
// node says of itself is called its claim; nothing here ranks by claims, or by what strangers say of each other.
//
// Begin with Look (the market), Known (a node) and Rank (reputation).
package market

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// View is the market at one moment.
type View struct {
	At     events.Unix `json:"at"`
	Alive  int         `json:"alive"` // nodes
	Nodes  []Node      `json:"nodes" nullable:"false" doc:"living ones first, then by key"`
	Models []Model     `json:"models" nullable:"false" doc:"of living nodes, those that most nodes run first"`
	Jobs   []Job       `json:"jobs" nullable:"false" doc:"open ones, newest first; encrypted ones are not seen"`
}

// Node is a node as it shows itself, and since when.
type Node struct {
	Key      events.PubKey  `json:"node"`
	Name     string         `json:"name" doc:"its claim"`
	Alive    bool           `json:"alive" doc:"its last heartbeat is young enough"`
	Status   string         `json:"status" doc:"its claim: ready, busy or draining"`
	Seen     events.Unix    `json:"seen" doc:"when its last heartbeat was signed; 0 if there is none"`
	Shown    events.Unix    `json:"announced" doc:"when its announcement was signed"`
	Load     int64          `json:"load" doc:"its claim: jobs that run"`
	Capacity int64          `json:"capacity" doc:"its claim: jobs at once"`
	Queue    int64          `json:"queue" doc:"its claim: jobs that wait"`
	Kinds    []int          `json:"kinds" nullable:"false"`
	Models   []string       `json:"models" nullable:"false"`
	GPUs     []events.GPU   `json:"gpus" nullable:"false" doc:"its claim"`
	Pay      []string       `json:"pay" nullable:"false" doc:"ways to pay"`
	Relays   []string       `json:"relays" nullable:"false" doc:"where it hears jobs"`
	Owner    events.PubKey  `json:"owner,omitempty" doc:"its claim"`
	market   *events.Market // as announced
}

// Model is what living nodes ask for a model.
type Model struct {
	ID      string      `json:"model"`
	Kinds   []int       `json:"kinds" nullable:"false"`
	Nodes   int         `json:"nodes"`
	Context int         `json:"context" doc:"the largest"`
	Price   Spread      `json:"msat_per_1000_in_1000_out"`
	At      []NodePrice `json:"at" nullable:"false" doc:"the cheapest first, at most 20"`
}

// NodePrice is what one node asks.
type NodePrice struct {
	Node  events.PubKey `json:"node"`
	Price events.Msat   `json:"msat_per_1000_in_1000_out"`
}

// maxAt is how many nodes are named for a model.
const maxAt = 20

// Spread is where prices lie, msat.
type Spread struct {
	Min    events.Msat `json:"min"`
	Median events.Msat `json:"median"`
	Max    events.Msat `json:"max"`
}

// spread orders prices; of an even number the median is the lower of the two in the middle.
func spread(all []events.Msat) Spread {
	if len(all) == 0 {
		return Spread{}
	}
	slices.Sort(all)
	return Spread{all[0], all[(len(all)-1)/2], all[len(all)-1]}
}

// Job is a job that waits or runs, as far as it is public.
type Job struct {
	ID       events.ID    `json:"job"`
	Kind     int          `json:"kind"`
	Model    string       `json:"model,omitempty"`
	State    events.State `json:"state"`
	At       events.Unix  `json:"at"`
	Deadline events.Unix  `json:"deadline"`
	Bid      *events.Msat `json:"bid_msat,omitempty" doc:"the most that the customer pays; missing if not said"`
	Offers   int          `json:"offers" doc:"in clear; in auctions most are encrypted"`
}

// Requests are the kinds of jobs' requests, results those of their results.
var requests, results = kinds()

func kinds() (ask, give []int) {
	for kind := range events.Kinds {
		ask, give = append(ask, kind), append(give, kind+1000)
	}
	slices.Sort(ask)
	slices.Sort(give)
	return ask, give
}

// Days is how far back facts of a node go.
const Days = 30

// openFor is how far back open jobs are looked for: those that live longer are rare.
const openFor = 6 * time.Hour

// Asked are the filters that find what Look looks at, but for messages about jobs.
func Asked(now time.Time) nostr.Filters {
	since := nostr.Timestamp(now.Add(-openFor).Unix())
	return nostr.Filters{
		{Kinds: []int{events.KindAnnouncement, events.KindHeartbeat}},
		{Kinds: requests, Since: &since, Limit: 2000},
	}
}

// About are the filters that find what was said about open jobs among events.
func About(found []*nostr.Event, now time.Time) (f nostr.Filters) {
	var ids []string
	for _, m := range read(found) {
		if req, ok := m.(*events.Request); ok && !req.Closed && req.Deadline > events.At(now) {
			ids = append(ids, string(req.ID))
		}
	}
	for part := range slices.Chunk(ids, 200) {
		f = append(f, nostr.Filter{Kinds: append([]int{events.KindFeedback, events.KindCancel}, results...), Tags: nostr.TagMap{"e": part}})
	}
	return f
}

// read parses events, and leaves what is none of the market's.
func read(all []*nostr.Event) (said []events.Message) {
	seen := map[string]bool{}
	for _, ev := range all {
		if seen[ev.ID] || !events.IsMarket(ev.Kind) {
			continue
		}
		seen[ev.ID] = true
		if m, err := events.Parse(ev); err == nil {
			said = append(said, m)
		}
	}
	return said
}

// Look says what events show of the market.
func Look(found []*nostr.Event, now time.Time) *View {
	v := &View{At: events.At(now), Nodes: []Node{}, Models: []Model{}, Jobs: []Job{}}
	shown, beats := map[events.PubKey]*events.Announcement{}, map[events.PubKey]*events.Heartbeat{}
	asked, about := []*events.Request{}, map[events.ID][]events.Message{}
	for _, m := range read(found) {
		switch m := m.(type) {
		case *events.Announcement:
			if old := shown[m.Author]; m.Profile.Market != nil && (old == nil || old.At < m.At) {
				shown[m.Author] = m
			}
		case *events.Heartbeat:
			if old := beats[m.Author]; old == nil || old.At < m.At {
				beats[m.Author] = m
			}
		case *events.Request:
			if !m.Closed && m.Deadline > v.At {
				asked = append(asked, m)
			}
		case events.About:
			about[m.About()] = append(about[m.About()], m)
		}
	}
	for key, m := range shown {
		v.Nodes = append(v.Nodes, nodeOf(m, beats[key], now))
	}
	slices.SortFunc(v.Nodes, func(a, b Node) int {
		if a.Alive != b.Alive {
			if a.Alive {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Key, b.Key)
	})
	for _, n := range v.Nodes {
		if n.Alive {
			v.Alive++
		}
	}
	v.Models = modelsOf(v.Nodes)
	for _, req := range asked {
		if job := events.Fold(req, about[req.ID], now); !job.State.Over() {
			v.Jobs = append(v.Jobs, Job{req.ID, req.Kind, modelOf(req), job.State, req.At, req.Deadline, req.Bid, len(job.Offers)})
		}
	}
	slices.SortFunc(v.Jobs, func(a, b Job) int { return cmp.Or(cmp.Compare(b.At, a.At), cmp.Compare(a.ID, b.ID)) })
	return v
}

func nodeOf(m *events.Announcement, beat *events.Heartbeat, now time.Time) Node {
	n := Node{
		Key: m.Author, Name: m.Profile.Name, Shown: m.At, Kinds: some(m.Kinds), Models: []string{}, GPUs: some(m.Profile.Market.GPUs),
		Pay: some(m.Profile.Market.Pay), Relays: some(m.Relays), Owner: m.Owner, market: m.Profile.Market,
	}
	for _, model := range m.Profile.Market.Models {
		n.Models = append(n.Models, model.ID)
	}
	if beat != nil {
		n.Seen, n.Alive, n.Status = beat.At, beat.Alive(now), beat.Status
		n.Load, n.Capacity, n.Queue = beat.Load, beat.Capacity, beat.Queue
	}
	return n
}

func some[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

func modelOf(req *events.Request) string {
	if len(req.Models) > 0 {
		return strings.Join(req.Models, " ")
	}
	return req.Params.Text("model")
}

// modelsOf gathers what living nodes ask for 1000 units in and 1000 out, at the normal priority.
func modelsOf(nodes []Node) []Model {
	all := map[string]*Model{}
	for _, n := range nodes {
		if !n.Alive || n.market == nil {
			continue
		}
		once := map[string]bool{}
		for _, m := range n.market.Models {
			price, err := m.Price.Cost(events.Usage{In: 1000, Out: 1000}, 100)
			if err != nil || once[m.ID] {
				continue
			}
			once[m.ID] = true
			x := all[m.ID]
			if x == nil {
				x = &Model{ID: m.ID, Kinds: []int{}}
				all[m.ID] = x
			}
			x.Nodes++
			x.Context = max(x.Context, m.Context)
			x.At = append(x.At, NodePrice{n.Key, max(price, n.market.Minimum)})
			for _, kind := range m.Kinds {
				if !slices.Contains(x.Kinds, kind) {
					x.Kinds = append(x.Kinds, kind)
				}
			}
		}
	}
	models := []Model{}
	for _, x := range all {
		var prices []events.Msat
		for _, at := range x.At {
			prices = append(prices, at.Price)
		}
		x.Price = spread(prices)
		slices.SortFunc(x.At, func(a, b NodePrice) int { return cmp.Or(cmp.Compare(a.Price, b.Price), cmp.Compare(a.Node, b.Node)) })
		x.At = x.At[:min(len(x.At), maxAt)]
		slices.Sort(x.Kinds)
		models = append(models, *x)
	}
	slices.SortFunc(models, func(a, b Model) int { return cmp.Or(cmp.Compare(b.Nodes, a.Nodes), cmp.Compare(a.ID, b.ID)) })
	return models
}
