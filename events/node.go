package events

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nbd-wtf/go-nostr"
)

// Announcement is a node's slow facts: what it runs, for how much (31990, NIP-89).
type Announcement struct {
	Head
	Name    string // `d`: one for each node
	Kinds   []int
	Models  []string // `t`: model ids, lower case
	Relays  []string // where it hears jobs
	Owner   PubKey   // optional; holds only if the owner's list names the node
	Profile NodeProfile
}

// NodeProfile is the JSON content of an announcement: what plain clients read, and our `market`.
type NodeProfile struct {
	Name                string               `json:"name"`
	About               string               `json:"about,omitempty"`
	Picture             string               `json:"picture,omitempty"`
	Lud16               string               `json:"lud16,omitempty"`
	Amount              string               `json:"amount,omitempty"` // "free" or "flexible"
	SupportsEncryption  bool                 `json:"supportsEncryption"`
	EncryptionSupported bool                 `json:"encryptionSupported"` // the same under its older name
	Params              map[string]ParamHint `json:"nip90Params,omitempty"`
	Market              *Market              `json:"market,omitempty"`
}

// ParamHint tells plain clients about a parameter (nip90Params).
type ParamHint struct {
	Required    bool     `json:"required"`
	Values      []string `json:"values"`
	Description string   `json:"description,omitempty"`
}

// Market is what nodes of this profile say beyond NIP-89.
type Market struct {
	Version     int            `json:"v"`
	Models      []ModelOffer   `json:"models"`
	GPUs        []GPU          `json:"gpus,omitempty"`
	Concurrency int            `json:"concurrency"`
	Pay         []string       `json:"pay"`
	Delivery    []string       `json:"delivery"`
	Percent     map[string]int `json:"percent,omitempty"` // what a priority multiplies the price with; as Priorities where it says nothing
	Minimum     Msat           `json:"minimum,omitempty"` // least that a job costs that costs anything
	Payee       string         `json:"payee,omitempty"`   // the Lightning node key its invoices are signed with, hex
}

// PercentOf is what a priority multiplies the price with at this node.
func (m *Market) PercentOf(priority string) int {
	if priority == "" {
		priority = "normal"
	}
	if percent, ok := m.Percent[priority]; ok {
		return percent
	}
	return Priorities[priority]
}

// Cost is what a use costs at one of the node's prices, at least its minimum.
func (m *Market) Cost(price Price, use Usage, priority string) (Msat, error) {
	cost, err := price.Cost(use, m.PercentOf(priority))
	if cost > 0 {
		cost = max(cost, m.Minimum)
	}
	return cost, err
}

// ModelOffer is one model with its price. Prices are msat per 1000 units, as JSON numbers.
type ModelOffer struct {
	ID      string `json:"id"`
	Kinds   []int  `json:"kinds"`
	Digest  string `json:"digest,omitempty"`
	Context int    `json:"context,omitempty"`
	Price   Price  `json:"price"`
}

// GPU is one graphics card of a node.
type GPU struct {
	Name   string `json:"name"`
	VRAMMB int    `json:"vram_mb"`
}

// Address is the announcement's address for `a` tags (NIP-01).
func (m *Announcement) Address() string {
	return fmt.Sprintf("%d:%s:%s", KindAnnouncement, m.Author, m.Name)
}

// Model finds a model by its id; nil if the node does not run it.
func (m *Announcement) Model(id string) *ModelOffer {
	if m.Profile.Market == nil {
		return nil
	}
	for i := range m.Profile.Market.Models {
		if m.Profile.Market.Models[i].ID == id {
			return &m.Profile.Market.Models[i]
		}
	}
	return nil
}

func (m *Announcement) Event() *nostr.Event {
	w := write(KindAnnouncement, m.Head)
	w.tag("d", m.Name)
	for _, k := range m.Kinds {
		w.tag("k", strconv.Itoa(k))
	}
	for _, t := range m.Models {
		w.tag("t", t)
	}
	if len(m.Relays) > 0 {
		w.tag("relays", m.Relays...)
	}
	if m.Owner != "" {
		w.tag("p", string(m.Owner), "", "owner")
	}
	w.tag("alt", "Compute node")
	content, err := json.Marshal(m.Profile)
	if err != nil {
		panic(err) // a struct of strings, numbers and slices always marshals
	}
	w.ev.Content = string(content)
	return w.end(m.Head, false)
}

