// Package completions speaks the HTTP API that OpenAI made common, for the engines whose server speaks it.
//
// It promises that a delta is handed on the moment it arrives, that ending the context ends the request, and that every
// error says whose fault it is in the words of package engine. Begin with Server, which is a whole engine; Client below it
// is the wire.
package completions

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config says where a server is.
type Config struct {
	Base   *url.URL // such as http://127.0.0.1:8080/v1; the last part is the API's root
	Key    string   // bearer token; empty for none. It never appears in an error
	Socket string   // path of a unix socket to dial instead of Base's host; empty for TCP
}

// Client is a connection pool to one server.
type Client struct {
	base   string // API root without a slash at the end
	root   string // the server's root, where llama-server has its own endpoints
	name   string // how errors name the server
	key    string
	http   *http.Client
	dialer *http.Transport

	asked  sync.Mutex
	embeds map[string]bool // what a llama-server said about vectors, by server id
}

var _ Wire = (*Client)(nil)

// maxAnswer bounds a whole answer that is read at once (embeddings of many inputs are the largest), in bytes.
const maxAnswer = 64 << 20

// NewClient prepares connections; nothing is dialled yet.
func NewClient(c Config) *Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         dialer.DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 64,
		// llama-server hangs up after 5 s of silence: leave first, or a request meets a closing connection
		IdleConnTimeout:    4 * time.Second,
		DisableCompression: true, // a compressed stream arrives in lumps
		ForceAttemptHTTP2:  true,
	}
	base := strings.TrimSuffix(c.Base.String(), "/")
	name := c.Base.Host
	if c.Socket != "" {
		name = c.Socket
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", c.Socket)
		}
	}
	return &Client{
		base: base, root: strings.TrimSuffix(base, "/v1"), name: name, key: c.Key,
		http: &http.Client{Transport: transport}, dialer: transport,
	}
}

// Close drops idle connections.
func (c *Client) Close() { c.dialer.CloseIdleConnections() }

// String is how errors name the server.
func (c *Client) String() string { return c.name }

// Call sends in as JSON (nil: a GET) to an address and reads the answer into out.
func (c *Client) Call(ctx context.Context, address string, in, out any) error {
	var data []byte
	if in != nil {
		var err error
		if data, err = json.Marshal(in); err != nil {
			return fmt.Errorf("write request: %w", err)
		}
	}
	return c.answer(ctx, address, "application/json", data, out)
}

// answer sends data of a type (nil: a GET) and reads the answer, which is JSON, into out.
func (c *Client) answer(ctx context.Context, address, mime string, data []byte, out any) error {
	resp, err := c.post(ctx, address, mime, data)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return c.Lost(ctx, "read the answer of", err)
	}
	if len(body) > maxAnswer {
		return fmt.Errorf("%s answered more than %d bytes", c.name, maxAnswer)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s answered no JSON to %s: %w", c.name, address, err)
	}
	return nil
}

// Send starts a request with in as JSON. The error is mapped to the engine's; otherwise the status is 200 and the body is
// the caller's.
func (c *Client) Send(ctx context.Context, address string, in any) (*http.Response, error) {
	data, err := json.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("write request: %w", err)
	}
	return c.post(ctx, address, "application/json", data)
}

// post is Send for data of any type (nil: a GET).
func (c *Client) post(ctx context.Context, address, mime string, data []byte) (*http.Response, error) {
	resp, err := c.try(ctx, address, mime, data)
	if err != nil {
		return nil, c.Lost(ctx, "reach", err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what can be read of it is what there is to say
		return nil, c.refused(resp.StatusCode, said)
	}
	return resp, nil
}

// try sends a request, again if its connection was an old one that the server had hung up: llama-server does so after every
// stream without a word, and a POST on such a connection is not repeated by net/http.
func (c *Client) try(ctx context.Context, address, mime string, data []byte) (*http.Response, error) {
	for fresh := 0; ; {
		old := false
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { old = i.Reused || i.WasIdle }})
		resp, err := c.once(traced, address, mime, data)
		switch {
		case err == nil || ctx.Err() != nil || !hungUp(err):
			return resp, err
		case !old: // dialled for another request, and hung up before this one was sent: that does not happen again and again
			if fresh++; fresh > 2 || !strings.Contains(err.Error(), closedIdle) {
				return resp, err
			}
		}
		// each turn uses up an old connection; without any left, the next one is new
		c.dialer.CloseIdleConnections()
	}
}

// closedIdle is what net/http says of a connection that was hung up before a request was written to it.
const closedIdle = "server closed idle connection"

// hungUp says whether a request failed since its connection was gone.
func hungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || strings.Contains(err.Error(), closedIdle)
}

// once sends data (nil: a GET).
func (c *Client) once(ctx context.Context, address, mime string, data []byte) (*http.Response, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if data != nil {
		method, body = http.MethodPost, bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", address, err)
	}
	if data != nil {
		req.Header.Set("Content-Type", mime)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	return c.http.Do(req)
}
