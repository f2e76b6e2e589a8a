package gateway

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"infernet/consumer"
	"infernet/consumer/choose"
	"infernet/events"
)

// Options are what a request may say about how it is bought: in its field infernet, or in headers X-Infernet-….
type Options struct {
	MaxCostSats *float64      `json:"max_cost_sats,omitempty"` // X-Infernet-Max-Cost; most to pay
	Node        events.PubKey `json:"node,omitempty"`          // X-Infernet-Node; key in hex, or the first 8 or more characters
	Pay         words         `json:"pay,omitempty"`           // X-Infernet-Pay; prepaid, hold, sealed or free
	Way         string        `json:"way,omitempty"`           // X-Infernet-Way; direct, or auction: in the open
	Deadline    float64       `json:"deadline_s,omitempty"`    // X-Infernet-Deadline; seconds
	Priority    string        `json:"priority,omitempty"`      // X-Infernet-Priority
	choose.Controls
}

// words are several words: a list, or a text with commas.
type words []string

func (w *words) UnmarshalJSON(body []byte) error {
	var one string
	if err := json.Unmarshal(body, &one); err == nil {
		*w = split(one)
		return nil
	}
	var all []string
	err := json.Unmarshal(body, &all)
	*w = all
	return err
}

func split(list string) (all []string) {
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item != "" {
			all = append(all, item)
		}
	}
	return all
}

// optionsOf reads a request's options: headers count before the body.
func optionsOf(h http.Header, body json.RawMessage) (o Options, err error) {
	if len(body) > 0 && string(body) != "null" {
		if err := json.Unmarshal(body, &o); err != nil {
			return o, invalid("infernet", "infernet: %v", err)
		}
	}
	number := func(name string) (*float64, error) {
		raw := h.Get(name)
		if raw == "" {
			return nil, nil
		}
		n, err := strconv.ParseFloat(raw, 64)
		if err != nil || math.IsNaN(n) {
			return nil, invalid(name, "%s: %.40q is no number", name, raw)
		}
		return &n, nil
	}
	if n, err := number("X-Infernet-Max-Cost"); err != nil {
		return o, err
	} else if n != nil {
		o.MaxCostSats = n
	}
	if n, err := number("X-Infernet-Deadline"); err != nil {
		return o, err
	} else if n != nil {
		o.Deadline = *n
	}
	text := func(name string, to *string) {
		if value := h.Get(name); value != "" {
			*to = value
		}
	}
	text("X-Infernet-Node", (*string)(&o.Node))
	text("X-Infernet-Way", &o.Way)
	text("X-Infernet-Priority", &o.Priority)
	text("X-Infernet-Sort", &o.Sort)
	if pay := h.Get("X-Infernet-Pay"); pay != "" {
		o.Pay = split(pay)
	}
	keys := func(name string, to *[]events.PubKey) {
		if list := split(h.Get(name)); len(list) > 0 {
			*to = nil
			for _, key := range list {
				*to = append(*to, events.PubKey(key))
			}
		}
	}
	keys("X-Infernet-Only", &o.Only)
	keys("X-Infernet-Ignore", &o.Ignore)
	keys("X-Infernet-Order", &o.Order)
	return o, o.check()
}

func (o *Options) check() error {
	if err := o.Controls.Check(); err != nil {
		return invalid("infernet", "%v", err)
	}
	if n := o.MaxCostSats; n != nil && (*n < 0 || *n > float64(events.MaxMsat/events.Sat)) {
		return invalid("infernet.max_cost_sats", "max_cost_sats: %g satoshi", *n)
	}
	if o.Deadline < 0 || o.Deadline > 7*24*3600 {
		return invalid("infernet.deadline_s", "deadline_s: %g seconds; at most a week", o.Deadline)
	}
	if ways := []string{"", consumer.Direct, consumer.Auction}; !slices.Contains(ways, o.Way) {
		return invalid("infernet.way", "way %.40q is none of %s", o.Way, strings.Join(ways[1:], ", "))
	}
	for _, pay := range o.Pay {
		if known := []string{events.PayPrepaid, events.PayHold, events.PaySealed, events.PayFree}; !slices.Contains(known, pay) {
			return invalid("infernet.pay", "pay %.40q is none of %s", pay, strings.Join(known, ", "))
		}
	}
	o.Node = events.PubKey(strings.ToLower(string(o.Node)))
	if o.Node != "" {
		if err := (choose.Controls{Only: []events.PubKey{o.Node}}).Check(); err != nil || len(o.Node) > 64 {
			return invalid("infernet.node", "node %.70q is no key in hex, nor the first 8 or more characters of one", o.Node)
		}
		o.Only = []events.PubKey{o.Node}
	}
	return nil
}

// apply puts what a request says into its order, and the gateway's own where it says nothing.
func (g *Gateway) apply(o Options, order *consumer.Order) {
	order.MaxCost, order.Pay, order.Life, order.Priority = g.MaxCost, g.Pay, g.Life, o.Priority
	if o.MaxCostSats != nil {
		order.MaxCost = events.Msat(math.Round(*o.MaxCostSats * float64(events.Sat)))
	}
	if len(o.Pay) > 0 {
		order.Pay = o.Pay
	}
	if slices.Contains(order.Pay, events.PayFree) {
		order.MaxCost, order.Pay = 0, nil
	}
	if o.Deadline > 0 {
		order.Life = time.Duration(o.Deadline * float64(time.Second))
	}
	order.Way = o.Way
	if order.Way == "" {
		order.Way = consumer.Direct
	}
}