func parseAnnouncement(r *reader) (Message, error) {
	m := &Announcement{Head: r.head(), Name: r.needText("d"), Kinds: r.kinds(), Models: r.distinct("t"), Relays: r.one("relays")}
	for _, p := range r.all("p") {
		if len(p) > 2 && p[2] == "owner" {
			m.Owner = PubKey(r.hex("p", p[0]))
		}
	}
	if r.ev.Content != "" {
		if err := m.Profile.read([]byte(r.ev.Content)); err != nil {
			r.fail("content: %w", err)
		}
	}
	if market := m.Profile.Market; market != nil {
		for _, model := range market.Models {
			p := model.Price
			for _, amount := range []Msat{p.Base, p.In, p.Out, p.Ms, market.Minimum} {
				if amount < 0 || amount > MaxMsat {
					r.fail("content: price of model %s is out of range", quote(model.ID))
				}
			}
		}
	}
	return m, r.err
}

// read reads the content. Other applications announce themselves with the same kind and fill its fields as they like:
// what does not fit ours falls away, but our own part is held to its types.
func (p *NodeProfile) read(content []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(content, &fields); err != nil {
		return err
	}
	if market, ok := fields["market"]; ok {
		if err := exact(market, &p.Market); err != nil {
			return fmt.Errorf("market: %w", err)
		}
	}
	loose(fields["name"], &p.Name)
	loose(fields["about"], &p.About)
	loose(fields["picture"], &p.Picture)
	loose(fields["lud16"], &p.Lud16)
	loose(fields["amount"], &p.Amount)
	loose(fields["supportsEncryption"], &p.SupportsEncryption)
	loose(fields["encryptionSupported"], &p.EncryptionSupported)
	loose(fields["nip90Params"], &p.Params)
	return nil
}

// loose reads a field if it has the type that is meant.
func loose[T any](body json.RawMessage, to *T) {
	var v T
	if len(body) > 0 && exact(body, &v) == nil {
		*to = v
	}
}

func (r *reader) kinds() (kinds []int) {
	for _, k := range r.firsts("k") {
		kinds = append(kinds, int(r.parse("k", k)))
	}
	return kinds
}

// Heartbeat says that a node is alive (11998, replaceable). Load is its own claim.
type Heartbeat struct {
	Head
	Status   string // ready, busy, draining; anything else, from others, just means alive
	Kinds    []int
	Capacity int64 // jobs at once
	Load     int64 // jobs running
	Queue    int64 // jobs waiting
}

// Timing of heartbeats.
const (
	HeartbeatEvery = 120 * time.Second
	HeartbeatLife  = 360 * time.Second
)

// Alive says whether the node counts as alive at now: −60 ≤ now − created_at ≤ 360 s, and not expired.
func (m *Heartbeat) Alive(now time.Time) bool {
	age := At(now) - m.At
	return age >= -60 && age <= Unix(HeartbeatLife/time.Second) && (m.Expires == 0 || At(now) < m.Expires)
}

func (m *Heartbeat) Event() *nostr.Event {
	w := write(KindHeartbeat, m.Head)
	w.tag("status", m.Status)
	for _, k := range m.Kinds {
		w.tag("k", strconv.Itoa(k))
	}
	w.tag("capacity", Msat(m.Capacity).String())
	w.tag("load", Msat(m.Load).String())
	w.tag("queue", Msat(m.Queue).String())
	return w.end(m.Head, false)
}

func parseHeartbeat(r *reader) (Message, error) {
	m := &Heartbeat{Head: r.head(), Kinds: r.kinds(), Capacity: r.number("capacity"), Load: r.number("load"), Queue: r.number("queue")}
	m.Status, _ = r.status()
	return m, r.err
}
