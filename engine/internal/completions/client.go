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
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
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
}

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

// call sends in as JSON (nil: a GET) to an address and reads the answer into out.
func (c *Client) call(ctx context.Context, address string, in, out any) error {
	resp, err := c.send(ctx, address, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return c.lost(ctx, "read the answer of", err)
	}
	if len(data) > maxAnswer {
		return fmt.Errorf("%s answered more than %d bytes", c.name, maxAnswer)
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("%s answered no JSON to %s: %w", c.name, address, err)
	}
	return nil
}

// send starts a request. The error is mapped to the engine's; otherwise the status is 200 and the body is the caller's.
func (c *Client) send(ctx context.Context, address string, in any) (*http.Response, error) {
	method, body := http.MethodGet, io.Reader(nil)
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("write request: %w", err)
		}
		method, body = http.MethodPost, bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", address, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(ctx, "reach", err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		data, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what can be read of it is what there is to say
		return nil, c.refused(resp.StatusCode, data)
	}
	return resp, nil
}
