package ledger

import (
	"database/sql"
	"time"

	"infernet/events"
	"infernet/wallet"
)

// Claims gives all payments that bought something here, with their jobs.
func (l *Ledger) Claims() (map[wallet.Hash]events.ID, error) {
	rows, err := l.db.Query("select hash, job from claims")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[wallet.Hash]events.ID{}
	for rows.Next() {
		var hash string
		var job events.ID
		if err := rows.Scan(&hash, &job); err != nil {
			return nil, err
		}
		h, err := wallet.ParseHash(hash)
		if err != nil {
			return nil, err
		}
		all[h] = job
	}
	return all, rows.Err()
}

// Commitments gives all that a customer has paid, or is about to, oldest first.
func (l *Ledger) Commitments() ([]Commitment, error) {
	return l.commitments("select job, hash, payee, bolt11, amount, at, preimage from commitments order by at, job")
}

func (l *Ledger) commitments(query string, args ...any) (all []Commitment, err error) {
	rows, err := l.db.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c Commitment
		var hash string
		var at int64
		var preimage sql.NullString
		if err := rows.Scan(&c.Job, &hash, &c.Payee, &c.Bolt11, &c.Amount, &at, &preimage); err != nil {
			return nil, err
		}
		if c.Hash, err = wallet.ParseHash(hash); err != nil {
			return nil, err
		}
		if c.At, c.Settled = time.Unix(at, 0), preimage.Valid; c.Settled {
			if c.Preimage, err = wallet.ParsePreimage(preimage.String); err != nil {
				return nil, err
			}
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

// Voided is a commitment whose payment failed for good, as the wallet said.
type Voided struct {
	Job    events.ID
	Hash   wallet.Hash
	Amount events.Msat
	Why    string
	At     time.Time // when the wallet said so
}

// Voids gives all commitments that were given up, oldest first.
func (l *Ledger) Voids() (all []Voided, err error) {
	rows, err := l.db.Query("select job, hash, amount, why, at from voids order by at, hash")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var v Voided
		var hash string
		var at int64
		if err := rows.Scan(&v.Job, &hash, &v.Amount, &v.Why, &at); err != nil {
			return nil, err
		}
		if v.Hash, err = wallet.ParseHash(hash); err != nil {
			return nil, err
		}
		v.At = time.Unix(at, 0)
		all = append(all, v)
	}
	return all, rows.Err()
}

// All lists all of a role's jobs, oldest first.
func (l *Ledger) All(role Role) ([]Row, error) {
	return l.jobs("select seq, job, role, at, end from jobs where role = ? order by seq", string(role))
}
