// Package fleet is what an owner and its nodes say to each other: who owns a node, how it is doing, what it is to do.
//
// It promises that a node obeys only the keys that it was given, each command once and only while it is fresh, and that
// no command moves money, shows a key or runs code. Commands travel through relays, encrypted; neither side needs an open
// port. Begin with Owner (the owner's side) and Node (the node's).
package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// Kinds of what travels between an owner and a node.
const (
	KindCommand = 24591 // a command, or its answer; ephemeral
	KindLasting = 30078 // settings that last (NIP-78)
	KindList    = 30000 // the owner's nodes (NIP-51)
)

// Methods of commands.
const (
	Claim    = "claim"    // become the owner of a node that has none: ClaimAsked, Identity
	Status   = "status"   // how it is doing: nothing, *Report
	Metrics  = "metrics"  // how its machine was doing: MetricsAsked, *Samples
	Settings = "settings" // what may be changed while it runs, and to change it: SettingsAsked, *InForce
	Pause    = "pause"    // take no new jobs: nothing, *InForce
	Resume   = "resume"   // take jobs again: nothing, *InForce
	Models   = "models"   // what it runs, and to choose of it: ModelsAsked, *Run
	Jobs     = "jobs"     // its jobs: JobsAsked, *Done
	Earnings = "earnings" // what it earned by day: EarningsAsked, *Earned
	Alerts   = "alerts"   // what its owner should know: AlertsAsked, *Told
)

// Bounds.
const (
	Fresh     = time.Minute // how far a command's time may be from the node's clock
	maxExp    = 2 * Fresh   // how long a command may hold
	maxNumber = 1<<53 - 1   // of seq and rev: the largest that every JSON reader keeps
	maxAnswer = 40_000      // bytes of an answer before it is encrypted: it has to fit into an event
)

// command is what an owner says, inside the encryption; answer is what the node says.
type command struct {
	ID     string          `json:"id"`
	Seq    int64           `json:"seq"` // rises with each command of one key
	Exp    events.Unix     `json:"exp"` // it holds until then
	Method string          `json:"method"`
	Params json.RawMessage `json:"params,omitempty"`
}

type answer struct {
	ID     string          `json:"id"` // the command's
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// Error is a node's no.
type Error struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Seq  int64  `json:"seq,omitempty"` // with STALE: the next command's has to be greater
}

func (e *Error) Error() string { return e.Code + ": " + e.Text }

// Codes of errors.
const (
	CodeStale   = "STALE"   // too old, or said before
	CodeInvalid = "INVALID" // the parameters are wrong
	CodeDenied  = "DENIED"  // the code is wrong, or the node has an owner
	CodeUnknown = "UNKNOWN" // there is no such method
	CodeFailed  = "FAILED"  // the node could not
)

// Refuse is an error with a code.
func Refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// Method does what a command asks for. Its parameters may be empty. What it returns is answered as JSON; an *Error as it is,
// any other error as FAILED.
type Method func(ctx context.Context, params json.RawMessage) (any, error)

// Do reads a command's parameters into P and calls do.
func Do[P any](do func(ctx context.Context, in P) (any, error)) Method {
	return func(ctx context.Context, params json.RawMessage) (any, error) {
		var in P
		if len(params) > 0 && string(params) != "null" {
			if err := json.Unmarshal(params, &in); err != nil {
				return nil, Refuse(CodeInvalid, "parameters: %v", err)
			}
		}
		return do(ctx, in)
	}
}

// respond calls a method and makes its answer.
func respond(ctx context.Context, methods map[string]Method, name string, params json.RawMessage) (json.RawMessage, *Error) {
	method := methods[name]
	if method == nil {
		return nil, Refuse(CodeUnknown, "there is no method %.40q here", name)
	}
	result, err := method(ctx, params)
	var no *Error
	switch {
	case errors.As(err, &no):
		return nil, no
	case err != nil:
		return nil, Refuse(CodeFailed, "%v", err)
	}
	body, err := json.Marshal(result)
	if err != nil {
		return nil, Refuse(CodeFailed, "%v", err)
	}
	if len(body) > maxAnswer {
		return nil, Refuse(CodeInvalid, "the answer has %d bytes, %d at most: ask for less", len(body), maxAnswer)
	}
	return body, nil
}

// seal signs an event of a kind for a peer, with what it says encrypted (NIP-44).
func seal(ctx context.Context, s events.Signer, peer events.PubKey, at time.Time, what any) (*nostr.Event, error) {
	body, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	closed, err := s.Encrypt(ctx, peer, string(body))
	if err != nil {
		return nil, err
	}
	ev := &nostr.Event{Kind: KindCommand, CreatedAt: nostr.Timestamp(at.Unix()), Tags: nostr.Tags{{"p", string(peer)}}, Content: closed}
	return ev, s.Sign(ctx, ev)
}
