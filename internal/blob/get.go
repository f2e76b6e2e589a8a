package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"infernet/events"
	"infernet/internal/guard"
)

// ErrWrong says that the bytes a server gave are not the file that was asked for.
var ErrWrong = errors.New("other bytes than the file's")

// Rewinder is a writer that can forget what it was given. Files can, too.
type Rewinder interface{ Rewind() error }

// Get writes a file, decrypted if the blob has a key, from the first of its servers that has it. fallback are servers to
// try after the blob's own. What was written before an error is to be thrown away; where to is an *os.File or a Rewinder,
// a server that gives other bytes does not keep the others from being asked. Errors: ErrWrong, *StatusError, guard's.
func (c *Client) Get(ctx context.Context, b events.Blob, to io.Writer, fallback ...string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Time, fmt.Errorf("%w: not done in %s", guard.ErrTooSlow, c.Time))
	defer cancel()
	if b.Size > c.Bytes {
		return fmt.Errorf("fetch file %.8s: %w: %d bytes, at most %d", b.Sum, guard.ErrTooLarge, b.Size, c.Bytes)
	}
	servers := slices.Clone(b.Servers)
	for _, server := range fallback {
		if !slices.Contains(servers, server) {
			servers = append(servers, server)
		}
	}
	some, err := c.get(ctx, b, to, servers)
	if err == nil || !some || len(servers) < 2 {
		return err
	}
	for _, server := range servers { // one of them lies; which one is seen when each is asked alone
		if ctx.Err() != nil || !rewound(to) {
			break
		}
		if _, again := c.get(ctx, b, to, []string{server}); again == nil {
			return nil
		}
	}
	return err
}

// rewound has a writer forget what it was given, if it can.
func rewound(to io.Writer) bool {
	switch to := to.(type) {
	case Rewinder:
		return to.Rewind() == nil
	case *os.File:
		_, err := to.Seek(0, io.SeekStart)
		return err == nil && to.Truncate(0) == nil
	}
	return false
}

// get asks servers for a file, each for what is missing still. some says whether any of it came.
func (c *Client) get(ctx context.Context, b events.Blob, to io.Writer, servers []string) (some bool, err error) {
	out := io.WriteCloser(nopCloser{to})
	if b.Key != "" {
		if out, err = decrypter(to, b.Key); err != nil {
			return false, err
		}
		defer out.Close() // in vain after the first
	}
	got := &download{c: c, b: b, to: out, hash: sha256.New()}
	var failed error
	for _, server := range servers {
		err := got.from(ctx, server)
		switch {
		case err == nil:
			failed = nil
		case failed == nil:
			failed = err
		default:
			failed = fmt.Errorf("%w; %w", failed, err)
		}
		if failed == nil || errors.Is(failed, errWrite) || ctx.Err() != nil {
			break
		}
	}
	switch some = got.have > 0; {
	case failed != nil:
		return some, fmt.Errorf("fetch file %.8s: %w", b.Sum, failed)
	case got.server == "":
		return some, fmt.Errorf("fetch file %.8s: no server is known that has it", b.Sum)
	case hex.EncodeToString(got.hash.Sum(nil)) != b.Sum:
		return some, fmt.Errorf("fetch file %.8s from %s: %w", b.Sum, got.server, ErrWrong)
	}
	if err := out.Close(); err != nil {
		return false, fmt.Errorf("file %.8s does not open with its key: %w", b.Sum, err) // these bytes are the file's
	}
	return some, nil
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// errWrite is wrapped by errors of the writer: another server would not help.
var errWrite = errors.New("write")

// download is a file on its way here. Another server goes on where the last one stopped.
type download struct {
	c      *Client
	b      events.Blob
	to     io.Writer
	hash   hash.Hash
	have   int64
	server string
	whole  bool
}

func (d *download) from(ctx context.Context, server string) error {
	d.server = server
	for try := 0; ; {
		before := d.have
		err := d.some(ctx, server)
		if err == nil || d.whole {
			return err
		}
		if d.have > before {
			try = 0
		}
		var no *StatusError
		if try++; errors.As(err, &no) || try > tries || errors.Is(err, errWrite) || errors.Is(err, guard.ErrBlocked) || errors.Is(err, guard.ErrTooLarge) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Duration(try*try) * 100 * time.Millisecond):
		}
	}
}

// some reads what comes over one connection.
func (d *download) some(ctx context.Context, server string) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	header := http.Header{"Accept-Encoding": {"identity"}}
	if d.have > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.have))
	}
	resp, err := d.c.ask(ctx, http.MethodGet, server, "/"+d.b.Sum, "", nil, header)
	if err != nil {
		return err
	}
	body := guard.Watch(resp.Body, d.c.Stall, func() { stop(fmt.Errorf("%w: nothing came for %s", guard.ErrTooSlow, d.c.Stall)) })
	defer body.Close()
	if d.have > 0 && resp.StatusCode != http.StatusPartialContent { // it does not know ranges: read over what is here
		if _, err := io.CopyN(io.Discard, body, d.have); err != nil {
			return err
		}
	}
	most := d.c.Bytes
	if d.b.Size > 0 {
		most = d.b.Size
	}
	if resp.ContentLength > most-d.have && resp.StatusCode == http.StatusPartialContent || resp.ContentLength > most {
		return fmt.Errorf("%w: at most %d bytes are expected", guard.ErrTooLarge, most)
	}
	n, err := io.Copy(writerFunc(func(p []byte) (int, error) {
		d.hash.Write(p)
		d.have += int64(len(p))
		if _, err := d.to.Write(p); err != nil {
			return 0, fmt.Errorf("%w: %w", errWrite, err)
		}
		return len(p), nil
	}), io.LimitReader(body, most-d.have+1))
	_ = n
	switch {
	case d.have > most:
		return fmt.Errorf("%w: more than %d bytes came", guard.ErrTooLarge, most)
	case err != nil:
		if why := context.Cause(ctx); why != nil && !errors.Is(err, errWrite) {
			return why
		}
		return err
	case d.b.Size > 0 && d.have < d.b.Size:
		return fmt.Errorf("%w: it ends after %d bytes of %d", ErrWrong, d.have, d.b.Size)
	}
	d.whole = true
	return nil
}
