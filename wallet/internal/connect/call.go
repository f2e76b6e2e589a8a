package connect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"infernet/nips/nip47"
	"infernet/wallet"
)

// answerIn is how long a payment waits for its answer before the wallet's books are asked. Requests that move nothing are
// asked again, a little later each time: a relay does not keep what nobody heard.
const answerIn = 4 * time.Second

// clockSkew is how far the wallet's clock may be behind ours: its requests must not look expired.
const clockSkew = time.Minute

var askAgain = []time.Duration{1500 * time.Millisecond, 3 * time.Second, answerIn}

// ask is call for methods that may be repeated.
func (c *Client) ask(ctx context.Context, method string, params, result any) (err error) {
	for i, within := range askAgain {
		err = c.call(ctx, within, method, params, result)
		if !errors.Is(err, wallet.ErrUnavailable) || ctx.Err() != nil {
			return err
		}
		if errors.Is(err, errTooFast) && i < len(askAgain)-1 {
			select {
			case <-ctx.Done():
			case <-time.After(within):
			}
		}
	}
	return err
}

// call asks the service once. Errors: *nip47.Error mapped to wallet's, wallet.ErrUnavailable when no answer came.
func (c *Client) call(ctx context.Context, within time.Duration, method string, params, result any) error {
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	q, err := c.request(bounded, within, method, params)
	if err != nil {
		return err
	}
	defer c.drop(q)
	err = c.reply(ctx, bounded, q, result)
	var no *nip47.Error
	if errors.As(err, &no) && no.Code == nip47.CodeUnsupportedEncryption && c.scheme.refused(q.scheme) {
		return c.call(ctx, within, method, params, result)
	}
	return err
}

// question is a request whose answer is listened for, until drop.
type question struct {
	id     string
	method string
	scheme string
	heard  chan *nip47.Response
	sent   <-chan error
}

// request sends a request; the service is not to carry it out later than within. ctx bounds the sending.
func (c *Client) request(ctx context.Context, within time.Duration, method string, params any) (*question, error) {
	body, err := json.Marshal(params)
	if err == nil {
		body, err = json.Marshal(nip47.Request{Method: method, Params: body})
	}
	if err != nil {
		return nil, err
	}
	scheme, err := c.scheme.pick(ctx)
	if err != nil {
		return nil, err
	}
	out := nip47.Envelope{Kind: nip47.KindRequest, To: string(c.wallet), Encryption: scheme, Expires: time.Now().Add(within + clockSkew).Unix()}
	if out.Content, err = Encrypt(ctx, c.keys, scheme, c.wallet, string(body)); err != nil {
		return nil, err
	}
	ev := out.Event()
	if err := c.keys.Sign(ctx, ev); err != nil {
		return nil, err
	}
	q := &question{id: ev.ID, method: method, scheme: scheme, heard: make(chan *nip47.Response, 1)}
	c.mu.Lock()
	c.waiting[q.id] = q.heard
	c.mu.Unlock()
	q.sent = c.pool.Send(ctx, ev)
	return q, nil
}

func (c *Client) drop(q *question) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, q.id)
}

// reply waits for the answer until bounded ends; ctx is the caller's own.
func (c *Client) reply(ctx, bounded context.Context, q *question, result any) error {
	for {
		select {
		case err := <-q.sent:
			if err != nil {
				return fmt.Errorf("%w: %w", wallet.ErrUnavailable, err)
			}
			q.sent = nil
		case resp := <-q.heard:
			return q.read(resp, result)
		case <-bounded.Done():
			if ctx.Err() != nil {
				return fmt.Errorf("%w: %w", wallet.ErrUnavailable, context.Cause(ctx))
			}
			return fmt.Errorf("%w: no answer to %s", wallet.ErrUnavailable, q.method)
		}
	}
}

func (q *question) read(resp *nip47.Response, result any) error {
	if resp.Error != nil {
		return fromWire(resp.Error)
	}
	if err := json.Unmarshal(resp.Result, result); err != nil {
		return fmt.Errorf("%w: its answer to %s cannot be read: %w", wallet.ErrUnavailable, q.method, err)
	}
	return nil
}

// errTooFast says that the wallet wants to be asked more slowly.
var errTooFast = errors.New("the wallet is asked too often")

// fromWire gives a wallet's no the meaning that our callers test for.
func fromWire(e *nip47.Error) error {
	switch e.Code {
	case nip47.CodeInsufficientBalance, nip47.CodeQuotaExceeded:
		return fmt.Errorf("%w: %w", wallet.ErrInsufficient, e)
	case nip47.CodeNotFound:
		return fmt.Errorf("%w: %w", wallet.ErrNotFound, e)
	case nip47.CodePaymentFailed:
		return fmt.Errorf("%w: %w", wallet.ErrRejected, e)
	case nip47.CodeRateLimited:
		return fmt.Errorf("%w: %w: %w", wallet.ErrUnavailable, errTooFast, e)
	case nip47.CodeNotImplemented, nip47.CodeRestricted, nip47.CodeUnauthorized, nip47.CodeUnsupportedEncryption:
		return fmt.Errorf("%w: %w", wallet.ErrUnsupported, e)
	}
	return e
}

// lookup asks the wallet's books by payment hash: what recovers every lost answer.
func (c *Client) lookup(ctx context.Context, hash wallet.Hash) (*nip47.Transaction, error) {
	t := &nip47.Transaction{}
	return t, c.ask(ctx, nip47.LookupInvoice, nip47.Looking{PaymentHash: hash.String()}, t)
}
