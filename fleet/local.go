package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"infernet/events"
)

// Local is a node of this machine, reached over its socket: who may enter its folder is its owner.
type Local struct{ http *http.Client }

// Caller is who can have a node do something: an Owner through relays, or Local.
type Caller interface {
	Call(ctx context.Context, node events.PubKey, method string, params, result any) error
}

var (
	_ Caller = (*Owner)(nil)
	_ Caller = (*Local)(nil)
)

// ErrNoNode says that no node runs here.
var ErrNoNode = errors.New("no node runs here")

// socketName is the socket's file in its folder, which only the owner may enter.
const socketName = "socket"

// maxCommand bounds what a command of this machine may say, in bytes.
const maxCommand = 1 << 20

// Serve answers the methods on a socket in a folder, until ctx ends. No other process may serve the same folder.
func Serve(ctx context.Context, dir string, methods map[string]Method) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil { // the socket's guard
		return err
	}
	path := filepath.Join(dir, socketName)
	const longest = 103 // bytes, on macOS; 107 on Linux
	if len(path) > longest {
		return fmt.Errorf("%s is too long for a socket, %d bytes at most", path, longest)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{method}", func(w http.ResponseWriter, r *http.Request) {
		var out answer
		params, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommand))
		if err != nil {
			out.Error = Refuse(CodeInvalid, "%v", err)
		} else {
			out.Result, out.Error = respond(r.Context(), methods, r.PathValue("method"), params)
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(out)
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return context.Cause(ctx)
}

// Dial reaches the node that serves a folder. ErrNoNode if there is none.
func Dial(ctx context.Context, dir string) (*Local, error) {
	path := filepath.Join(dir, socketName)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	if err != nil {
		return nil, fmt.Errorf("%w, out of %s", ErrNoNode, filepath.Dir(dir))
	}
	conn.Close()
	return &Local{&http.Client{Transport: &http.Transport{DialContext: dial, Proxy: nil, MaxIdleConns: 1}}}, nil
}

// Call has the node do something. There is one node: which is asked for does not matter. Errors: *Error.
func (l *Local) Call(ctx context.Context, _ events.PubKey, method string, params, result any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://node/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := l.http.Do(req)
	if err != nil {
		return fmt.Errorf("the node of this machine: %w", err)
	}
	defer resp.Body.Close()
	var out answer
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return fmt.Errorf("the node of this machine: %w", err)
	}
	if out.Error != nil {
		return out.Error
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(out.Result, result)
}

// Close ends the connection.
func (l *Local) Close() error {
	l.http.CloseIdleConnections()
	return nil
}

// Direct calls methods of this process.
type Direct map[string]Method

// Call does something at once. Errors: *Error.
func (d Direct) Call(ctx context.Context, _ events.PubKey, method string, params, result any) error {
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	out, no := respond(ctx, d, method, body)
	if no != nil {
		return no
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(out, result)
}
