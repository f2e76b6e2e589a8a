package events

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"
)

// Input is one `i` tag: something to work on.
type Input struct {
	Value  string
	Type   string // text, url, event, job or blob
	Relay  string
	Marker string
}

// Auction asks for offers (`bids`): collect for so long, then choose.
type Auction struct {
	Seconds int64
	Mode    string // auto (the client chooses), manual (its user), first (the first that fits)
	Open    bool   // offers may be in clear
}

// Ways to pay, as the `pay` tag names them.
const (
	PayFree    = "free"
	PayPrepaid = "prepaid"
	PayHold    = "hold"
	PaySealed  = "sealed"
	PayCredit  = "credit"
	PayZap     = "zap"
)

// Bounds of a hold invoice's min_final_cltv, in blocks (BOLT 11): long enough to work under, short enough to wait out.
const (
	MinHoldBlocks = 40
	MaxHoldBlocks = 80
)

// Request asks for a job (NIP-90, kinds 5000–5999 of the table). Its id is the job's id.
type Request struct {
	Head
	Kind      int
	Profile   bool // of this profile; without it, plain NIP-90
	Inputs    []Input
	Params    Params
	Output    string // MIME type
	Bid       *Msat  // the most the customer pays; nil if not said
	Pay       []string
	Relays    []string // where answers are wanted; at most 5
	To        []PubKey // only these may answer; nobody means all
	Deadline  Unix     // when the job is over
	SizeIn    int64    // declared units in, where the input comes later or encrypted
	SizeOut   int64    // most units out
	Priority  string   // low, normal, high; "" is normal
	Require   []Require
	Bids      *Auction
	Models    []string // `t`: model ids in lower case, for filters
	Address   string   // `a`: the announcement's address in a direct job
	Price     ID       // `price`: the announcement event whose price is meant
	Order     ID       // the offer this job takes up
	Credit    *Credit  `json:",omitempty"` // it is paid out of an account; nil if not
	Retry     ID       // the earlier job this one repeats
	Encrypted bool     // travels as NIP-44 to the one in To
	Closed    bool     // parsed without being opened: only To, Profile, Deadline are known
}

// Require is one `require` tag: what the node must have.
type Require struct{ Name, Value string }

// MaxRelays is how many relays a request may name.
const MaxRelays = 5

// PlainDeadline is how long a request without the profile lives at most.
const PlainDeadline = time.Hour

// About is the job's id.
func (m *Request) About() ID { return m.ID }

// Prompt is all text inputs, one after the other.
func (m *Request) Prompt() string {
	var texts []string
	for _, in := range m.Inputs {
		if in.Type == "text" {
			texts = append(texts, in.Value)
		}
	}
	return strings.Join(texts, "\n\n")
}

// UnreadUnits is what an input that is to be fetched counts for, where the request does not declare its size.
const UnreadUnits = 4096

// Held says whether the input is all there: text, or a small file in its own address.
func (in Input) Held() bool { return in.Type == "text" || in.Type == "url" && IsDataURL(in.Value) }

// Named is how many inputs name what the node is to fetch.
func (m *Request) Named() (n int64) {
	for _, in := range m.Inputs {
		if !in.Held() {
			n++
		}
	}
	return n
}

// Unread is how many units in the inputs to be fetched count for before they are read: as declared in `size`, or
// UnreadUnits for each.
func (m *Request) Unread() int64 {
	n := m.Named()
	if n > 0 && m.SizeIn > 0 {
		return m.SizeIn
	}
	return n * UnreadUnits
}

// Model is the model the customer asks for, lower case; "" if any will do.
func (m *Request) Model() string { return strings.ToLower(m.Params.Text("model")) }

// Stream says whether chunks are wanted.
func (m *Request) Stream() bool { return m.Params.Bool("stream") }

// Percent is what the priority multiplies the price with.
func (m *Request) Percent() int {
	if p, ok := Priorities[m.Priority]; ok {
		return p
	}
	return Priorities["normal"]
}

// Names says whether node may answer: the request names it, or nobody.
func (m *Request) Names(node PubKey) bool {
	for _, p := range m.To {
		if p == node {
			return true
		}
	}
	return len(m.To) == 0
}

// Keep is until when relays keep the job's events.
func (m *Request) Keep() Unix { return m.Deadline.Add(KeepJob) }

func (m *Request) Event() *nostr.Event {
	w := write(m.Kind, m.Head)
	for _, in := range m.Inputs {
		w.input(in)
	}
	for _, p := range m.Params {
		w.tag("param", append([]string{p.Name}, p.Values...)...)
	}
	w.text("output", m.Output)
	if m.Bid != nil {
		w.tag("bid", m.Bid.String())
	}
	if len(m.Pay) > 0 {
		w.tag("pay", m.Pay...)
	}
	if len(m.Relays) > 0 {
		w.tag("relays", m.Relays...)
	}
	if m.SizeIn != 0 || m.SizeOut != 0 {
		w.tag("size", strconv.FormatInt(m.SizeIn, 10), strconv.FormatInt(m.SizeOut, 10))
	}
	w.text("priority", m.Priority)
	for _, q := range m.Require {
		w.tag("require", q.Name, q.Value)
	}
	if m.Bids != nil {
		tag := []string{strconv.FormatInt(m.Bids.Seconds, 10), m.Bids.Mode}
		if m.Bids.Open {
			tag = append(tag, "open")
		}
		w.tag("bids", tag...)
	}
	for _, t := range m.Models {
		w.tag("t", t)
	}
	w.text("a", m.Address)
	w.text("price", string(m.Price))
	w.text("order", string(m.Order))
	if m.Credit != nil {
		w.tag("credit", m.Credit.Max.String(), string(m.Credit.Last))
	}
	w.text("retry", string(m.Retry))
	for _, p := range m.To {
		w.tag("p", string(p))
	}
	if m.Profile {
		w.tag("profile", Profile)
		w.number("deadline", int64(m.Deadline))
	}
	if m.Encrypted {
		w.tag("alt", "Encrypted job")
	} else if k, ok := Kinds[m.Kind]; ok && m.Profile {
		w.tag("alt", k.Alt)
	}
	return w.end(m.Head, m.Encrypted)
}

