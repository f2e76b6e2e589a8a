package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"infernet/events"
	"infernet/internal/guard"
)

// tries is how often a transfer that does not get on is tried.
const tries = 4

// Source is a file to upload: its bytes, which are read more than once, and what is known of it.
type Source struct {
	Data    io.ReaderAt
	Size    int64
	Mime    string    // in clear
	Key     string    // of Encrypt, if Data is encrypted
	Expires time.Time // until when it is wanted; as long as the server keeps files if zero
	Purse   *Purse    // pays a server that asks for it; the client's if unset
}

// Put uploads a file to the first of the servers that takes it. What was cut goes on where it stood.
func (c *Client) Put(ctx context.Context, servers []string, src Source) (events.Blob, error) {
	sum, err := sumOf(src)
	b := events.Blob{Sum: sum, Size: src.Size, Mime: src.Mime, Key: src.Key}
	if err != nil {
		return b, err
	}
	var failed error
	for _, server := range servers {
		if failed = c.put(ctx, server, src, sum); failed == nil {
			b.Servers = []string{server}
			return b, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	if failed == nil {
		failed = errors.New("there is no server to upload to")
	}
	return b, fmt.Errorf("upload: %w", failed)
}

func sumOf(src Source) (string, error) {
	h := sha256.New()
	n, err := io.Copy(h, io.NewSectionReader(src.Data, 0, src.Size))
	if err == nil && n != src.Size {
		err = io.ErrUnexpectedEOF
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

func (c *Client) put(ctx context.Context, server string, src Source, sum string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.Time, fmt.Errorf("%w: not done in %s", guard.ErrTooSlow, c.Time))
	defer cancel()
	var proof string
	best := int64(-1)
	for try := 0; ; {
		offset, invoice, err := c.standing(ctx, server, src, sum)
		if err == nil && invoice != "" && proof == "" {
			if proof, err = c.pay(ctx, src, invoice); err != nil {
				return err
			}
		}
		if err == nil {
			if offset > best {
				best, try = offset, 0
			}
			if err = c.send(ctx, server, src, sum, offset, proof); err == nil {
				return nil
			}
		}
		var no *StatusError
		again := !errors.As(err, &no) || no.Status == http.StatusConflict || no.Status == http.StatusBadRequest && offset > 0
		if try++; !again || try > tries || errors.Is(err, guard.ErrBlocked) || ctx.Err() != nil {
			return err
		}
		c.Log.Debug("an upload was cut, goes on", "server", server, "sum", sum, "at", offset, "err", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Duration(try*try) * 100 * time.Millisecond):
		}
	}
}

// standing asks a server how much of a file it has, and what the upload costs (BUD-06). A server that does not say has
// nothing of it.
func (c *Client) standing(ctx context.Context, server string, src Source, sum string) (offset int64, invoice string, err error) {
	header := http.Header{"X-Sha-256": {sum}, "X-Content-Length": {strconv.FormatInt(src.Size, 10)}, "X-Content-Type": {src.outside()}}
	var said http.Header
	resp, err := c.ask(ctx, http.MethodHead, server, "/upload", verbUpload, nil, header, sum)
	var no *StatusError
	switch {
	case err == nil:
		resp.Body.Close()
		said = resp.Header
	case !errors.As(err, &no):
		return 0, "", err
	case no.Status == http.StatusPaymentRequired:
		if said, invoice = no.Header, no.Header.Get("X-Lightning"); invoice == "" {
			return 0, "", fmt.Errorf("%w, and takes no Lightning", err)
		}
	case no.Status == http.StatusNotFound || no.Status == http.StatusMethodNotAllowed || no.Status == http.StatusNotImplemented:
		return 0, "", nil
	default:
		return 0, "", err
	}
	offset, _ = strconv.ParseInt(said.Get("Upload-Offset"), 10, 64)
	if offset < 0 || offset >= src.Size { // all there: the PUT says so
		offset = 0
	}
	return offset, invoice, nil
}

// outside is the type that the server may know.
func (src Source) outside() string {
	if src.Key != "" || src.Mime == "" {
		return unknownType
	}
	return src.Mime
}

// send sends a file, or its rest.
func (c *Client) send(ctx context.Context, server string, src Source, sum string, offset int64, proof string) error {
	header := http.Header{"X-Sha-256": {sum}, "Content-Type": {src.outside()}}
	if !src.Expires.IsZero() {
		header.Set("X-Expiration", strconv.FormatInt(src.Expires.Unix(), 10))
	}
	if proof != "" {
		header.Set("X-Lightning", proof)
	}
	method, path := http.MethodPut, "/upload"
	if offset > 0 {
		method, path = http.MethodPatch, "/"+sum
		header.Set("Upload-Type", src.outside())
		header.Set("Content-Type", unknownType)
		header.Set("Upload-Offset", strconv.FormatInt(offset, 10))
		header.Set("Upload-Length", strconv.FormatInt(src.Size, 10))
	}
	resp, err := c.ask(ctx, method, server, path, verbUpload, io.NewSectionReader(src.Data, offset, src.Size-offset), header, sum)
	if err != nil {
		return err
	}
	if resp.StatusCode == http.StatusNoContent {
		resp.Body.Close()
		return errors.New("the server wants more bytes than there are")
	}
	var d Descriptor
	if err := answer(resp, &d); err != nil {
		return err
	}
	if d.SHA256 != sum {
		return fmt.Errorf("%s took another file than it was sent", server)
	}
	return nil
}

func (c *Client) pay(ctx context.Context, src Source, invoice string) (proof string, err error) {
	pay := c.Pay
	if src.Purse != nil {
		pay = src.Purse.Pay
	}
	if pay == nil {
		return "", errors.New("the server wants to be paid, and there is no wallet")
	}
	r, err := pay(ctx, strings.Trim(invoice, `"`), src.Size)
	if err != nil {
		return "", fmt.Errorf("pay for the upload: %w", err)
	}
	return r.String(), nil
}
