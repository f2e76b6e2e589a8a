//go:build cgo

// Package breez is the Breez SDK (Greenlight) as a wallet: a node of one's own in Breez's cloud, whose keys stay here. Its
// upstream service is deprecated; docs/operate.md says what to use instead.
//
// It is a module of its own, with a program of its own that puts NIP-47 in front of it: the SDK is a shared library of 27 MB
// that nothing else here needs. It receives, pays, sells by a chosen preimage and shows its books; it cannot lock payments.
// What became of a payment is asked of the SDK's books by its hash before anything is sent again. Begin with Open.
package breez

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	sdk "github.com/breez/breez-sdk-go/breez_sdk"

	"infernet/events"
	"infernet/wallet"
)

// services is what is used of the SDK.
type services interface {
	NodeInfo() (sdk.NodeState, error)
	ReceivePayment(sdk.ReceivePaymentRequest) (sdk.ReceivePaymentResponse, error)
	SendPayment(sdk.SendPaymentRequest) (sdk.SendPaymentResponse, error)
	PaymentByHash(hash string) (*sdk.Payment, error)
	ListPayments(sdk.ListPaymentsRequest) ([]sdk.Payment, error)
	Disconnect() error
}

// Wallet is an open wallet.
type Wallet struct {
	sdk     services
	book    *book
	network string
	log     *slog.Logger
	now     func() time.Time
	poll    time.Duration // how often the SDK's books are asked for what is awaited

	mu     sync.Mutex
	paying map[wallet.Hash]*sync.Mutex
	news   chan struct{} // closed, and made anew, when the SDK tells of something
}

var (
	_ wallet.Wallet    = (*Wallet)(nil)
	_ wallet.Receiver  = (*Wallet)(nil)
	_ wallet.Payer     = (*Wallet)(nil)
	_ wallet.Sealer    = (*Wallet)(nil)
	_ wallet.Balancer  = (*Wallet)(nil)
	_ wallet.Lister    = (*Wallet)(nil)
	_ wallet.Networked = (*Wallet)(nil)
)

// Fees are bounded when the wallet is opened, for every payment: 1 %, and 5 sat whatever that is.
const (
	feePercent = 1.0
	feeExempt  = 5 * events.Sat
)

// Address is what breez:///folder?… says.
type Address struct {
	Dir      string // of the SDK's data
	Mnemonic string
	Key      string // of the API, by mail from Breez
	Invite   string // invite code of Greenlight; or a certificate:
	Dev      *sdk.GreenlightCredentials
	Network  string // mainnet or testnet
}

// ParseAddress reads breez:///folder?mnemonic=FILE&key=FILE and one of invite=CODE, or developer_key=FILE&developer_cert=FILE;
// network=testnet is for Breez's staging. Secrets stand in files, readable by their owner only.
func ParseAddress(u *url.URL) (a Address, err error) {
	q := u.Query()
	if u.Scheme != "breez" || u.Host != "" || !strings.HasPrefix(u.Path, "/") || u.Path == "/" {
		return a, errors.New("breez: an address is breez:///folder?mnemonic=FILE&key=FILE&invite=CODE")
	}
	a.Dir, a.Invite, a.Network = filepath.Clean(u.Path), q.Get("invite"), or(q.Get("network"), "mainnet")
	known := map[string]bool{"mnemonic": true, "key": true, "invite": true, "developer_key": true, "developer_cert": true, "network": true}
	for name, values := range q {
		if !known[name] || len(values) > 1 {
			return a, fmt.Errorf("breez: %q is unknown, or stands twice", name)
		}
	}
	if a.Network != "mainnet" && a.Network != "testnet" {
		return a, fmt.Errorf("breez: network %q is neither mainnet nor testnet", a.Network)
	}
	if a.Mnemonic, err = secret(q.Get("mnemonic"), "mnemonic"); err != nil {
		return a, err
	}
	if a.Key, err = secret(q.Get("key"), "key"); err != nil {
		return a, err
	}
	dev := q.Get("developer_key") != "" || q.Get("developer_cert") != ""
	if dev == (a.Invite != "") {
		return a, errors.New("breez: one of invite=CODE, or developer_key=FILE with developer_cert=FILE, is needed")
	}
	if dev {
		key, err := secret(q.Get("developer_key"), "developer_key")
		if err != nil {
			return a, err
		}
		cert, err := secret(q.Get("developer_cert"), "developer_cert")
		if err != nil {
			return a, err
		}
		a.Dev = &sdk.GreenlightCredentials{DeveloperKey: []byte(key), DeveloperCert: []byte(cert)}
	}
	return a, nil
}

