// Package lnd is a wallet at an lnd node, spoken to over its REST API (lnd 0.18 or later).
//
// Its certificate is pinned and a macaroon says what may be asked: one that may only make invoices is enough for a provider.
// lnd pays an invoice once, however often it is asked, and its own books say what became of a payment. Begin with Open.
package lnd

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"

	"infernet/events"
	"infernet/wallet"
)

// Wallet is an lnd node.
type Wallet struct {
	at       string // host:port
	macaroon string // hex
	private  bool   // invoices name the channels that nobody announced
	http     *http.Client
	log      *slog.Logger
	life     context.Context // until Close
	close    context.CancelFunc
}

var (
	_ wallet.Opener    = Open
	_ wallet.Receiver  = (*Wallet)(nil)
	_ wallet.Payer     = (*Wallet)(nil)
	_ wallet.Holder    = (*Wallet)(nil)
	_ wallet.Sealer    = (*Wallet)(nil)
	_ wallet.Balancer  = (*Wallet)(nil)
	_ wallet.Networked = (*Wallet)(nil)
	_ wallet.Lister    = (*Wallet)(nil)
)

// Open opens the node at lnd://host:port?macaroon=…&cert=…: macaroon is a file, or its bytes in hex or base64; cert is a PEM
// file, or the certificate's bytes in base64, and may be missing where a public authority has signed it. private=true puts
// unannounced channels into invoices, which a node without a public channel needs. Nothing is asked of the node yet.
func Open(ctx context.Context, u *url.URL, log *slog.Logger) (wallet.Wallet, error) {
	a, err := parseAddress(u)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	life, cancel := context.WithCancel(ctx)
	return &Wallet{
		at: a.host, macaroon: a.macaroon, private: a.private, log: log, life: life, close: cancel,
		http: &http.Client{Transport: &http.Transport{
			TLSClientConfig: a.tls, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16, TLSHandshakeTimeout: askIn,
		}},
	}, nil
}

// Close ends what is listened for. Payments under way go on in the node.
func (w *Wallet) Close() error {
	w.close()
	w.http.CloseIdleConnections()
	return nil
}

// Describe says what it is, for people.
func (w *Wallet) Describe() string { return "lnd at " + w.at }

// Balance is what can be spent over Lightning: the node's side of its channels, less what is locked.
func (w *Wallet) Balance(ctx context.Context) (events.Msat, error) {
	var b struct {
		Local struct {
			Msat int64 `json:"msat,string"`
		} `json:"local_balance"`
	}
	err := w.get(ctx, "/v1/balance/channels", &b)
	return events.Msat(b.Local.Msat), err
}

// Info is what a node says of itself.
type Info struct {
	Version string `json:"version"`
	Alias   string `json:"alias"`
	Key     string `json:"identity_pubkey"`
	Color   string `json:"color"`
	Height  int64  `json:"block_height"`
	Block   string `json:"block_hash"`
	Synced  bool   `json:"synced_to_chain"`
	Chains  []struct {
		Network string `json:"network"`
	} `json:"chains"`
}

// Info asks the node what it is.
func (w *Wallet) Info(ctx context.Context) (*Info, error) {
	info := &Info{}
	return info, w.get(ctx, "/v1/getinfo", info)
}

// Network is the network of its invoices, as NIP-47 names it: mainnet, testnet, signet or regtest.
func (w *Wallet) Network(ctx context.Context) (string, error) {
	info, err := w.Info(ctx)
	if err != nil || len(info.Chains) == 0 {
		return "", err
	}
	return info.Chains[0].Network, nil
}

// Chain is the node's key, and how far it knows the chain.
func (w *Wallet) Chain(ctx context.Context) (key string, height int64, block string, err error) {
	info, err := w.Info(ctx)
	return info.Key, info.Height, info.Block, err
}
