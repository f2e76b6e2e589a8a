// Package play is play money: a NIP-47 wallet service on a relay, with real signed invoices and a durable ledger, and the
// wallet that is its client. It says that it is play money, in its alias and in the network of its invoices (regtest).
//
// Begin with NewService for the bank, and Open for a wallet at it.
package play

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"

	"infernet/nips/nip47"
	"infernet/wallet"
	"infernet/wallet/internal/connect"
)

// Wallet is an account at a play-money service.
type Wallet struct{ *connect.Client }

var (
	_ wallet.Opener   = Open
	_ wallet.Receiver = (*Wallet)(nil)
	_ wallet.Payer    = (*Wallet)(nil)
	_ wallet.Holder   = (*Wallet)(nil)
	_ wallet.Sealer   = (*Wallet)(nil)
	_ wallet.Balancer = (*Wallet)(nil)
	_ wallet.Lister   = (*Wallet)(nil)
)

// Address is the URL of an account: play+ws://host:port/?wallet=<service key>&secret=<the account's secret key>, and
// &relay=… for each further relay. The service opens the account when it first hears of it.
func Address(relays []string, service, secret string) (string, error) {
	if len(relays) == 0 {
		return "", errors.New("play money: no relay is named")
	}
	u, err := url.Parse(relays[0])
	if err != nil {
		return "", err
	}
	u.Scheme = "play+" + u.Scheme
	if u.Path == "" {
		u.Path = "/"
	}
	q := url.Values{"wallet": {service}, "secret": {secret}}
	if len(relays) > 1 {
		q["relay"] = relays[1:]
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// Open opens an account by its URL (see Address), in the background.
func Open(ctx context.Context, u *url.URL, log *slog.Logger) (wallet.Wallet, error) {
	if u.Scheme != "play+ws" && u.Scheme != "play+wss" {
		return nil, fmt.Errorf("play money: the address begins with play+ws:// or play+wss://, not %s:", u.Scheme)
	}
	relay := url.URL{Scheme: u.Scheme[len("play+"):], Host: u.Host, Path: u.Path}
	as := url.URL{Host: u.Query().Get("wallet"), RawQuery: url.Values{
		"relay": append([]string{relay.String()}, u.Query()["relay"]...), "secret": {u.Query().Get("secret")},
	}.Encode()}
	uri, err := nip47.ParseURI(&as)
	if err != nil {
		return nil, fmt.Errorf("play money: %w", err)
	}
	c, err := connect.New(ctx, uri, log)
	if err != nil {
		return nil, err
	}
	return &Wallet{c}, nil
}

// Describe says what it is, for people.
func (w *Wallet) Describe() string { return "play money at " + w.Relays()[0] }

// SealedInvoice makes an invoice for a preimage that the caller chose.
func (w *Wallet) SealedInvoice(ctx context.Context, ask wallet.InvoiceRequest, r wallet.Preimage) (*wallet.Invoice, error) {
	invoice, err := w.Make(ctx, ask, r.String())
	if err == nil && invoice.Hash != r.Hash() {
		return nil, fmt.Errorf("%w: the service ignored the chosen preimage", wallet.ErrUnsupported)
	}
	return invoice, err
}
