// Package httpd is the one HTTP door of a process: relay, provider and gateway mount into the same listener.
//
// It promises to what is mounted that a request is one meant for it: its Host is a name of this server (a page whose name
// was pointed here is turned away), its Origin may call, and who calls is known by a signed event (NIP-98), good once, or
// by an app key. What is slow is cut: headers, bodies, answers that nobody reads. A stream that is read lives on.
//
// Every operation stands in one OpenAPI 3.1 document (/openapi.json), with a page to read it (/docs). Begin with Open,
// then serve.go: the way of one request.
package httpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Config says how a server runs. Every field but Listen may be left out.
type Config struct {
	Listen  string   // address; port 0 takes a free one
	URL     string   // as clients know this server, behind a proxy: https://… or wss://…; what they connect to if unset
	Hosts   []string // names that clients may use, beside this one's, localhost and plain addresses
	Origins []string // pages that may call from elsewhere: https://app.example; "*" is every page
	Title   string   // of the OpenAPI document and the front page; infernet if unset
	Version string   // of the OpenAPI document
	About   string   // what the front page says while no page is mounted
	Keys    *Keys    // app keys; none if unset
	Used    string   // file of signatures that were used, for the next process; without it one made ahead of time is good again after a restart
	Named   string   // what the operator's settings of this server begin with, for refusals; relay if unset
	Metrics string   // who may read /metrics: local (this machine, without a proxy), all or off; local if unset

	CertFile string // TLS with an own certificate: PEM files, read again when they change
	KeyFile  string
	ACME     *ACME // TLS with a certificate that is fetched

	HeaderIn  time.Duration // how long a request's header may take; 10 s if unset
	BodyIn    time.Duration // how long a body may keep its reader waiting, beyond what BodyRate gives it; 10 s if unset
	BodyRate  int           // bytes a second that a body must bring after BodyIn; 16 KiB if unset
	WriteIn   time.Duration // how long 256 KiB of an answer may take; 30 s if unset. A stream may be silent as long as it likes
	IdleIn    time.Duration // how long a connection may wait for its next request; 1 minute if unset
	Goodbye   time.Duration // how long requests under way may take once the server ends; 5 s if unset
	MaxHeader int           // bytes of a header; 32 KiB if unset
	MaxBody   int64         // bytes of a body, where Rules say nothing else; 1 MiB if unset
	MaxConns  int           // connections; 10,000 if unset
	MaxPeer   int           // connections of one address (IPv6: of one /64), but this machine's; 256 if unset

	Log *slog.Logger     // nothing is logged if unset
	Now func() time.Time // the clock that signed events are held against; time.Now if unset
}

// Server is a listener and what is mounted into it.
type Server struct {
	Config
	public   *url.URL // of Config.URL; nil if unset
	listener net.Listener
	tls      *certificates // nil without TLS
	names    names
	cross    cross
	replay   *replay
	meters   *meters
	mux      *http.ServeMux
	api      huma.API
	paper    huma.API // the same document, for what is only described
	leaving  chan struct{}

	registering sync.Mutex // one operation at a time
	mounting    []Rules    // of the one that is registered

	mu       sync.RWMutex
	mounts   map[string][]*mount
	checks   []check
	page     atomic.Pointer[http.HandlerFunc] // what Page mounts
	document atomic.Pointer[[]byte]
}

// Open opens the listener. Connections are answered once Run is called; mount before.
func Open(c Config) (*Server, error) {
	c = withDefaults(c)
	s := &Server{
		Config: c, mux: http.NewServeMux(), mounts: map[string][]*mount{}, leaving: make(chan struct{}), meters: newMeters(),
	}
	var err error
	if s.public, err = parsePublic(c.URL); err != nil {
		return nil, err
	}
	if s.cross, err = newCross(c.Origins); err != nil {
		return nil, err
	}
	switch c.Metrics {
	case "local", "all", "off":
	default:
		return nil, fmt.Errorf("metrics: %q is none of local, all, off", c.Metrics)
	}
	if s.listener, err = net.Listen("tcp", c.Listen); err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return nil, fmt.Errorf("listen on %s: another program uses the port: %w", c.Listen, err)
		}
		return nil, fmt.Errorf("listen on %s: %w", c.Listen, err)
	}
	if s.tls, err = newCertificates(c, s.listener.Addr().(*net.TCPAddr)); err != nil {
		s.listener.Close()
		return nil, err
	}
	if s.replay, err = newReplay(c.Used, c.Now()); err != nil {
		s.listener.Close()
		return nil, err
	}
	s.names = newNames(c.Hosts, s.public, s.tls)
	s.listener = newGate(s.listener, c.MaxConns, c.MaxPeer, s.meters)
	s.openAPI()
	s.furnish()
	return s, nil
}

