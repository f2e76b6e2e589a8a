package nip47

// Methods.
const (
	GetInfo           = "get_info"
	GetBalance        = "get_balance"
	MakeInvoice       = "make_invoice"
	PayInvoice        = "pay_invoice"
	PayKeysend        = "pay_keysend"
	LookupInvoice     = "lookup_invoice"
	ListTransactions  = "list_transactions"
	MakeHoldInvoice   = "make_hold_invoice"
	SettleHoldInvoice = "settle_hold_invoice"
	CancelHoldInvoice = "cancel_hold_invoice"
)

// Invoicing are the params of make_invoice.
type Invoicing struct {
	Amount          int64    `json:"amount"`
	Description     string   `json:"description,omitempty"`
	DescriptionHash string   `json:"description_hash,omitempty"`
	Expiry          int64    `json:"expiry,omitempty"` // seconds
	Metadata        Metadata `json:"metadata,omitempty"`
	Preimage        string   `json:"preimage,omitempty"` // our own addition: a preimage that the caller chose
}

// Holding are the params of make_hold_invoice. Expiry is how long a payment may begin, not how long it may be held.
type Holding struct {
	Amount             int64    `json:"amount"`
	Description        string   `json:"description,omitempty"`
	DescriptionHash    string   `json:"description_hash,omitempty"`
	Expiry             int64    `json:"expiry,omitempty"` // seconds
	PaymentHash        string   `json:"payment_hash"`
	MinCLTVExpiryDelta int64    `json:"min_cltv_expiry_delta,omitempty"` // blocks
	Metadata           Metadata `json:"metadata,omitempty"`
}

// Settling are the params of settle_hold_invoice.
type Settling struct {
	Preimage string `json:"preimage"`
}

// Cancelling are the params of cancel_hold_invoice.
type Cancelling struct {
	PaymentHash string `json:"payment_hash"`
}

// Paying are the params of pay_invoice.
type Paying struct {
	Invoice  string   `json:"invoice"`
	Amount   int64    `json:"amount,omitempty"`
	Metadata Metadata `json:"metadata,omitempty"`
}

// Keysend are the params of pay_keysend.
type Keysend struct {
	Amount     int64       `json:"amount"`
	PubKey     string      `json:"pubkey"`
	Preimage   string      `json:"preimage,omitempty"`
	TLVRecords []TLVRecord `json:"tlv_records,omitempty"`
}

// TLVRecord is a field of a keysend payment.
type TLVRecord struct {
	Type  int64  `json:"type"`
	Value string `json:"value"` // hex
}

// Paid is the result of pay_invoice and pay_keysend.
type Paid struct {
	Preimage string `json:"preimage"`
	FeesPaid int64  `json:"fees_paid,omitempty"`
}

// Looking are the params of lookup_invoice; one of the two is needed.
type Looking struct {
	PaymentHash string `json:"payment_hash,omitempty"`
	Invoice     string `json:"invoice,omitempty"`
}

// Ways of transactions.
const (
	Incoming = "incoming"
	Outgoing = "outgoing"
)

// States of transactions.
const (
	Pending  = "pending"
	Accepted = "accepted" // the payment of a hold invoice is locked
	Settled  = "settled"
	Expired  = "expired" // an invoice
	Failed   = "failed"  // a payment, or a hold invoice that was cancelled
)

// Listing are the params of list_transactions.
type Listing struct {
	From   int64  `json:"from,omitempty"`   // created at or after
	Until  int64  `json:"until,omitempty"`  // created at or before; now if 0
	Limit  int64  `json:"limit,omitempty"`  // the service's own if 0
	Offset int64  `json:"offset,omitempty"` // of the first
	Unpaid bool   `json:"unpaid,omitempty"` // also what is not settled
	Type   string `json:"type,omitempty"`   // Incoming, Outgoing; both if ""
}

// PageSize is how many transactions a client should ask for at once: larger answers may not travel.
const PageSize = 20

// Transactions is the result of list_transactions, the newest first.
type Transactions struct {
	Transactions []Transaction `json:"transactions"`
}

// Transaction is the result of make_invoice, make_hold_invoice and lookup_invoice, and what lists and notifications carry.
type Transaction struct {
	Type            string   `json:"type"`
	State           string   `json:"state,omitempty"`
	Invoice         string   `json:"invoice,omitempty"`
	Description     string   `json:"description,omitempty"`
	DescriptionHash string   `json:"description_hash,omitempty"`
	Preimage        string   `json:"preimage,omitempty"`
	PaymentHash     string   `json:"payment_hash"`
	Amount          int64    `json:"amount"`
	FeesPaid        int64    `json:"fees_paid"`
	CreatedAt       int64    `json:"created_at"`
	ExpiresAt       int64    `json:"expires_at,omitempty"`
	SettledAt       int64    `json:"settled_at,omitempty"`
	SettleDeadline  int64    `json:"settle_deadline,omitempty"` // the block before which an accepted one must be settled
	Metadata        Metadata `json:"metadata,omitempty"`
}

// Metadata is a JSON object that a service keeps beside a transaction; "" if there is none.
type Metadata string

// MaxMetadata is how many characters of metadata a service keeps; larger ones fall away whole.
const MaxMetadata = 4096

// MarshalJSON writes the object as it is.
func (m Metadata) MarshalJSON() ([]byte, error) { return []byte(m), nil }

// UnmarshalJSON takes an object as it is; everything else is none.
func (m *Metadata) UnmarshalJSON(b []byte) error {
	if *m = ""; len(b) > 0 && b[0] == '{' {
		*m = Metadata(b)
	}
	return nil
}

// Info is the result of get_info.
type Info struct {
	Alias         string   `json:"alias"`
	Color         string   `json:"color"`
	PubKey        string   `json:"pubkey"`
	Network       string   `json:"network"` // mainnet, testnet, signet or regtest
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
