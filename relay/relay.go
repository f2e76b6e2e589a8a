// Package relay is the market relay: our own WebSocket session over a log of signed events.
//
// It promises that one client never slows another: each connection has one reader, limits that hold before anything is
// parsed or verified, and a bounded queue out; who does not read is dropped. An event reaches its subscribers as soon
// as it is verified and admitted, through an index, serialised once. OK true means that it is on the disk. Every event
// of the market follows its grammar (events.Parse) and the rules of docs/protocol.md.
//
// Begin with Open, then session.go (one connection) and policy_*.go (what is admitted).
package relay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fiatjaf/khatru"
	"github.com/nbd-wtf/go-nostr"

	"infernet/internal/httpd"
)

// Config says how a relay runs. Every field may be left out.
type Config struct {
	Dir         string        // where events are stored; in memory if unset
	Door        *httpd.Server // the listener that it is mounted into, and shares with others; an own one on Listen if unset
	Listen      string        // address of a listener of its own; none if unset (then mount Handler)
	ServiceURL  string        // as clients know the relay, for NIP-42; what they connect to if unset
	Name        string
	Description string

	MaxConns           int           // connections at once; 4096 if unset. More are refused with HTTP 503
	MaxConnsPerAddress int           // of those, from one address (of IPv6, one /64 network) but this machine's; 64 if unset. More: 429
	MaxSubs            int           // subscriptions of one connection; 64 if unset
	MaxFilters         int           // filters of one subscription; 20 if unset
	MaxLimit           int           // events that one filter gives; 1000 if unset
	Rate               float64       // messages a second of one connection; 1000 if unset. Who sends more is read more slowly
	Burst              int           // messages at once before Rate holds; 2000 if unset
	Queue              int           // messages that wait for a slow reader before it is dropped; 2048 if unset
	QueueBytes         int           // and bytes of them; 16 MiB if unset
	WriteIn            time.Duration // how long one write may take; 10 s if unset
	PrivateJobs        bool          // encrypted jobs are shown only to their two parties, after AUTH
	Files              http.Handler  // files by their hash, on the same host (internal/blob); none if unset. Whoever opened it closes it
	KeyRate            float64       // events a second of one key, over all its connections; no limit if unset. Who sends more is read more slowly
	KeyBurst           int           // events at once before KeyRate holds; 2000 if unset
	AddressRate        float64       // messages a second from one address, but this machine's; no limit if unset
	AddressBurst       int           // messages at once before AddressRate holds; 8000 if unset
	Work               int           // NIP-13 bits that a request of an unknown key needs at most, while many ask; none are asked for if unset
	WorkFrom           float64       // requests of unknown keys a second from which work is asked for; 50 if unset
	Closed             bool          // only keys that the operator has let in publish (manage.go), and connections that have proved one
	MarketOnly         bool          // only kinds that a market needs are taken
	Kinds              []int         // and these
	OfferPow           int           // NIP-13 bits that an offer of an unknown key needs; 0 for none
	KnownAfter         time.Duration // how long a node must have been announced to be known; 10 minutes if unset
	KeepFree           int64         // bytes of the disk that are left to others; 16 MiB if unset, none if negative
	Admins             []string      // keys that may operate the relay over HTTP (operate.go), hex; nobody if unset
	Version            string        // of this program, for NIP-11

	Log *slog.Logger     // nothing is logged if unset
	Now func() time.Time // the relay's clock; time.Now if unset
}

// Relay is an open relay.
type Relay struct {
	Config   // as it was opened; what may change while it runs is in terms
	live     atomic.Pointer[Config]
	khatru   *khatru.Relay
	store    *store
	index    *index
	jobs     *jobs
	meters   *meters
	policies []func(context.Context, *nostr.Event) (bool, string)
	after    after
	querying chan struct{} // queries that run
	seats    seats
	rules    *rules
	demand   demand
	ofKey    pace[string]
	ofPeer   pace[netip.Prefix]
	negs     negs
	views    views

	mu       sync.Mutex
	sessions map[*session]struct{}
	closing  bool
	working  sync.WaitGroup // events between their arrival and their OK
	active   sync.WaitGroup // sessions, and the sweeping of what has expired
	stop     context.CancelFunc
}

// Open opens the store, and the listener if there is to be one. The relay works from then on, until Close.
func Open(ctx context.Context, c Config) (*Relay, error) {
	c = withDefaults(c)
	r := &Relay{
		Config: c, index: newIndex(), meters: newMeters(), sessions: map[*session]struct{}{},
		querying: make(chan struct{}, maxQueries), seats: seats{from: map[netip.Prefix]int{}},
	}
	r.live.Store(&c)
	var err error
	if c.Door == nil && c.Listen != "" {
		if r.Door, err = httpd.Open(httpd.Config{Listen: c.Listen, URL: c.ServiceURL, Title: c.Name, About: About, Log: c.Log}); err != nil {
			return nil, err
		}
	}
	if r.store, err = openStore(c); err != nil {
		if c.Door == nil && r.Door != nil {
			r.Door.Close()
		}
		return nil, fmt.Errorf("open the relay's store: %w", err)
	}
	if r.rules, err = openRules(c.Dir); err != nil {
		if c.Door == nil && r.Door != nil {
			r.Door.Close()
		}
		return nil, errors.Join(err, r.store.close())
	}
	if err := r.openViews(); err != nil {
		r.Log.Warn("the market's history cannot be read, and begins anew in memory", "err", err)
	}
	r.jobs = newJobs(r.store)
	r.khatru = r.hooks()
	sweep, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	if r.Door != nil {
		r.mount(r.Door)
	}
	r.active.Go(func() { r.store.sweepEachMinute(sweep) })
	r.active.Go(func() { r.sampleEach(sweep) })
	return r, nil
}