func withDefaults(c Config) Config {
	set(&c.Title, "infernet")
	set(&c.Version, "unknown")
	set(&c.Metrics, "local")
	set(&c.Named, "relay")
	set(&c.HeaderIn, 10*time.Second)
	set(&c.BodyIn, 10*time.Second)
	set(&c.BodyRate, 16<<10)
	set(&c.WriteIn, 30*time.Second)
	set(&c.IdleIn, time.Minute)
	set(&c.Goodbye, 5*time.Second)
	set(&c.MaxHeader, 32<<10)
	set(&c.MaxBody, 1<<20)
	set(&c.MaxConns, 10_000)
	set(&c.MaxPeer, 256)
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

// furnish mounts what every server has.
func (s *Server) furnish() {
	s.Mount("GET /healthz", Rules{Access: Anyone, AnyHost: true}, http.HandlerFunc(s.serveHealth))
	s.Mount("GET /metrics", Rules{Access: Anyone}, s.metricsHandler())
	s.Mount("GET /openapi.json", Rules{Access: Anyone}, http.HandlerFunc(s.serveDocument))
	s.Mount("GET /docs", Rules{Access: Anyone}, http.HandlerFunc(s.serveDocs))
	s.Mount("GET /{$}", Rules{Access: Anyone}, http.HandlerFunc(s.serveFront))
	s.describeOwn()
}

// serveFront serves the page, or says what this is while none is mounted.
func (s *Server) serveFront(w http.ResponseWriter, r *http.Request) {
	if page := s.page.Load(); page != nil {
		page.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, "%s\n%s\nWhat this server answers: /docs\n", s.Title, s.About)
}

// URL is where this machine reaches the server, http://… or https://….
func (s *Server) URL() string {
	at := s.listener.Addr().(*net.TCPAddr)
	host := at.IP.String()
	if at.IP.IsUnspecified() { // every address of the machine: this one, too
		host = "127.0.0.1"
	}
	if s.tls == nil {
		return "http://" + net.JoinHostPort(host, fmt.Sprint(at.Port))
	}
	if s.public != nil { // the certificate is the name's
		return s.public.String()
	}
	if name := s.tls.name(); name != "" {
		host = name
	}
	if at.Port == 443 && !strings.Contains(host, ":") {
		return "https://" + host
	}
	return "https://" + net.JoinHostPort(host, fmt.Sprint(at.Port))
}

// Address is where this machine reaches the server, host:port, whatever its names lead to.
func (s *Server) Address() string {
	at := s.listener.Addr().(*net.TCPAddr)
	if at.IP.IsUnspecified() {
		return net.JoinHostPort("127.0.0.1", fmt.Sprint(at.Port))
	}
	return at.String()
}

// Close closes a listener that Run was never called for.
func (s *Server) Close() error {
	s.replay.close()
	return s.listener.Close()
}

type leavingKey struct{}

// Leaving is closed once the server is about to end: streams and WebSockets say goodbye. It is nil outside of a request.
func Leaving(ctx context.Context) <-chan struct{} {
	leaving, _ := ctx.Value(leavingKey{}).(chan struct{})
	return leaving
}

// Run serves until ctx ends. Then nothing new is taken, streams are told, and requests under way have Goodbye to end.
// Connections that were upgraded are their handlers' to end.
func (s *Server) Run(ctx context.Context) error {
	defer s.replay.close()
	server := &http.Server{
		Handler: s, ReadHeaderTimeout: s.HeaderIn, IdleTimeout: s.IdleIn, MaxHeaderBytes: s.MaxHeader,
		ErrorLog: slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug), // handshakes that fail, mostly
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.WithoutCancel(ctx), leavingKey{}, s.leaving)
		},
	}
	failed := make(chan error, 1)
	if s.tls == nil {
		go func() { failed <- server.Serve(s.listener) }()
	} else {
		server.TLSConfig = s.tls.config()
		go func() { failed <- server.ServeTLS(s.listener, "", "") }()
		defer s.tls.close()
		if err := s.tls.fetch(ctx); err != nil {
			server.Close()
			return errors.Join(err, ignoreClosed(<-failed))
		}
	}
	select {
	case err := <-failed:
		close(s.leaving)
		return err
	case <-ctx.Done():
	}
	close(s.leaving)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.Goodbye)
	defer cancel()
	if err := server.Shutdown(bounded); err != nil {
		s.Log.Info("requests were cut at the end", "err", err)
		server.Close()
	}
	return ignoreClosed(<-failed)
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
