package events

import (
	"encoding/json"
	"fmt"
)

// KindAccount asks a node about the customer's own money there (this profile's own number). The node itself answers, not its
// engine.
const KindAccount = 5890

// What an account job asks for, in its parameter op.
const (
	OpWithdraw  = "withdraw"  // pay an invoice: what is owed for a job, or out of the account
	OpTopUp     = "topup"     // pay into the account
	OpStatement = "statement" // say where the account stands
)

var kindAccount = Kind{
	Number: KindAccount, Name: "account", Alt: "Account job", Own: true,
	Params: []ParamSpec{
		{Name: "op", Type: ParamText, Values: []string{OpWithdraw, OpTopUp, OpStatement}, About: "what to do"},
		{Name: "amount", Type: ParamInt, Min: 1000, Max: float64(MaxMsat), About: "msat to pay in"},
		{Name: "job", Type: ParamText, MaxLen: 64, About: "id of the job whose debt is withdrawn; the account's balance if missing"},
		{Name: "bolt11", Type: ParamText, MaxLen: 4096, About: "the invoice that the node is to pay"},
	},
	Unit:    "msat",
	Outputs: []string{"application/json"},
}

// Paidout is the result of a withdrawal, as JSON: what was paid, and the proof.
type Paidout struct {
	Op       string `json:"op"`
	Job      ID     `json:"job"`
	Amount   Msat   `json:"amount_msat"`
	Fee      Msat   `json:"fee_msat"` // of the way; it comes off the debt, too
	Hash     string `json:"payment_hash"`
	Preimage string `json:"preimage"`
}

// ParsePaidout reads a withdrawal's result.
func ParsePaidout(content string) (*Paidout, error) {
	p := &Paidout{}
	if err := json.Unmarshal([]byte(content), p); err != nil || p.Op != OpWithdraw || len(p.Hash) != 64 || len(p.Preimage) != 64 || p.Amount < 0 || p.Fee < 0 {
		return nil, fmt.Errorf("%w: %s is no result of a withdrawal", ErrMalformed, quote(content))
	}
	return p, nil
}

// Accounted is the result of the other account jobs, as JSON: where the account stands. The signed statement says the same.
type Accounted struct {
	Op        string `json:"op"`
	Seq       int64  `json:"seq"`
	Topped    Msat   `json:"topped_msat"`
	Drawn     Msat   `json:"drawn_msat"`
	Withdrawn Msat   `json:"withdrawn_msat"`
	Open      Msat   `json:"open_msat"`
	Statement ID     `json:"statement"`
}

// CreditOf is the description of an invoice by which a balance at a node is withdrawn.
func CreditOf(node PubKey) string { return "infernet credit " + string(node) }

// OwedFor is the description of an invoice by which the debt of a job is withdrawn.
func OwedFor(job ID) string { return "infernet owed " + string(job) }