func withDefaults(c Config) Config {
	set(&c.MaxConns, 4096)
	set(&c.MaxConnsPerAddress, 64)
	set(&c.MaxSubs, 64)
	set(&c.MaxFilters, 20)
	set(&c.MaxLimit, 1000)
	set(&c.Rate, 1000)
	set(&c.Burst, 2000)
	set(&c.Queue, 2048)
	set(&c.QueueBytes, 16<<20)
	set(&c.WriteIn, 10*time.Second)
	set(&c.KnownAfter, 10*time.Minute)
	set(&c.KeyBurst, 2000)
	set(&c.AddressBurst, 8000)
	set(&c.WorkFrom, 50)
	set(&c.Name, "infernet relay")
	set(&c.KeepFree, 16<<20)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func set[T comparable](field *T, standard T) {
	var zero T
	if *field == zero {
		*field = standard
	}
}

// hooks makes the khatru relay below, which answers with the relay's facts (NIP-11). Events do not pass it: its pipeline
// waits for the disk with each of them, and its checks for deletions scan the store.
func (r *Relay) hooks() *khatru.Relay {
	k := khatru.NewRelay()
	k.ServiceURL = r.ServiceURL
	k.Info.SupportedNIPs = []any{1, 9, 11, 40, 42, 45, 50, 70, 77, 86, 98}
	r.policies = []func(context.Context, *nostr.Event) (bool, string){
		r.refuseShape, r.refuseAdmission, r.refuseTime, r.refuseDeleted, r.refuseMarket, r.refuseWork, r.refusePow, r.refuseJob,
	}
	return k
}

// About is what the front page of a relay's listener says.
const About = "This is a Nostr relay: connect with a WebSocket."

// URL is where this machine reaches the relay, ws://… or wss://….
func (r *Relay) URL() string {
	if r.Door == nil {
		return r.ServiceURL
	}
	return "ws" + strings.TrimPrefix(r.Door.URL(), "http")
}

// Handler serves WebSocket connections and, to those who ask for application/nostr+json, the relay's facts (NIP-11).
func (r *Relay) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.EqualFold(req.Header.Get("Upgrade"), "websocket") {
			r.serveSession(w, req)
			return
		}
		if asksForFacts(req) {
			w.Header().Set("Access-Control-Allow-Origin", "*") // NIP-11: any page may ask
			r.serveFacts(w)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "%s\n%s\n", r.facts().Name, About)
	})
}

func asksForFacts(req *http.Request) bool {
	return strings.Contains(req.Header.Get("Accept"), "application/nostr+json")
}

// mount puts the relay into a listener, at /. Who asks for it in Nostr's own ways may do so by any name and from any page:
// who signs matters, not from where.
func (r *Relay) mount(door *httpd.Server) {
	door.Mount("GET /{$}", httpd.Rules{
		Access: httpd.Anyone, AnyHost: true, AnyOrigin: true,
		When: func(req *http.Request) bool {
			return strings.EqualFold(req.Header.Get("Upgrade"), "websocket") || asksForFacts(req)
		},
	}, r.Handler())
	type facts struct {
		ContentType string `header:"Content-Type"`
		Body        map[string]any
	}
	httpd.Describe[struct{}, facts](door, httpd.Operation{
		Method: "GET", Path: "/", ID: "relay", Group: "relay", Summary: "The relay: a WebSocket that speaks Nostr",
		Text: "Asked with the header Accept: application/nostr+json it says what it is and takes (NIP-11).", Rules: httpd.Rules{Access: httpd.Anyone},
	})
	if r.Files != nil {
		r.mountFiles(door)
	}
	door.Registry().MustRegister(append(r.meters.all(), r.store.meters()...)...)
	r.mountOperation(door)
	r.mountViews(door)
	r.mountManage(door)
	door.Check("relay", r.well)
}

// well says whether the relay works: it takes events, and its store can be read.
func (r *Relay) well(ctx context.Context) error {
	if !r.work() {
		return errors.New("the relay shuts down")
	}
	defer r.working.Done()
	return r.store.well()
}

// Run serves until ctx ends: then no new connection is taken, what is queued is written, clients are told that the relay
// goes away, and the store is closed. What else is mounted into the same listener ends with it.
func (r *Relay) Run(ctx context.Context) error {
	if r.Door == nil {
		return errors.New("relay: no address to listen on")
	}
	err := r.Door.Run(ctx)
	return errors.Join(err, r.Close())
}

// Close ends the relay: no event is taken any more, those under way come to the disk and get their OK, connections are
// told that the relay goes away, and the store is closed.
func (r *Relay) Close() error {
	r.mu.Lock()
	r.closing = true
	r.mu.Unlock()
	r.stop()
	r.working.Wait()
	r.mu.Lock()
	for s := range r.sessions {
		s.out.finish()
	}
	r.mu.Unlock()
	r.active.Wait()
	if r.Door != nil {
		r.Door.Close()
	}
	return r.store.close()
}
