// Package wallet is the family of Lightning wallets: small interfaces, a folder for each part, chosen by URL.
//
// A provider needs a Receiver, a consumer a Payer; Holder, Sealer and Balancer are abilities that some wallets have. The
// suite in wallettest holds every part to what is written here. Begin with Receiver and Payer.
package wallet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"sort"
	"strings"
	"time"

	"infernet/events"
)

// Hash is a payment hash: SHA-256 of the preimage (BOLT 11).
type Hash [32]byte

// Preimage is what a payer learns by paying (BOLT 11).
type Preimage [32]byte

// NewPreimage draws a fresh one.
func NewPreimage() Preimage {
	var r Preimage
	rand.Read(r[:])
	return r
}

// Hash is the payment hash that the preimage opens.
func (r Preimage) Hash() Hash { return sha256.Sum256(r[:]) }

func (r Preimage) String() string { return hex.EncodeToString(r[:]) }
func (h Hash) String() string     { return hex.EncodeToString(h[:]) }

// ParseHash reads 64 hex characters.
func ParseHash(s string) (h Hash, err error) { return h, decode32(h[:], s) }

// ParsePreimage reads 64 hex characters.
func ParsePreimage(s string) (r Preimage, err error) { return r, decode32(r[:], s) }

func decode32(to []byte, s string) error {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(to) {
		return fmt.Errorf("want 64 hex characters, have %q", s)
	}
	copy(to, b)
	return nil
}

// Errors of wallets.
var (
	ErrExpired      = errors.New("invoice expired")                    // it can no longer be paid
	ErrInsufficient = errors.New("not enough money in the wallet")     // nothing was sent
	ErrNotFound     = errors.New("the wallet does not know this hash") // neither paid nor being paid
	ErrRejected     = errors.New("payment failed")                     // for good: nothing was sent
	ErrInFlight     = errors.New("payment is under way")               // ask Sent later; never pay again
	ErrUnavailable  = errors.New("wallet unavailable")                 // outcome unknown: ask Sent before any retry
	ErrUnsupported  = errors.New("the wallet cannot do this")
)

// InvoiceRequest is what an invoice should say.
type InvoiceRequest struct {
	Amount      events.Msat // a whole number of satoshi, at least one
	Description string
	Until       time.Time // when it expires; the wallet may round to the second
	Blocks      int       // of a hold invoice: how many blocks its payment may be held (min_final_cltv, BOLT 11); 0: the wallet's own
}

// Invoice is a bolt11 invoice that the wallet made.
type Invoice struct {
	Bolt11 string
	Hash   Hash
	Amount events.Msat
	Until  time.Time
}

// Settlement is money that arrived, or, if Held, is locked for a hold invoice: it is nobody's until Settle or Cancel.
type Settlement struct {
	Hash   Hash
	Amount events.Msat
	At     time.Time // when it arrived; zero if Held
	Held   bool
	Blocks int // of a held one: how many blocks are left to settle it, at least 1; 0 if the wallet does not say
}

// Receiver is what a provider needs of a wallet.
type Receiver interface {
	Invoice(ctx context.Context, ask InvoiceRequest) (*Invoice, error)
	// Await returns once the invoice is paid, a hold invoice once its payment is locked, ErrExpired once that cannot be any
	// more, ErrNotFound if it is not ours. An invoice that was paid long ago returns at once. It survives a wallet that is
	// away for a while.
	Await(ctx context.Context, hash Hash) (Settlement, error)
}

// PaymentState says what became of a payment.
type PaymentState string

// What became of a payment. Only Failed allows another one.
const (
	Pending   PaymentState = "pending"
	Succeeded PaymentState = "succeeded"
	Failed    PaymentState = "failed" // nothing was sent, or all came back
)

// Payment is one payment that the wallet was asked for.
type Payment struct {
	Hash     Hash
	State    PaymentState
	Preimage Preimage // when Succeeded
	Amount   events.Msat
	Fee      events.Msat
}

