package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"infernet/events"
	"infernet/internal/durable"
	"infernet/internal/guard"
	"infernet/wallet"
)

// Config says how a server keeps files. Dir is needed.
type Config struct {
	Dir string // where files and their index are
	URL string // http(s)://…, as clients know the server; what they asked if unset. Tokens for one server need its name

	MaxBlob int64         // most bytes of one file; 4 GiB if unset
	Quota   int64         // most bytes that one key keeps here; 8 GiB if unset
	Total   int64         // most bytes altogether; 10 GiB if unset
	MinFree int64         // bytes of the disk that stay free; 1 GiB if unset
	Keep    time.Duration // how long a file is kept if nobody says less; 30 days if unset
	Uploads int           // uploads at once; 128 if unset
	PerKey  int           // and of one key; 8 if unset
	PerPeer int           // and from one address (IPv6: of one /64) that is not this machine's; 32 if unset
	Parts   int           // uploads that were cut and may go on; 256 if unset, the oldest makes room
	Idle    time.Duration // how long one may wait for that; 15 minutes if unset
	Stall   time.Duration // how long a line may be silent; 30 s if unset
	MinRate int64         // bytes a second that an upload must make on average; 16 KiB if unset

	// Price, if set, is what an upload of so many bytes costs (BUD-07); Wallet is paid. Free says whose cost nothing.
	Price  func(size int64) events.Msat
	Wallet wallet.Receiver
	Free   func(key events.PubKey) bool

	Moderators []events.PubKey // whose reports remove a file for good (BUD-09)
	Fetch      *guard.Guard    // how mirrored files are fetched; a guard of its own if unset

	Log *slog.Logger
	Now func() time.Time
}

// Server is an open server: an http.Handler for the root of a host.
type Server struct {
	Config
	store *store
	parts *parts
	fetch *guard.Guard

	mu      sync.Mutex
	closing bool
	active  sync.WaitGroup // requests, and the sweeping
	stop    context.CancelFunc
}

// Open opens the files of a folder; one process at a time. The server works until Close.
func Open(ctx context.Context, c Config) (*Server, error) {
	if c.Dir == "" {
		return nil, errors.New("blob: a folder is needed")
	}
	set(&c.MaxBlob, 4<<30)
	set(&c.Quota, 8<<30)
	set(&c.Total, 10<<30)
	set(&c.MinFree, 1<<30)
	set(&c.Keep, 30*24*time.Hour)
	set(&c.Uploads, 128)
	set(&c.PerKey, 8)
	set(&c.PerPeer, 32)
	set(&c.Parts, 256)
	set(&c.Idle, 15*time.Minute)
	set(&c.Stall, 30*time.Second)
	set(&c.MinRate, 16<<10)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Price != nil && c.Wallet == nil {
		return nil, errors.New("blob: uploads have a price, and there is no wallet")
	}
	for _, dir := range []string{c.Dir, filepath.Join(c.Dir, "parts"), filepath.Join(c.Dir, "files")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}
	s := &Server{Config: c, fetch: c.Fetch}
	if s.fetch == nil {
		s.fetch = guard.New(guard.Config{Bytes: c.MaxBlob, Time: time.Hour, Stall: c.Stall})
	}
	var err error
	if s.store, err = openStore(c); err != nil {
		return nil, fmt.Errorf("blob: %w", err)
	}
	s.parts = newParts(c, s.store)
	sweep, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.active.Go(func() { s.sweepEachMinute(sweep) })
	return s, nil
}

func set[T comparable](field *T, standard T) {
	var zero T
	if *field == zero {
		*field = standard
	}
}

// Close waits for the requests under way, which end when their connections do, and closes the files.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.stop()
	s.active.Wait()
	s.parts.close()
	s.fetch.Close()
	return s.store.close()
}

func (s *Server) sweepEachMinute(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.parts.sweep(s.Now())
			if err := s.store.sweep(s.Now()); err != nil {
				s.Log.Error("cannot sweep files", "err", err)
			}
		}
	}
}

// refusal is an answer that is no.
type refusal struct {
	status int
	reason string
	header http.Header
}

func (e *refusal) Error() string { return e.reason }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, reason: fmt.Sprintf(format, args...)}
}

