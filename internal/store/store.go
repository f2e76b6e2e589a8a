// Package store is what people look at: the history of jobs, the settings that were changed while running, the notices.
//
// Nothing depends on it. All of it is computed from journals that others keep (the ledgers, the notices' outbox), so it can
// be thrown away and is made anew; whoever serves or buys jobs never reads it. One process owns a folder's store, the others
// read it over the owner's socket, and where there is no owner, straight from the journals. Begin with Owner and Open.
package store

import (
	"cmp"
	"context"
	"io"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/notify"
)

// Job is a job in the history: what its journal says, opened. A job between two parties of one machine is there twice.
type Job struct {
	ID     events.ID     `json:"job"`
	Role   ledger.Role   `json:"role"`             // this machine's part
	Seq    int64         `json:"seq"`              // rises with each job of the same role
	Kind   int           `json:"kind"`             // of the request
	Model  string        `json:"model"`            // "" if none was named
	Peer   events.PubKey `json:"peer"`             // the other party: a node's key, or the key that a customer used; "" until it is known
	At     events.Unix   `json:"at"`               // when it was taken on
	Done   events.Unix   `json:"done,omitempty"`   // when its result or refusal was signed; 0 until then
	End    string        `json:"end"`              // how it ended, in words; "" while it is open
	Paid   events.Msat   `json:"paid"`             // committed by a customer, received by a node; msat
	Sure   bool          `json:"sure"`             // the wallet said so
	Owed   events.Msat   `json:"owed,omitempty"`   // what the node said that it owes back; msat
	In     int64         `json:"in,omitempty"`     // units in
	Out    int64         `json:"out,omitempty"`    // units out
	Ms     int64         `json:"ms,omitempty"`     // milliseconds of work
	Input  string        `json:"input,omitempty"`  // the beginning of a customer's own text; what others ask is not kept
	Output string        `json:"output,omitempty"` // a customer's own result
}

// Setting is a setting that was changed while running. No secrets: a backup holds it.
type Setting struct {
	Name  string      `json:"name"`
	Value string      `json:"value"`
	At    events.Unix `json:"at"` // of the change
}

// Mark is a place in the list of jobs: after it come older ones.
type Mark struct {
	At   events.Unix
	Seq  int64
	Role ledger.Role
}

// Mark is the job's own place.
func (j *Job) Mark() Mark { return Mark{j.At, j.Seq, j.Role} }

// Compare orders the newest first.
func (m Mark) Compare(o Mark) int {
	return cmp.Or(cmp.Compare(o.At, m.At), cmp.Compare(o.Seq, m.Seq), cmp.Compare(m.Role, o.Role))
}

// JobQuery says which jobs are wanted. They come newest first.
type JobQuery struct {
	Role   ledger.Role // both if empty
	Live   bool        // only those that may still change: without an end, or with a payment that is not sure
	Since  events.Unix // taken on then or later; 0: whenever
	Before *Mark       // only those after this place in the list, for the next page; nil: from the newest
	Limit  int         // 100 if 0, at most 1000
}

// NoticeQuery says which notices are wanted. They come newest first.
type NoticeQuery struct {
	Before int64 // a notice's Seq, for the next page; 0: from the newest
	Limit  int   // 100 if 0, at most 1000
}

// Limit is how many rows a query with this limit gives at most.
func Limit(limit int) int {
	if limit <= 0 {
		return 100
	}
	return min(limit, 1000)
}

// Reader is what can be looked at. Lists that are empty are no error.
type Reader interface {
	Jobs(ctx context.Context, q JobQuery) ([]Job, error)
	Notices(ctx context.Context, q NoticeQuery) ([]notify.Notice, error)
	// Settings gives them all, by name.
	Settings(ctx context.Context) ([]Setting, error)
}

// Batch is a piece of the journals. What is there already, by the job's id and role, the notice's id and the setting's
// name, is replaced; but an older change of a setting does not replace a newer one.
type Batch struct {
	Jobs     []Job
	Notices  []notify.Notice
	Settings []Setting
	Marks    map[string]int64 // how far each journal was read for it
}

// Store keeps what was computed from the journals. One process at a time may have it open.
type Store interface {
	Reader
	// Put writes a batch, all of it or nothing, together with its marks. Other journals' marks stay.
	Put(ctx context.Context, b Batch) error
	// Marks gives the newest marks that were put, by journal.
	Marks(ctx context.Context) (map[string]int64, error)
	// Close closes the store. What was put stays, also after kill -9.
	Close() error
}

// Backuper is a store that can be copied while it is in use.
type Backuper interface {
	// Backup writes a copy of the whole store, as of one moment.
	Backup(ctx context.Context, to io.Writer) error
}

// Key names a job's row.
func (j *Job) Key() string { return string(j.ID) + "/" + string(j.Role) }

// Live says whether a row may still change.
func (j *Job) Live() bool { return j.End == "" || j.Paid > 0 && !j.Sure }

// Wants says whether a row is one of those that a query wants.
func (q JobQuery) Wants(j *Job) bool {
	return (q.Role == "" || q.Role == j.Role) && j.At >= q.Since && (!q.Live || j.Live()) && (q.Before == nil || j.Mark().Compare(*q.Before) > 0)
}