// Payer is what a consumer needs of a wallet.
type Payer interface {
	// Pay pays an invoice, once however often it is called, and returns its preimage. A payment that is locked for a hold
	// invoice returns when it is settled, or with ErrRejected when the money is back. maxFee is the most to pay above the
	// invoice's amount. Errors: ErrInsufficient, ErrRejected, ErrExpired (nothing was sent, or all came back); ErrInFlight,
	// ErrUnavailable (unknown: ask Sent).
	Pay(ctx context.Context, bolt11 string, maxFee events.Msat) (Preimage, error)
	// Sent says what became of a payment; ErrNotFound if the wallet never tried it. Asked before any retry.
	Sent(ctx context.Context, hash Hash) (Payment, error)
}

// Shower is a Payer that shows invoices, for anybody to pay: that one was paid, only its payee says. Pay returns ErrExpired
// when it cannot be paid any more, and Sent never knows.
type Shower interface {
	Payer
	Shows()
}

// Sealer is a Receiver that can make an invoice for a preimage that the caller chose.
type Sealer interface {
	SealedInvoice(ctx context.Context, ask InvoiceRequest, r Preimage) (*Invoice, error)
}

// Holder is a Receiver whose payments can be locked first and taken later.
type Holder interface {
	// Holds says whether this wallet really can: by its type it may only know how to ask.
	Holds(ctx context.Context) (bool, error)
	// HoldInvoice makes an invoice for a payment hash whose preimage the caller keeps. Asked again for the same, it gives
	// the same invoice.
	HoldInvoice(ctx context.Context, ask InvoiceRequest, hash Hash) (*Invoice, error)
	// Settle takes a locked payment, once however often it is called. Errors: ErrExpired if it was cancelled or lapsed,
	// ErrRejected if nothing is locked yet, ErrNotFound if it is not ours, ErrUnavailable (ask again).
	Settle(ctx context.Context, r Preimage) error
	// Cancel gives a locked payment back; an invoice that nobody has paid cannot be paid any more. Once however often it is
	// called. Errors: ErrRejected if it was settled, ErrNotFound if it is not ours, ErrUnavailable (ask again).
	Cancel(ctx context.Context, hash Hash) error
}

// Balancer is a wallet that says how much is in it.
type Balancer interface {
	Balance(ctx context.Context) (events.Msat, error)
}

// Entry is one payment in a wallet's own books.
type Entry struct {
	Hash        Hash
	State       PaymentState // Pending: under way, locked, or an invoice that can still be paid
	Held        bool         // of what came: it is locked, and nobody's yet
	Amount      events.Msat  // what came, or what was sent, without Fee
	Fee         events.Msat
	Description string // of the invoice, as far as the wallet knows it
	At          time.Time
	Preimage    Preimage // where the wallet shows it
}

// Way is the direction of money, as its wallet sees it.
type Way string

// The ways.
const (
	In  Way = "in"
	Out Way = "out"
)

// Lister is a wallet that shows its books.
type Lister interface {
	// Entries gives what came or went since a time (all, if it is zero), each payment once. What failed, and invoices that
	// nobody paid, may be missing. Errors: ErrUnsupported where the wallet does not show this way.
	Entries(ctx context.Context, way Way, since time.Time) ([]Entry, error)
}

// Networked is a wallet that says of which network its invoices are: mainnet, testnet, signet, regtest or simnet.
type Networked interface {
	Network(ctx context.Context) (string, error)
}

// Wallet is an opened wallet. Assert the abilities it should have: Receiver, Payer, Holder, Sealer,
// Balancer.
type Wallet interface {
	// Describe says what it is, for people: "play money at ws://…".
	Describe() string
	io.Closer
}

// Opener opens a wallet from its URL.
type Opener func(ctx context.Context, u *url.URL, log *slog.Logger) (Wallet, error)

// Openers is the list of wallets in a program, by URL scheme.
type Openers map[string]Opener

// Open opens the wallet that raw names. The part of the scheme before a "+" picks the wallet. Errors never repeat the
// URL: it may hold a secret.
func (o Openers) Open(ctx context.Context, raw string, log *slog.Logger) (Wallet, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("wallet: not a URL")
	}
	open, ok := o[u.Scheme]
	if !ok {
		name, _, _ := strings.Cut(u.Scheme, "+")
		open, ok = o[name]
	}
	if !ok {
		known := make([]string, 0, len(o))
		for k := range o {
			known = append(known, k+":")
		}
		sort.Strings(known)
		return nil, fmt.Errorf("wallet %s: no such kind of wallet; there are %s", u.Scheme+":", strings.Join(known, " "))
	}
	return open(ctx, u, log)
}