func parseRequest(r *reader) (Message, error) {
	m := &Request{
		Head: r.head(), Kind: r.ev.Kind,
		Output: r.text("output"), Bid: r.msat("bid"), Priority: r.text("priority"),
		Address: r.text("a"), Price: r.id("price"), Order: r.id("order"), Retry: r.id("retry"),
		Models: r.distinct("t"),
	}
	for _, values := range r.all("i") {
		m.Inputs = append(m.Inputs, r.input(values))
	}
	for _, values := range r.all("param") {
		m.Params = append(m.Params, Param{values[0], values[1:]})
	}
	for _, p := range r.firsts("p") {
		m.To = append(m.To, PubKey(r.hex("p", p)))
	}
	for _, q := range r.all("require") {
		if len(q) != 2 {
			r.fail("tag %q wants a name and a value", "require")
			continue
		}
		m.Require = append(m.Require, Require{q[0], q[1]})
	}
	if m.Priority != "" {
		r.oneOf("priority", m.Priority, "low", "normal", "high")
	}
	if size := r.one("size"); size != nil {
		if len(size) != 2 {
			r.fail("tag %q wants units in and units out", "size")
		} else {
			m.SizeIn, m.SizeOut = r.parse("size", size[0]), r.parse("size", size[1])
		}
	}
	m.Credit = r.credit()
	m.Relays = r.relays()
	m.Bids = r.bids()
	for _, way := range r.one("pay") {
		m.Pay = append(m.Pay, r.oneOf("pay", way, PayFree, PayPrepaid, PayHold, PaySealed, PayCredit, PayZap))
	}
	r.profile(m)
	if m.Bids != nil && !m.Profile {
		r.fail("tag %q needs the profile %s", "bids", Profile)
	}
	if m.Stream() && len(m.Pay) == 1 && m.Pay[0] == PaySealed {
		r.fail("param %q: a sealed result cannot be streamed", "stream")
	}
	m.Encrypted = r.has("encrypted")
	if m.Encrypted && len(m.To) != 1 {
		r.fail("an encrypted job names exactly one node in %q, this one %d", "p", len(m.To))
	}
	return m, r.err
}

// profile reads which protocol a request speaks, and its deadline.
func (r *reader) profile(m *Request) {
	switch profile := r.one("profile"); {
	case profile != nil && profile[0] == Profile:
		m.Profile = true
		m.Deadline = r.needMoment("deadline")
	case profile == nil:
		m.Deadline = m.At.Add(PlainDeadline)
		if m.Expires != 0 && m.Expires < m.Deadline {
			m.Deadline = m.Expires
		}
	default:
		r.fail("tag %q: %s is not spoken here, only %s", "profile", quote(profile[0]), Profile)
	}
}

func (w *writer) input(in Input) {
	tag := []string{in.Value, in.Type, in.Relay, in.Marker}
	for len(tag) > 2 && tag[len(tag)-1] == "" {
		tag = tag[:len(tag)-1]
	}
	w.tag("i", tag...)
}

func (r *reader) input(values []string) Input {
	in := Input{Value: values[0], Type: "text"}
	if len(values) > 1 {
		in.Type = r.oneOf("i", values[1], "text", "url", "event", "job", "blob")
	}
	if len(values) > 2 {
		in.Relay = values[2]
	}
	if len(values) > 3 {
		in.Marker = values[3]
	}
	switch in.Type {
	case "event", "job":
		r.hex("i", in.Value)
	case "blob":
		if _, err := ParseBlob(in.Value); err != nil {
			r.fail("tag %q: %w", "i", err)
		}
	}
	return in
}

func (r *reader) relays() []string {
	relays := r.one("relays")
	if len(relays) > MaxRelays {
		r.fail("tag %q: %d relays, at most %d are allowed", "relays", len(relays), MaxRelays)
	}
	for _, raw := range relays {
		if err := CheckRelay(raw); err != nil {
			r.fail("tag %q: %w", "relays", err)
		}
	}
	return relays
}

// CheckRelay says what is wrong with a relay's address. wss is wanted; ws only for this machine itself.
func CheckRelay(raw string) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%s is no relay address", quote(raw))
	}
	if u.Scheme == "wss" {
		return nil
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Scheme == "ws" && (u.Hostname() == "localhost" || err == nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("%s is no wss:// address", quote(raw))
}

func (r *reader) bids() *Auction {
	values := r.one("bids")
	if values == nil {
		return nil
	}
	a := &Auction{Seconds: r.parse("bids", values[0]), Mode: "auto"}
	if len(values) > 1 {
		a.Mode = r.oneOf("bids", values[1], "auto", "manual", "first")
	}
	if len(values) > 2 {
		r.oneOf("bids", values[2], "open")
		a.Open = true
	}
	if a.Seconds > 3600 {
		r.fail("tag %q: %d seconds, at most 3600", "bids", a.Seconds)
	}
	return a
}

func (r *reader) credit() *Credit {
	values := r.one("credit")
	if values == nil {
		return nil
	}
	if len(values) != 2 {
		r.fail("tag %q wants an amount and the id of a statement", "credit")
		return nil
	}
	return &Credit{Max: Msat(r.parse("credit", values[0])), Last: ID(r.hex("credit", values[1]))}
}
