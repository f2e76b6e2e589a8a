package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"time"
)

// Fetched is what came.
type Fetched struct {
	URL  string // after redirects
	Type string // its MIME type without parameters; application/octet-stream if the server does not say
	Size int64  // bytes written, unpacked
}

// Fetch writes what an address gives into to. Nothing is held in memory. Errors: ErrBlocked, ErrTooLarge, ErrBomb,
// ErrTooSlow, and what the network says; what was written before an error is to be thrown away.
func (g *Guard) Fetch(ctx context.Context, raw string, to io.Writer) (*Fetched, error) {
	u, err := g.Check(raw)
	if err != nil {
		return nil, fmt.Errorf("fetch %.200s: %w", raw, err)
	}
	got, err := g.fetch(ctx, u.String(), to)
	if err != nil {
		return nil, fmt.Errorf("fetch %.200s: %w", u.Redacted(), err)
	}
	return got, nil
}

func (g *Guard) fetch(ctx context.Context, address string, to io.Writer) (*Fetched, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, g.Time, fmt.Errorf("%w: not done in %s", ErrTooSlow, g.Time))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "gzip, identity;q=0.5")
	req.Header.Set("User-Agent", "infernet")
	resp, err := g.client.Do(req)
	if err != nil {
		return nil, cause(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server says %s", resp.Status)
	}
	if resp.ContentLength > g.Bytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, resp.ContentLength, g.Bytes)
	}
	body := Watch(resp.Body, g.Stall, func() { stop(fmt.Errorf("%w: nothing came for %s", ErrTooSlow, g.Stall)) })
	defer body.Close()
	unpacked, err := g.unpack(body, resp.Header.Get("Content-Encoding"))
	if err != nil {
		return nil, cause(ctx, err)
	}
	got := &Fetched{URL: resp.Request.URL.String(), Type: mediaType(resp.Header.Get("Content-Type"))}
	if got.Size, err = io.Copy(to, unpacked); err != nil {
		return nil, cause(ctx, err)
	}
	return got, nil
}

// cause says why the context ended, if that is why it failed.
func cause(ctx context.Context, err error) error {
	if why := context.Cause(ctx); why != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrBlocked) {
		return why
	}
	return err
}

func mediaType(header string) string {
	if name, _, err := mime.ParseMediaType(header); err == nil {
		return name
	}
	return "application/octet-stream"
}

// Watch calls stalled once nothing was read for so long. Close ends the watch and closes the reader.
func Watch(r io.ReadCloser, longest time.Duration, stalled func()) io.ReadCloser {
	return &watched{r, longest, time.AfterFunc(longest, stalled)}
}

type watched struct {
	io.ReadCloser
	longest time.Duration
	timer   *time.Timer
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if n > 0 && w.timer.Stop() {
		w.timer.Reset(w.longest)
	}
	return n, err
}

func (w *watched) Close() error {
	w.timer.Stop()
	return w.ReadCloser.Close()
}