// secret reads a file that only its owner may read. Errors never repeat what is in it.
func secret(path, what string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("breez: %s=FILE is missing", what)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("breez: %s: %w", what, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("breez: %s: %s can be read by others; hint: chmod 600 %s", what, path, path)
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("breez: %s: %w", what, err)
	}
	return strings.TrimSpace(string(body)), nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// Open opens the wallet at an address: it connects to Breez's cloud. Errors: ErrUnavailable if that does not answer.
func Open(_ context.Context, u *url.URL, log *slog.Logger) (wallet.Wallet, error) {
	a, err := ParseAddress(u)
	if err != nil {
		return nil, err
	}
	seed, err := sdk.MnemonicToSeed(a.Mnemonic)
	if err != nil {
		return nil, errors.New("breez: the mnemonic is none of BIP 39")
	}
	if err := os.MkdirAll(a.Dir, 0o700); err != nil {
		return nil, err
	}
	w, err := newWallet(nil, a, log)
	if err != nil {
		return nil, err
	}
	s, err := sdk.Connect(sdk.ConnectRequest{Config: a.config(), Seed: seed}, w)
	if err != nil {
		w.book.Close()
		return nil, fmt.Errorf("%w: breez: %w", wallet.ErrUnavailable, err)
	}
	w.sdk = s
	return w, nil
}

func newWallet(s services, a Address, log *slog.Logger) (*Wallet, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	b, err := openBook(filepath.Join(a.Dir, "infernet.db"))
	if err != nil {
		return nil, err
	}
	return &Wallet{
		sdk: s, book: b, network: a.Network, log: log, now: time.Now, poll: 2 * time.Second, paying: map[wallet.Hash]*sync.Mutex{}, news: make(chan struct{}),
	}, nil
}

func (a Address) config() sdk.Config {
	node := sdk.GreenlightNodeConfig{PartnerCredentials: a.Dev}
	if a.Invite != "" {
		node.InviteCode = &a.Invite
	}
	env := sdk.EnvironmentTypeProduction
	if a.Network == "testnet" {
		env = sdk.EnvironmentTypeStaging
	}
	c := sdk.DefaultConfig(env, a.Key, sdk.NodeConfigGreenlight{Config: node})
	c.WorkingDir, c.MaxfeePercent, c.ExemptfeeMsat = a.Dir, feePercent, uint64(feeExempt)
	return c
}

// OnEvent wakes who awaits something: the SDK tells of what happens.
func (w *Wallet) OnEvent(sdk.BreezEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.news)
	w.news = make(chan struct{})
}

// Describe says what it is.
func (w *Wallet) Describe() string { return "Breez SDK (Greenlight), " + w.network }

// Network is the wallet's.
func (w *Wallet) Network(context.Context) (string, error) { return w.network, nil }

// Close disconnects.
func (w *Wallet) Close() error { return errors.Join(w.sdk.Disconnect(), w.book.Close()) }

// Balance is what is in the node's channels.
func (w *Wallet) Balance(context.Context) (events.Msat, error) {
	info, err := w.sdk.NodeInfo()
	if err != nil {
		return 0, away(err)
	}
	return events.Msat(info.ChannelsBalanceMsat), nil
}

// away is an error of the SDK that says nothing about a payment.
func away(err error) error { return fmt.Errorf("%w: breez: %w", wallet.ErrUnavailable, err) }

// pause waits until the SDK tells of something, or a while.
func (w *Wallet) pause(ctx context.Context) error {
	w.mu.Lock()
	news := w.news
	w.mu.Unlock()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-news:
	case <-time.After(w.poll):
	}
	return nil
}

func hashOf(s string) (h wallet.Hash, err error) {
	b, err := hex.DecodeString(s)
	if err == nil && len(b) != len(h) {
		err = errors.New("breez: a payment hash of another length")
	}
	copy(h[:], b)
	return h, err
}
