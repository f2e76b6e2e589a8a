package lnd

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"infernet/wallet"
)

const (
	askIn   = 15 * time.Second // how long the node has to answer what needs nobody else
	maxSaid = 4 << 20          // bytes of one answer
)

// refusal is an error that the node answered with: a gRPC code and text.
type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// Codes of gRPC that say nothing of what was asked.
const (
	canceled    = 1
	unavailable = 14
)

func (r *refusal) Error() string { return "lnd says: " + r.Message }

// says is whether the node's answer is an error with this text in it.
func says(err error, texts ...string) bool {
	var r *refusal
	if !errors.As(err, &r) {
		return false
	}
	for _, text := range texts {
		if strings.Contains(r.Message, text) {
			return true
		}
	}
	return false
}

func (w *Wallet) get(ctx context.Context, path string, result any) error {
	return w.call(ctx, http.MethodGet, path, nil, result)
}

func (w *Wallet) post(ctx context.Context, path string, params, result any) error {
	return w.call(ctx, http.MethodPost, path, params, result)
}

// call asks the node once. Errors: ErrUnavailable when no answer came, ErrUnsupported when the macaroon does not allow it,
// *refusal else.
func (w *Wallet) call(ctx context.Context, method, path string, params, result any) error {
	ctx, cancel := context.WithTimeout(ctx, askIn)
	defer cancel()
	body, err := w.open(ctx, method, path, params)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxSaid)).Decode(result); err != nil {
		return fmt.Errorf("%w: the answer of %s: %w", wallet.ErrUnavailable, w.Describe(), err)
	}
	return nil
}

// open sends a request and gives the body of an answer that is no error. It ends with ctx, or Close.
func (w *Wallet) open(ctx context.Context, method, path string, params any) (io.ReadCloser, error) {
	var body io.Reader
	if params != nil {
		raw, err := json.Marshal(params)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(raw)
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(w.life, cancel)
	end := func() { stop(); cancel() }
	req, err := http.NewRequestWithContext(ctx, method, "https://"+w.at+path, body)
	if err != nil {
		end()
		return nil, err
	}
	req.Header.Set("Grpc-Metadata-macaroon", w.macaroon)
	resp, err := w.http.Do(req)
	if err != nil {
		end()
		return nil, fmt.Errorf("%w: %s: %w", wallet.ErrUnavailable, w.Describe(), reason(err))
	}
	if resp.StatusCode == http.StatusOK {
		return &answer{resp.Body, end}, nil
	}
	defer end()
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxSaid))
	r := &refusal{}
	if json.Unmarshal(said, r) != nil || r.Message == "" {
		var nested struct {
			Error *refusal `json:"error"` // of a stream
		}
		if json.Unmarshal(said, &nested) != nil || nested.Error == nil {
			return nil, fmt.Errorf("%w: %s answers %s and not as lnd does: the port wanted is the one of restlisten", wallet.ErrUnavailable, w.Describe(), resp.Status)
		}
		r = nested.Error
	}
	return nil, w.meaning(r)
}

// answer is a body whose end ends its request.
type answer struct {
	io.ReadCloser
	end func()
}

func (a *answer) Close() error { defer a.end(); return a.ReadCloser.Close() }

// meaning gives what the node says about itself, rather than about an invoice, its meaning for our callers.
func (w *Wallet) meaning(r *refusal) error {
	switch {
	case says(r, "wallet locked", "wallet not created"):
		return fmt.Errorf("%w: %s is locked: nothing moves until it is opened; hint: lncli unlock", wallet.ErrUnavailable, w.Describe())
	case says(r, "waiting to start", "process of starting", "already unlocked", "shutting down", "exiting") || r.Code == unavailable || r.Code == canceled:
		return fmt.Errorf("%w: %s is starting or stopping: %s", wallet.ErrUnavailable, w.Describe(), r.Message)
	case says(r, "permission denied"):
		return fmt.Errorf("%w: the macaroon for %s does not allow it; hint: lncli bakemacaroon info:read invoices:read invoices:write offchain:read offchain:write", wallet.ErrUnsupported, w.Describe())
	case says(r, "macaroon", "verification failed"):
		return fmt.Errorf("%w: %s does not accept the macaroon: %s", wallet.ErrUnsupported, w.Describe(), r.Message)
	}
	return r
}

// reason makes the certificate's errors say what to do.
func reason(err error) error {
	if strings.Contains(err.Error(), "x509:") || strings.Contains(err.Error(), "tls:") {
		return fmt.Errorf("%w: is cert= the tls.cert of this node?", err)
	}
	return err
}

// stream opens a request whose answer is many objects, one a line. next gives the following one; io.EOF at the end,
// ErrUnavailable when it broke.
func (w *Wallet) stream(ctx context.Context, method, path string, params any) (next func(to any) error, end func(), err error) {
	body, err := w.open(ctx, method, path, params)
	if err != nil {
		return nil, nil, err
	}
	lines := json.NewDecoder(body)
	next = func(to any) error {
		var line struct {
			Result json.RawMessage `json:"result"`
			Error  *refusal        `json:"error"`
		}
		err := lines.Decode(&line)
		switch {
		case errors.Is(err, io.EOF):
			return io.EOF
		case err != nil:
			return fmt.Errorf("%w: %s broke off: %w", wallet.ErrUnavailable, w.Describe(), err)
		case line.Error != nil:
			return w.meaning(line.Error)
		}
		if err := json.Unmarshal(line.Result, to); err != nil {
			return fmt.Errorf("%w: the answer of %s: %w", wallet.ErrUnavailable, w.Describe(), err)
		}
		return nil
	}
	return next, func() { body.Close() }, nil
}

// Bytes stand in lnd's JSON in base64, and in its paths in base64 for URLs.
func b64(b []byte) string         { return base64.StdEncoding.EncodeToString(b) }
func inPath(h wallet.Hash) string { return base64.URLEncoding.EncodeToString(h[:]) }
