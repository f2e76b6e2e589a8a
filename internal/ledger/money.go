package ledger

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"infernet/events"
	"infernet/internal/durable"
	"infernet/wallet"
)

// Claim takes a payment for a job. first is false if the payment bought something before.
func (l *Ledger) Claim(h wallet.Hash, job events.ID) (first bool, err error) {
	err = l.db.Write(func(tx *durable.Tx) (err error) {
		first, err = claim(tx, h, job)
		return err
	})
	return first, err
}

// Start starts a job. first is false if it was started before.
func (l *Ledger) Start(job events.ID) (first bool, err error) {
	err = l.db.Write(func(tx *durable.Tx) (err error) {
		first, err = start(tx, job)
		return err
	})
	return first, err
}

// Begin claims a payment, if there is one, and starts its job, in one commit: both or neither. first is false if either
// was done before.
func (l *Ledger) Begin(job events.ID, h *wallet.Hash) (first bool, err error) {
	err = l.db.Write(func(tx *durable.Tx) error {
		claimed := true
		if h != nil {
			if claimed, err = claim(tx, *h, job); err != nil {
				return err
			}
		}
		started, err := start(tx, job)
		if first = claimed && started; !first && err == nil {
			return errTaken
		}
		return err
	})
	if errors.Is(err, errTaken) {
		return false, nil
	}
	return first, err
}

var errTaken = errors.New("taken")

func claim(tx *durable.Tx, h wallet.Hash, job events.ID) (bool, error) {
	return once(tx, "insert into claims (hash, job) values (?, ?)", h.String(), string(job))
}

func start(tx *durable.Tx, job events.ID) (bool, error) {
	return once(tx, "insert into starts (job, at) values (?, ?)", string(job), now())
}

// Claimed gives the job that a payment bought; "" if none.
func (l *Ledger) Claimed(h wallet.Hash) (job events.ID, err error) {
	err = l.db.QueryRow("select job from claims where hash = ?", h.String()).Scan(&job)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return job, err
}

// Use uses an offer up for a job. ours says whether the offer is this job's now: false if another job took it before.
func (l *Ledger) Use(offer, job events.ID) (ours bool, err error) {
	err = l.db.Write(func(tx *durable.Tx) error {
		first, err := once(tx, "insert into uses (offer, job) values (?, ?)", string(offer), string(job))
		if first || err != nil {
			ours = first
			return err
		}
		var holder events.ID
		err = tx.QueryRow("select job from uses where offer = ?", string(offer)).Scan(&holder)
		ours = holder == job
		return err
	})
	return ours, err
}

// Commitment is what a customer is about to pay for a job.
type Commitment struct {
	Job      events.ID
	Hash     wallet.Hash
	Payee    events.PubKey // the node
	Bolt11   string
	Amount   events.Msat
	At       time.Time
	Settled  bool
	Preimage wallet.Preimage // when Settled
}

// ErrBudget says that a commitment would be more than may be spent in a day.
var ErrBudget = errors.New("the day's budget is spent")

// Commit writes a commitment down before it is paid. first is false if the job has one already, or the hash was
// committed to before: nothing is written then.
func (l *Ledger) Commit(c Commitment) (first bool, err error) { return l.CommitWithin(c, 0) }

// CommitWithin is Commit for whoever may spend only so much in any 24 hours, without fees: ErrBudget, and nothing is
// written, if it would be more. What is not known to have failed counts. However many commit at once, over all processes,
// the sum stays within perDay; 0 is no bound.
func (l *Ledger) CommitWithin(c Commitment, perDay events.Msat) (first bool, err error) {
	err = l.db.Write(func(tx *durable.Tx) error {
		known, err := hashKnown(tx, c.Hash)
		if err != nil || known {
			return err
		}
		if perDay > 0 {
			var spent events.Msat
			if err := tx.QueryRow("select coalesce(sum(amount), 0) from commitments where at > ?", c.At.Add(-24*time.Hour).Unix()).Scan(&spent); err != nil {
				return err
			}
			if spent+c.Amount > perDay {
				return fmt.Errorf("%w: %s of %s are spent or under way, this would be %s more", ErrBudget, spent.Human(), perDay.Human(), c.Amount.Human())
			}
		}
		first, err = once(tx, "insert into commitments (job, hash, payee, bolt11, amount, at) values (?, ?, ?, ?, ?, ?)",
			string(c.Job), c.Hash.String(), string(c.Payee), c.Bolt11, int64(c.Amount), c.At.Unix())
		return err
	})
	return first, err
}

// Commitment gives a job's commitment; nil if it has none.
func (l *Ledger) Commitment(job events.ID) (*Commitment, error) {
	all, err := l.commitments("select job, hash, payee, bolt11, amount, at, preimage from commitments where job = ?", string(job))
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

// Settle writes down that a job's commitment is paid, with the proof.
func (l *Ledger) Settle(job events.ID, r wallet.Preimage) error {
	return l.db.Write(func(tx *durable.Tx) error {
		res, err := tx.Exec("update commitments set preimage = ? where job = ? and hash = ?", r.String(), string(job), r.Hash().String())
		return oneRow(res, err, "job %s has no commitment that this preimage opens", job)
	})
}

// Void frees a job of its commitment, so that another may be made. Only for a payment that the wallet says has failed.
func (l *Ledger) Void(job events.ID, why string) error {
	return l.db.Write(func(tx *durable.Tx) error {
		_, err := tx.Exec(`insert into voids (hash, job, amount, why, at)
			select hash, job, amount, ?, ? from commitments where job = ? and preimage is null`, why, now(), string(job))
		if err != nil {
			return err
		}
		res, err := tx.Exec("delete from commitments where job = ? and preimage is null", string(job))
		return oneRow(res, err, "job %s has no open commitment", job)
	})
}

func oneRow(res sql.Result, err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fmt.Errorf(format, args...)
}

// HashKnown says whether a payment hash was ever committed to.
func (l *Ledger) HashKnown(h wallet.Hash) (bool, error) { return hashKnown(l.db, h) }

func hashKnown(q interface {
	QueryRow(query string, args ...any) *sql.Row
}, h wallet.Hash) (known bool, err error) {
	err = q.QueryRow("select exists (select 1 from commitments where hash = ?) or exists (select 1 from voids where hash = ?)",
		h.String(), h.String()).Scan(&known)
	return known, err
}

// SpentSince is the sum of the commitments since t, paid or not known to have failed.
func (l *Ledger) SpentSince(t time.Time) (sum events.Msat, err error) {
	err = l.db.QueryRow("select coalesce(sum(amount), 0) from commitments where at >= ?", t.Unix()).Scan(&sum)
	return sum, err
}
