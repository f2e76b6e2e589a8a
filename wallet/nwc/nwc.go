// Package nwc is any wallet that speaks Nostr Wallet Connect (NIP-47), by its address nostr+walletconnect://….
package nwc

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"infernet/nips/nip47"
	"infernet/wallet"
	"infernet/wallet/internal/connect"
)

// Wallet is a connected wallet.
type Wallet struct{ *connect.Client }

var (
	_ wallet.Opener   = Open
	_ wallet.Receiver = (*Wallet)(nil)
	_ wallet.Payer    = (*Wallet)(nil)
	_ wallet.Holder   = (*Wallet)(nil) // asks the wallet whether it can
	_ wallet.Balancer = (*Wallet)(nil)
	_ wallet.Lister   = (*Wallet)(nil)
)

// Open connects to the wallet of a NIP-47 address, in the background.
func Open(ctx context.Context, u *url.URL, log *slog.Logger) (wallet.Wallet, error) {
	uri, err := nip47.ParseURI(u)
	if err != nil {
		return nil, fmt.Errorf("wallet address: %w", err)
	}
	c, err := connect.New(ctx, uri, log)
	if err != nil {
		return nil, err
	}
	return &Wallet{c}, nil
}

// Describe says what it is, for people.
func (w *Wallet) Describe() string { return "a wallet at " + strings.Join(w.Relays(), ", ") }
