// Package nip47 is Nostr Wallet Connect on the wire (NIP-47), for clients and for wallet services: connection addresses,
// what a service says it can do, requests, responses, notifications, and their encryption.
//
// It is pure message code: who signs, sends and waits is the caller's business. Amounts are msat, times unix seconds.
// Begin with ParseURI and Capabilities, then Envelope (outside) and Request, Response, Notification (inside).
package nip47

import "encoding/json"

// Kinds of events.
const (
	KindInfo           = 13194 // replaceable; see Capabilities
	KindRequest        = 23194
	KindResponse       = 23195
	KindNotification04 = 23196 // a notification encrypted by NIP-04
	KindNotification   = 23197
)

// Codes of errors.
const (
	CodeRateLimited           = "RATE_LIMITED"
	CodeNotImplemented        = "NOT_IMPLEMENTED"
	CodeInsufficientBalance   = "INSUFFICIENT_BALANCE"
	CodeQuotaExceeded         = "QUOTA_EXCEEDED"
	CodeRestricted            = "RESTRICTED"
	CodeUnauthorized          = "UNAUTHORIZED"
	CodeInternal              = "INTERNAL"
	CodeUnsupportedEncryption = "UNSUPPORTED_ENCRYPTION"
	CodeOther                 = "OTHER"
	CodePaymentFailed         = "PAYMENT_FAILED"
	CodeNotFound              = "NOT_FOUND"
)

// Request asks a wallet for something.
type Request struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}

// Response is a wallet's answer: an error or a result.
type Response struct {
	ResultType string          `json:"result_type"`
	Error      *Error          `json:"error"` // null where all went well
	Result     json.RawMessage `json:"result,omitempty"`
}

// Error is a wallet's no.
type Error struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Types of notifications.
const (
	PaymentReceived     = "payment_received"      // an invoice was paid
	PaymentSent         = "payment_sent"          // a payment arrived
	HoldInvoiceAccepted = "hold_invoice_accepted" // the payment of a hold invoice is locked
)

// Notification is what a wallet says of itself.
type Notification struct {
	Type         string      `json:"notification_type"`
	Notification Transaction `json:"notification"`
}
