// Package nip47 is Nostr Wallet Connect on the wire (NIP-47): connection addresses, requests, responses, notifications.
//
// It is pure message code: who encrypts, sends and waits is the caller's business. Amounts are msat, times unix seconds.
// Begin with ParseURI, Request and Response.
package nip47

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// Kinds of events.
const (
	KindInfo         = 13194
	KindRequest      = 23194
	KindResponse     = 23195
	KindNotification = 23197
)

// Encryption is the only scheme spoken so far: NIP-44 version 2.
const Encryption = "nip44_v2"

// Methods.
const (
	GetInfo       = "get_info"
	GetBalance    = "get_balance"
	MakeInvoice   = "make_invoice"
	PayInvoice    = "pay_invoice"
	LookupInvoice = "lookup_invoice"
)

// PaymentReceived is the notification that an invoice was paid.
const PaymentReceived = "payment_received"

// Codes of errors.
const (
	CodeRateLimited         = "RATE_LIMITED"
	CodeNotImplemented      = "NOT_IMPLEMENTED"
	CodeInsufficientBalance = "INSUFFICIENT_BALANCE"
	CodeQuotaExceeded       = "QUOTA_EXCEEDED"
	CodeRestricted          = "RESTRICTED"
	CodeUnauthorized        = "UNAUTHORIZED"
	CodeInternal            = "INTERNAL"
	CodeOther               = "OTHER"
	CodePaymentFailed       = "PAYMENT_FAILED"
	CodeNotFound            = "NOT_FOUND"
)

// Request asks a wallet for something.
type Request struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// Response is a wallet's answer.
type Response struct {
	ResultType string          `json:"result_type"`
	Error      *Error          `json:"error,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
}

// Error is a wallet's no.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Invoicing are the params of make_invoice.
type Invoicing struct {
	Amount          int64  `json:"amount"`
	Description     string `json:"description,omitempty"`
	DescriptionHash string `json:"description_hash,omitempty"`
	Expiry          int64  `json:"expiry,omitempty"`   // seconds
	Preimage        string `json:"preimage,omitempty"` // our own addition: a preimage that the caller chose
}

// Paying are the params of pay_invoice.
type Paying struct {
	Invoice string `json:"invoice"`
	Amount  int64  `json:"amount,omitempty"`
}

// Paid is the result of pay_invoice.
type Paid struct {
	Preimage string `json:"preimage"`
	FeesPaid int64  `json:"fees_paid,omitempty"`
}

// Looking are the params of lookup_invoice; one of the two is needed.
type Looking struct {
	PaymentHash string `json:"payment_hash,omitempty"`
	Invoice     string `json:"invoice,omitempty"`
}

// Transaction is the result of make_invoice and lookup_invoice, and what notifications carry.
type Transaction struct {
	Type            string `json:"type"`            // incoming or outgoing
	State           string `json:"state,omitempty"` // pending, settled, expired, failed
	Invoice         string `json:"invoice,omitempty"`
	Description     string `json:"description,omitempty"`
	DescriptionHash string `json:"description_hash,omitempty"`
	Preimage        string `json:"preimage,omitempty"`
	PaymentHash     string `json:"payment_hash"`
	Amount          int64  `json:"amount"`
	FeesPaid        int64  `json:"fees_paid"`
	CreatedAt       int64  `json:"created_at"`
	ExpiresAt       int64  `json:"expires_at,omitempty"`
	SettledAt       int64  `json:"settled_at,omitempty"`
}

// Info is the result of get_info.
type Info struct {
	Alias         string   `json:"alias"`
	Color         string   `json:"color"`
	PubKey        string   `json:"pubkey"`
	Network       string   `json:"network"`
	BlockHeight   int64    `json:"block_height"`
	BlockHash     string   `json:"block_hash"`
	Methods       []string `json:"methods"`
	Notifications []string `json:"notifications,omitempty"`
	Chosen        bool     `json:"chosen_preimages,omitempty"` // our own addition: make_invoice takes a preimage
}

// Balance is the result of get_balance.
type Balance struct {
	Balance int64 `json:"balance"`
}

// Notification is what a wallet says of itself.
type Notification struct {
	Type         string      `json:"notification_type"`
	Notification Transaction `json:"notification"`
}

// URI is the address of a wallet connection. It holds a secret: never log it.
type URI struct {
	Wallet string // the wallet service's public key
	Relays []string
	Secret string // the client's secret key
}

// Scheme is how such an address begins.
const Scheme = "nostr+walletconnect"

// ParseURI reads nostr+walletconnect://<wallet>?relay=…&secret=…. Errors do not repeat the secret.
func ParseURI(u *url.URL) (URI, error) {
	wallet := u.Host
	if wallet == "" {
		wallet = strings.Trim(u.Opaque, "/")
	}
	c := URI{Wallet: wallet, Relays: u.Query()["relay"], Secret: u.Query().Get("secret")}
	switch {
	case !isKey(c.Wallet):
		return c, fmt.Errorf("wallet key %q is not 64 hex characters", c.Wallet)
	case !isKey(c.Secret):
		return c, errors.New("the secret is not 64 hex characters")
	case len(c.Relays) == 0:
		return c, errors.New("no relay is named")
	}
	return c, nil
}

func (c URI) String() string {
	q := url.Values{"relay": c.Relays, "secret": {c.Secret}}
	return Scheme + "://" + c.Wallet + "?" + q.Encode()
}

func isKey(s string) bool {
	return len(s) == 64 && !slices.ContainsFunc([]byte(s), func(c byte) bool { return (c < '0' || c > '9') && (c < 'a' || c > 'f') })
}
