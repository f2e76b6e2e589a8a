package relay

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"infernet/events"
)

// facts11 is what a relay says of itself (NIP-11). What the NIP has no field for is in infernet.
type facts11 struct {
	Name          string     `json:"name"`
	Description   string     `json:"description"`
	Icon          string     `json:"icon,omitempty"`
	PubKey        string     `json:"pubkey,omitempty"`
	SupportedNIPs []any      `json:"supported_nips"`
	Software      string     `json:"software"`
	Version       string     `json:"version,omitempty"`
	Limitation    limitation `json:"limitation"`
	Own           ownLimits  `json:"infernet"`
}

type limitation struct {
	MaxMessageLength    int   `json:"max_message_length"`
	MaxSubscriptions    int   `json:"max_subscriptions"`
	MaxFilters          int   `json:"max_filters"`
	MaxLimit            int   `json:"max_limit"`
	DefaultLimit        int   `json:"default_limit"`
	MaxSubidLength      int   `json:"max_subid_length"`
	MaxEventTags        int   `json:"max_event_tags"`
	MaxContentLength    int   `json:"max_content_length"`
	MinPowDifficulty    int   `json:"min_pow_difficulty"`
	CreatedAtUpperLimit int64 `json:"created_at_upper_limit"`
	AuthRequired        bool  `json:"auth_required"`
	PaymentRequired     bool  `json:"payment_required"`
	RestrictedWrites    bool  `json:"restricted_writes"`
}

// ownLimits are those that NIP-11 has no field for.
type ownLimits struct {
	MaxEventLength int     `json:"max_event_length"` // bytes of one event
	Rate           float64 `json:"rate"`             // messages a second of one connection; who sends more is read more slowly
	Burst          int     `json:"burst"`            // messages at once before rate holds
	KeyRate        float64 `json:"key_rate"`         // events a second of one key, over all its connections; 0 for no limit
	KeyBurst       int     `json:"key_burst"`
	AddressRate    float64 `json:"address_rate"` // messages a second from one address; 0 for no limit
	AddressBurst   int     `json:"address_burst"`
	Work           int     `json:"work"`                 // bits of work (NIP-13) that a request of an unknown key needs at most, while many ask
	WorkFrom       float64 `json:"work_from"`            // requests of unknown keys a second from which on
	WorkNow        int     `json:"work_now"`             // bits that are asked for now
	MaxConnections int     `json:"max_connections"`      // altogether
	FromOneAddress int     `json:"max_connections_each"` // from one address; of IPv6, one /64
	MaxQueue       int     `json:"max_queue"`            // messages that wait for a slow reader before it is dropped
	MaxQueueBytes  int     `json:"max_queue_bytes"`      // and bytes of them
	MaxOffers      int     `json:"max_offers"`           // of one key for one job, in clear
	MaxSaid        int     `json:"max_feedback"`         // messages about one job of a key that was not chosen
	OfferPow       int     `json:"offer_pow"`            // bits of work that an offer of an unknown key needs
	Closed         bool    `json:"closed"`               // only keys that the operator has let in publish
	Kinds          any     `json:"kinds"`                // all, or market: those of a market and NIP-90, and kinds_also
	KindsAlso      []int   `json:"kinds_also,omitempty"`
	KindsNot       []int   `json:"kinds_not,omitempty"` // that are not taken
	PrivateJobs    bool    `json:"private_jobs"`        // encrypted jobs are shown to their two parties only
}

// facts gives them as they are now.
func (r *Relay) facts() facts11 {
	t := r.terms()
	f := facts11{
		Name: t.Name, Description: t.Description, SupportedNIPs: r.khatru.Info.SupportedNIPs, Software: "infernet", Version: t.Version,
		Limitation: limitation{
			MaxMessageLength: maxFrame, MaxSubscriptions: t.MaxSubs, MaxFilters: t.MaxFilters, MaxLimit: t.MaxLimit, DefaultLimit: t.MaxLimit,
			MaxSubidLength: maxSubID, MaxEventTags: maxTags, MaxContentLength: events.MaxEvent, CreatedAtUpperLimit: int64(events.MaxFuture / time.Second),
		},
		Own: ownLimits{
			MaxEventLength: events.MaxEvent, KeyRate: t.KeyRate, KeyBurst: t.KeyBurst, AddressRate: t.AddressRate, AddressBurst: t.AddressBurst,
			Work: t.Work, WorkFrom: t.WorkFrom, WorkNow: r.demand.now(r.Now(), t.WorkFrom, t.Work), Rate: t.Rate, Burst: t.Burst, MaxConnections: t.MaxConns, FromOneAddress: t.MaxConnsPerAddress,
			MaxQueue: t.Queue, MaxQueueBytes: t.QueueBytes, MaxOffers: maxOffers, MaxSaid: maxSaid, OfferPow: t.OfferPow, PrivateJobs: t.PrivateJobs,
		},
	}
	d := r.rules.now.Load()
	f.Name, f.Description, f.Icon = cmp.Or(d.Name, t.Name), cmp.Or(d.Description, t.Description), d.Icon
	f.Limitation.RestrictedWrites, f.Limitation.AuthRequired = t.Closed, false
	f.Own.Closed, f.Own.Kinds = t.Closed, "all"
	if t.MarketOnly {
		f.Own.Kinds = "market"
		f.Own.KindsAlso = slices.Clone(t.Kinds)
	}
	for kind, taken := range d.Kinds {
		if taken && t.MarketOnly {
			f.Own.KindsAlso = append(f.Own.KindsAlso, kind)
		} else if !taken {
			f.Own.KindsNot = append(f.Own.KindsNot, kind)
		}
	}
	slices.Sort(f.Own.KindsAlso)
	slices.Sort(f.Own.KindsNot)
	if len(t.Admins) > 0 {
		f.PubKey = t.Admins[0]
	}
	if t.OfferPow > 0 || t.Work > 0 {
		f.SupportedNIPs = append(append([]any{}, f.SupportedNIPs...), 13)
	}
	return f
}

func (r *Relay) serveFacts(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/nostr+json")
	json.NewEncoder(w).Encode(r.facts())
}
