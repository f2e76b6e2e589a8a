package fleet

import (
	"infernet/events"
	"infernet/internal/notify"
	"infernet/internal/store"
)

// Identity is who a node is, for whoever asks at its address.
type Identity struct {
	Node   events.PubKey `json:"node"`
	Name   string        `json:"name"`
	Relays []string      `json:"relays"`
	Owned  bool          `json:"owned"`
}

// Report is how a node is doing.
type Report struct {
	Identity
	Version string      `json:"version"`
	At      events.Unix `json:"at"`
	Since   events.Unix `json:"since"`         // when it started
	State   string      `json:"state"`         // ready, busy, paused, closed (by its hours), draining
	Why     string      `json:"why,omitempty"` // it takes no jobs
	Engine  string      `json:"engine"`
	Wallet  string      `json:"wallet"`
	Running int         `json:"running"` // jobs that run
	Waiting int         `json:"waiting"` // jobs that wait for a slot
	Slots   int         `json:"slots"`
	Open    int         `json:"open"` // jobs without an end, offers among them
	Seen    []Relay     `json:"seen"` // the relays, as the node sees them
	Machine Machine     `json:"machine"`
	Load    *Sample     `json:"load,omitempty"` // the newest
	Today   Sum         `json:"today"`          // UTC
	Rev     int64       `json:"rev"`            // of the lasting settings that are in force
	Refused string      `json:"refused,omitempty"`
	Alerts  int         `json:"alerts"` // incidents that are not over
}

// Relay is a relay as the node sees it.
type Relay struct {
	URL       string `json:"url"`
	Connected bool   `json:"connected"`
}

// Machine is what a node computes with.
type Machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory"` // bytes
	Cards  []Card `json:"cards"`
}

// Card is a graphics card.
type Card struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Memory int64  `json:"memory"` // bytes; 0 if unknown
}

// Sample is a machine at one moment. What is not known is -1.
type Sample struct {
	At     events.Unix `json:"at"`
	CPU    float64     `json:"cpu"`    // percent of all cores
	Memory int64       `json:"memory"` // bytes in use
	Free   int64       `json:"free"`   // bytes free where the node keeps its data
	Cards  []Reading   `json:"cards"`
	Lost   []string    `json:"lost,omitempty"` // ids of cards that say nothing now
}

// Reading is a card at one moment. What it does not tell is -1.
type Reading struct {
	ID      string  `json:"id"`
	Busy    float64 `json:"busy"` // percent of the time
	Used    int64   `json:"used"` // bytes of its memory
	Celsius float64 `json:"celsius"`
	Watts   float64 `json:"watts"`
}

// MetricsAsked asks for samples.
type MetricsAsked struct {
	Since events.Unix `json:"since"` // from then on; as many as fit, the newest, if 0
}

// Samples are oldest first.
type Samples struct {
	Samples []Sample `json:"samples"`
}

// ClaimAsked proves that its sender knows the one-time code that a node without an owner shows.
type ClaimAsked struct {
	Proof string `json:"proof,omitempty"` // docs/protocol.md says how it is made
}

// SettingsAsked changes settings, all or none; without any they are only listed.
type SettingsAsked struct {
	Set map[string]string `json:"set,omitempty"`
}

// InForce are the settings that may be changed while the node runs.
type InForce struct {
	Rev      int64         `json:"rev"`
	Settings []NodeSetting `json:"settings"`
}

// NodeSetting is one of them.
type NodeSetting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// ModelsAsked chooses which of the engine's models are sold: the named ones, or with All all of them.
type ModelsAsked struct {
	Only []string `json:"only,omitempty"`
	All  bool     `json:"all,omitempty"`
}

// Run is what a node runs.
type Run struct {
	Models []Model `json:"models"`
}

// Model is a model of the node's engine.
type Model struct {
	ID      string       `json:"id"`
	Kinds   []int        `json:"kinds"`
	Digest  string       `json:"digest,omitempty"`
	Context int          `json:"context,omitempty"`
	Slots   int          `json:"slots"`
	Price   events.Price `json:"price"` // msat for 1000 units, now
	Sold    bool         `json:"sold"`  // the owner lets it run
}

// JobsAsked asks for a page of the node's jobs.
type JobsAsked struct {
	Before string      `json:"before,omitempty"` // next of the page before
	Since  events.Unix `json:"since,omitempty"`
	Live   bool        `json:"live,omitempty"`  // only those that may still change
	Limit  int         `json:"limit,omitempty"` // 20 if 0, at most 50
}

// Done is a page of jobs, newest first.
type Done struct {
	Jobs []store.Job `json:"jobs"`
	Next string      `json:"next,omitempty"` // "" on the last page
}

// EarningsAsked asks for the last days.
type EarningsAsked struct {
	Days int `json:"days,omitempty"` // 7 if 0, at most 90
}

// Sum is what became of some jobs.
type Sum struct {
	Jobs      int         `json:"jobs"` // all that were taken on
	Delivered int         `json:"delivered"`
	Failed    int         `json:"failed"`
	Paid      events.Msat `json:"paid"` // msat that arrived for sure
	Owed      events.Msat `json:"owed"` // msat that the node has said it owes back
}

// Day is a day's sum (UTC).
type Day struct {
	Day string `json:"day"` // 2006-01-02
	Sum
}

// Earned is what a node earned, newest day first, and by model.
type Earned struct {
	Days   []Day          `json:"days"`
	Models map[string]Sum `json:"models"`
	Total  Sum            `json:"total"` // of these days
}

// AlertsAsked asks for notices.
type AlertsAsked struct {
	Limit int `json:"limit,omitempty"` // 20 if 0, at most 50
}

// Told are notices, newest first, and the incidents among them that are not over.
type Told struct {
	Notices []notify.Notice `json:"notices"`
	Open    []string        `json:"open"`
}
