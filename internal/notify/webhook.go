package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// Webhook tells notices by POST, as JSON. With a secret, a request is signed as Standard Webhooks says: headers webhook-id
// (the notice's, the same in every try), webhook-timestamp and webhook-signature, an HMAC-SHA256. Without one it carries an
// Authorization header with an event of kind 27235 that the node has signed (NIP-98, with the body's payload hash).
type Webhook struct {
	URL    string
	Secret string // whsec_ and base64, or any text
	Signer events.Signer

	// Client fetches what an address from outside names: it must refuse private addresses. Without one nothing is sent.
	Client *http.Client
	Now    func() time.Time // time.Now if nil
}

var _ Way = (*Webhook)(nil)

// kindAuth is NIP-98's.
const kindAuth = 27235

// ErrUnguarded says that a webhook has no client that is safe to send with.
var ErrUnguarded = errors.New("webhook: there is no guarded client to send with")

// CheckWebhook reads a webhook's address, or says what is wrong with it.
func CheckWebhook(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("webhook: it is no address") // the error of url would show it, with its password
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" {
		return nil, errors.New("webhook: want an https:// address")
	}
	return u, nil
}

// Name names the way.
func (w *Webhook) Name() string { return "webhook" }

// Send posts a notice. Any answer of 200 to 299 means that it is told.
func (w *Webhook) Send(ctx context.Context, n Notice) error {
	if w.Client == nil {
		return ErrUnguarded
	}
	if _, err := CheckWebhook(w.URL); err != nil {
		return err
	}
	body, err := json.Marshal(n)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("webhook: it is no address")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "infernet")
	if err := w.sign(req, n.ID, body); err != nil {
		return err
	}
	client := *w.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a GET elsewhere tells nobody
	resp, err := client.Do(req)
	if err != nil {
		var at *url.Error // without the address, which may hold a token
		if errors.As(err, &at) {
			err = at.Err
		}
		return fmt.Errorf("webhook: %w", err)
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // so that the connection can be used again
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("webhook: it answered %d", resp.StatusCode)
	}
	return nil
}

func (w *Webhook) sign(req *http.Request, id string, body []byte) error {
	now := time.Now()
	if w.Now != nil {
		now = w.Now()
	}
	if w.Secret != "" {
		req.Header.Set("webhook-id", id)
		req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
		req.Header.Set("webhook-signature", signature(w.Secret, id, now, body))
		return nil
	}
	if w.Signer == nil {
		return errors.New("webhook: there is neither a secret nor a key to sign with")
	}
	sum := sha256.Sum256(body)
	auth := &nostr.Event{Kind: kindAuth, CreatedAt: nostr.Timestamp(now.Unix()), Tags: nostr.Tags{
		{"u", w.URL}, {"method", req.Method}, {"payload", hex.EncodeToString(sum[:])},
	}}
	if err := w.Signer.Sign(req.Context(), auth); err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	req.Header.Set("Authorization", "Nostr "+base64.StdEncoding.EncodeToString([]byte(auth.String())))
	return nil
}

// signature is Standard Webhooks' v1: HMAC-SHA256 over id, time and body, joined by dots.
func signature(secret, id string, at time.Time, body []byte) string {
	key := []byte(secret)
	if coded, ok := strings.CutPrefix(secret, "whsec_"); ok {
		if decoded, err := base64.StdEncoding.DecodeString(coded); err == nil {
			key = decoded
		}
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