// ServeHTTP answers /<sha256>, /upload, /mirror, /report and /list/<key>.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		http.Error(w, "the server goes away", http.StatusServiceUnavailable)
		return
	}
	s.active.Add(1)
	s.mu.Unlock()
	defer s.active.Done()
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*") // BUD-01
	h.Set("Access-Control-Expose-Headers", "X-Reason, X-Lightning, Upload-Offset, Sunset, Content-Range")
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Headers", "Authorization, *")
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, PUT, PATCH, DELETE")
		h.Set("Access-Control-Max-Age", "86400")
		h.Set("Allow", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if r.ContentLength != 0 { // whoever is refused may not hold the line with the body either
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.Stall))
	}
	err := s.serve(w, r)
	if err == nil {
		return
	}
	var no *refusal
	switch {
	case errors.As(err, &no):
	case errors.Is(err, durable.ErrFull), errors.Is(err, syscall.ENOSPC):
		s.Log.Error("cannot write", "err", err)
		no = refuse(http.StatusInsufficientStorage, "the server cannot write any more")
	default:
		s.Log.Error("cannot serve a file", "path", r.URL.Path, "err", err)
		no = refuse(http.StatusInternalServerError, "the server failed")
	}
	for name, values := range no.header {
		h[name] = values
	}
	h.Set("X-Reason", strings.Map(printable, no.reason))
	if r.ContentLength != 0 && r.ProtoMajor == 1 {
		h.Set("Connection", "close") // what is left of the body is not read as a request
	}
	http.Error(w, no.reason, no.status)
	if r.ContentLength != 0 {
		linger(w, r)
	}
}

// How long, and for how many bytes, a body that is refused is still read.
const (
	lingerFor  = time.Second
	lingerMost = 8 << 20
)

// linger sends the answer and reads on a little: a client that still sends would meet a reset line instead of the answer.
func linger(w http.ResponseWriter, r *http.Request) {
	line := http.NewResponseController(w)
	line.EnableFullDuplex() // else the server reads on before it sends: a client that waits for the answer would wait for ever
	if line.Flush() == nil && line.SetReadDeadline(time.Now().Add(lingerFor)) == nil {
		io.CopyN(io.Discard, r.Body, lingerMost)
	}
}

func printable(c rune) rune {
	if c < ' ' || c > '~' {
		return '?'
	}
	return c
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) error {
	name := strings.TrimPrefix(r.URL.Path, "/")
	get := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case name == "upload" && r.Method == http.MethodPut:
		return s.upload(w, r)
	case name == "upload" && r.Method == http.MethodHead:
		return s.mayUpload(w, r)
	case name == "mirror" && r.Method == http.MethodPut:
		return s.mirror(w, r)
	case name == "report" && r.Method == http.MethodPut:
		return s.report(w, r)
	case strings.HasPrefix(name, "list/") && get:
		return s.list(w, r, strings.TrimPrefix(name, "list/"))
	}
	sum, ok := splitName(name)
	switch {
	case !ok:
		return refuse(http.StatusNotFound, "there are only /<sha256>, /upload, /mirror, /report and /list/<key> here")
	case get:
		return s.retrieve(w, r, sum)
	case r.Method == http.MethodPatch:
		return s.resume(w, r, sum)
	case r.Method == http.MethodDelete:
		return s.remove(w, r, sum)
	}
	return refuse(http.StatusMethodNotAllowed, "%s is not answered here", r.Method)
}

// peerOf is whom a request comes from: an address, of IPv6 the /64 that everybody has. This machine's own are nobody in
// particular: a proxy's are everybody's.
func peerOf(r *http.Request) netip.Prefix {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	ip := at.Addr().Unmap().WithZone("")
	if err != nil || ip.IsLoopback() {
		return netip.Prefix{}
	}
	bits := ip.BitLen()
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // bits fit
	return p
}

// base is the server's address as the client knows it, without a slash at its end.
func (s *Server) base(r *http.Request) string {
	if s.URL != "" {
		return strings.TrimSuffix(s.URL, "/")
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// isMe says which names in a token mean this server. What the request says of its host does not count: whoever replays a
// token of another server chooses that.
func (s *Server) isMe(r *http.Request) func(name string) bool {
	var mine []string
	if u, err := url.Parse(s.URL); err == nil && u.Host != "" {
		mine = append(mine, strings.ToLower(u.Hostname()), strings.ToLower(u.Host))
	}
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		mine = append(mine, at.IP.String(), at.String())
		if at.IP.IsLoopback() {
			mine = append(mine, "localhost", fmt.Sprintf("localhost:%d", at.Port))
		}
	}
	return func(name string) bool { return slices.Contains(mine, name) }
}

func (s *Server) descriptor(r *http.Request, f *file) *Descriptor {
	d := &Descriptor{
		URL: s.base(r) + "/" + f.sum + events.Ending(f.kind), SHA256: f.sum, Size: f.size, Type: f.kind, Uploaded: f.at, Expires: f.expires,
	}
	d.NIP94 = [][]string{{"url", d.URL}, {"m", d.Type}, {"x", d.SHA256}, {"size", fmt.Sprint(d.Size)}}
	return d
}
