package blob

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/guard"
	"infernet/wallet"
)

// ClientConfig says who moves files. Every field may be left out.
type ClientConfig struct {
	Signer  events.Signer // who uploads; nil: files are only fetched
	Trusted []string      // servers that the user named himself: they may be in private networks. Others are strangers'
	Bytes   int64         // largest file that is fetched; 4 GiB if unset
	Time    time.Duration // most time for one transfer; 1 hour if unset
	Stall   time.Duration // longest time in which nothing comes; 30 s if unset
	// Pay pays a server that asks for it; nil: such uploads fail.
	Pay func(ctx context.Context, bolt11 string, size int64) (wallet.Preimage, error)
	Log *slog.Logger
	Now func() time.Time
}

// Client moves files to and from servers. Its methods may be called at the same time.
type Client struct {
	ClientConfig
	guard *guard.Guard
	http  *http.Client
}

// NewClient makes a client. Close it when it is done.
func NewClient(c ClientConfig) *Client {
	set(&c.Bytes, 4<<30)
	set(&c.Time, time.Hour)
	set(&c.Stall, 30*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	limits := guard.Config{Bytes: c.Bytes, Time: c.Time, Stall: c.Stall}
	for _, server := range c.Trusted {
		if u, err := url.Parse(server); err == nil {
			port := u.Port()
			if port == "" {
				port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
			}
			limits.Trusted = append(limits.Trusted, net.JoinHostPort(u.Hostname(), port))
		}
	}
	cl := &Client{ClientConfig: c, guard: guard.New(limits)}
	guarded := *cl.guard.Client()
	check := guarded.CheckRedirect
	guarded.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		// a redirect leads to the same file (BUD-01), so not to what else a trusted server has
		if sum, ok := splitName(strings.TrimPrefix(via[0].URL.Path, "/")); !ok || !strings.Contains(req.URL.Path, sum) {
			return fmt.Errorf("%w: redirected to another file", guard.ErrBlocked)
		}
		return check(req, via)
	}
	cl.http = &guarded
	return cl
}

// Close closes connections that wait for more.
func (c *Client) Close() { c.guard.Close() }

// StatusError is a server's no.
type StatusError struct {
	Server string
	Status int
	Reason string // the server's words
	Header http.Header
}

func (e *StatusError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("%s says %d %s", e.Server, e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("%s says %d: %.300s", e.Server, e.Status, e.Reason)
}

// answerIn is how many times Stall a server may take to answer: it reads what it has, or writes it to its disk.
const answerIn = 4

// ask sends one request to a server, which may be silent for Stall while it takes the body. verb "" needs no token. The answer's body is the caller's to close.
func (c *Client) ask(ctx context.Context, method, server, path, verb string, body io.Reader, header http.Header, sums ...string) (resp *http.Response, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	silence := time.AfterFunc(answerIn*c.Stall, func() { stop(fmt.Errorf("%w: %s is silent", guard.ErrTooSlow, server)) })
	defer func() {
		if silence.Stop(); err != nil {
			stop(nil)
			return
		}
		resp.Body = &closing{resp.Body, func() { stop(nil) }}
	}()
	u, err := c.guard.Check(server)
	if err != nil {
		return nil, fmt.Errorf("server %.200s: %w", server, err)
	}
	address := u.Scheme + "://" + u.Host
	if sized, ok := body.(*io.SectionReader); ok {
		body = &heard{sized, func(longest int) { silence.Reset(time.Duration(longest) * c.Stall) }}
	}
	req, err := http.NewRequestWithContext(ctx, method, address+path, body)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	if sized, ok := body.(interface{ Size() int64 }); ok {
		if req.ContentLength = sized.Size(); req.ContentLength == 0 {
			req.Body = http.NoBody
		}
		req.Header.Set("Expect", "100-continue") // a no should come before the bytes go
	}
	if verb != "" {
		if c.Signer == nil {
			return nil, errors.New("files are only fetched here: there is no key to sign with")
		}
		auth, err := token(ctx, c.Signer, c.Now(), verb, u.Hostname(), sums...)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Authorization", auth)
	}
	if resp, err = c.http.Do(req); err != nil {
		if why := context.Cause(ctx); why != nil {
			return nil, why
		}
		return nil, err
	}
	if resp.StatusCode >= 300 {
		defer resp.Body.Close()
		reason := resp.Header.Get("X-Reason")
		if reason == "" && method != http.MethodHead {
			said, _ := io.ReadAll(io.LimitReader(resp.Body, 300))
			reason = strings.TrimSpace(string(said))
		}
		return nil, &StatusError{address, resp.StatusCode, reason, resp.Header}
	}
	return resp, nil
}

// heard tells each time that more of a body is wanted, and how many times Stall may pass then.
type heard struct {
	*io.SectionReader
	tell func(longest int)
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.SectionReader.Read(p)
	if h.tell(1); err != nil {
		h.tell(answerIn)
	}
	return n, err
}

// WriteTo would pass Read by.
func (h *heard) WriteTo(to io.Writer) (int64, error) { return io.Copy(to, struct{ io.Reader }{h}) }

// closing calls a function once its reader is closed.
type closing struct {
	io.ReadCloser
	then func()
}

func (c *closing) Close() error {
	defer c.then()
	return c.ReadCloser.Close()
}

// maxAnswer is how many bytes of JSON a server's answer may have.
const maxAnswer = 4 << 20

func answer(resp *http.Response, to any) error {
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(to); err != nil {
		return fmt.Errorf("%s: an answer that is not read: %w", resp.Request.URL.Host, err)
	}
	return nil
}

// List lists the signer's files on a server, newest first.
func (c *Client) List(ctx context.Context, server string) (all []*Descriptor, err error) {
	if c.Signer == nil {
		return nil, errors.New("there is no key whose files could be listed")
	}
	const page = 500
	for cursor := ""; ; {
		query := url.Values{"limit": {strconv.Itoa(page)}}
		if cursor != "" {
			query.Set("cursor", cursor)
		}
		resp, err := c.ask(ctx, http.MethodGet, server, "/list/"+string(c.Signer.PublicKey())+"?"+query.Encode(), verbList, nil, nil)
		if err != nil {
			return nil, err
		}
		var some []*Descriptor
		if err := answer(resp, &some); err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < page || len(all) > 100*page {
			return all, nil
		}
		cursor = some[len(some)-1].SHA256
	}
}

// Delete tells a server that the signer wants a file no more.
func (c *Client) Delete(ctx context.Context, server, sum string) error {
	resp, err := c.ask(ctx, http.MethodDelete, server, "/"+sum, verbDelete, nil, nil, sum)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Report tells a server what is wrong with a file (BUD-09, NIP-56): of what sort it is, and why in words. A moderator's
// report removes the file for good.
func (c *Client) Report(ctx context.Context, server, sum, sort, why string) error {
	ev := &nostr.Event{Kind: kindReport, CreatedAt: nostr.Timestamp(c.Now().Unix()), Tags: nostr.Tags{{"x", sum, sort}}, Content: why}
	if err := c.Signer.Sign(ctx, ev); err != nil {
		return err
	}
	text := strings.NewReader(ev.String())
	resp, err := c.ask(ctx, http.MethodPut, server, "/report", "", text, http.Header{"Content-Type": {"application/json"}})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// ServerOf is the file server beside a relay: the same host, by HTTP.
func ServerOf(relay string) string {
	if rest, ok := strings.CutPrefix(relay, "ws"); ok {
		relay = "http" + rest
	}
	u, err := url.Parse(relay)
	if err != nil {
		return relay
	}
	return u.Scheme + "://" + u.Host
}
