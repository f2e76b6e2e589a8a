package ledger

import (
	"database/sql"
	"errors"
	"fmt"

	"infernet/events"
	"infernet/internal/durable"
	"infernet/wallet"
)

// A node keeps an account for each customer that pays in. What moves it is in the table credit, numbered for each customer from
// 1 without a gap; what a job under way may still take of it is set apart in reserves. Every job moves an account once.

const accounts = `
create table credit   (customer text not null, seq integer not null, job text not null unique, what text not null, amount integer not null,
                       at integer not null, statement text, primary key (customer, seq)) without rowid;
create table reserves (job text primary key, customer text not null, amount integer not null) without rowid;
create index reserves_of on reserves (customer);
`

// What moves an account.
const (
	ToppedUp  = "topped up"
	Drawn     = "drawn"
	Withdrawn = "withdrawn"
)

// Account is where a customer's account stands after one of its movements.
type Account struct {
	Seq       int64 // of the last movement; 0 if there is none
	Job       events.ID
	What      string
	Amount    events.Msat // of that movement
	Topped    events.Msat
	Drawn     events.Msat
	Withdrawn events.Msat
	Open      events.Msat // set apart now
}

// Balance is what may still be set apart.
func (a Account) Balance() events.Msat { return a.Topped - a.Drawn - a.Withdrawn - a.Open }

// ErrBalance says that there is not enough in an account.
var ErrBalance = errors.New("not enough in the account")

type querier interface {
	QueryRow(query string, args ...any) *sql.Row
}

// account sums a customer's movements up to a number.
func account(q querier, customer events.PubKey, upTo int64) (a Account, err error) {
	err = q.QueryRow(`select coalesce(max(seq), 0), coalesce(sum(amount) filter (where what = 'topped up'), 0), coalesce(sum(amount) filter (where what = 'drawn'), 0),
		coalesce(sum(amount) filter (where what = 'withdrawn'), 0), (select coalesce(sum(amount), 0) from reserves where customer = ?1)
		from credit where customer = ?1 and seq <= ?2`, string(customer), upTo).Scan(&a.Seq, &a.Topped, &a.Drawn, &a.Withdrawn, &a.Open)
	if err != nil || a.Seq == 0 {
		return a, err
	}
	return a, q.QueryRow("select job, what, amount from credit where customer = ? and seq = ?", string(customer), a.Seq).Scan(&a.Job, &a.What, &a.Amount)
}

// Account gives where a customer's account stands.
func (l *Ledger) Account(customer events.PubKey) (Account, error) {
	return l.AccountAt(customer, 1<<62)
}

// AccountAt is Account as it stood after a movement; what is set apart is of now.
func (l *Ledger) AccountAt(customer events.PubKey, seq int64) (a Account, err error) {
	return account(l.db, customer, seq)
}

// moved adds a movement, and gives its number. A job that moved the account before moves it no more.
func moved(tx *durable.Tx, customer events.PubKey, job events.ID, what string, amount events.Msat) (seq int64, err error) {
	err = tx.QueryRow("select seq from credit where job = ?", string(job)).Scan(&seq)
	if !errors.Is(err, sql.ErrNoRows) {
		return seq, err
	}
	if err = tx.QueryRow("select coalesce(max(seq), 0) + 1 from credit where customer = ?", string(customer)).Scan(&seq); err != nil {
		return 0, err
	}
	_, err = tx.Exec("insert into credit (customer, seq, job, what, amount, at) values (?, ?, ?, ?, ?, ?)", string(customer), seq, string(job), what, int64(amount), now())
	return seq, err
}

// TopUp puts a payment that arrived into an account, once: the payment buys that and nothing else.
func (l *Ledger) TopUp(customer events.PubKey, job events.ID, h wallet.Hash, amount events.Msat) (seq int64, err error) {
	err = l.db.Write(func(tx *durable.Tx) error {
		first, err := claim(tx, h, job)
		if err != nil {
			return err
		}
		if !first {
			var by events.ID
			if err := tx.QueryRow("select job from claims where hash = ?", h.String()).Scan(&by); err != nil {
				return err
			}
			if by != job {
				return fmt.Errorf("payment %s bought job %s", h, by)
			}
		}
		seq, err = moved(tx, customer, job, ToppedUp, amount)
		return err
	})
	return seq, err
}

// Reserve sets apart what a job may cost, once for each job. ErrBalance, and nothing is set apart, if there is not so much.
func (l *Ledger) Reserve(customer events.PubKey, job events.ID, amount events.Msat) error {
	return l.db.Write(func(tx *durable.Tx) error {
		var known bool
		err := tx.QueryRow("select exists (select 1 from reserves where job = ?1) or exists (select 1 from credit where job = ?1)", string(job)).Scan(&known)
		if err != nil || known {
			return err
		}
		a, err := account(tx, customer, 1<<62)
		if err != nil {
			return err
		}
		if a.Balance() < amount {
			return fmt.Errorf("%w: it holds %s, this may cost %s", ErrBalance, a.Balance().Human(), amount.Human())
		}
		_, err = tx.Exec("insert into reserves (job, customer, amount) values (?, ?, ?)", string(job), string(customer), int64(amount))
		return err
	})
}

// Draw takes what a job cost out of what was set apart for it, once, and frees the rest. what is Drawn or Withdrawn. seq is 0 if
// it cost nothing.
func (l *Ledger) Draw(job events.ID, what string, amount events.Msat) (seq int64, err error) {
	err = l.db.Write(func(tx *durable.Tx) error {
		var customer events.PubKey
		var most events.Msat
		err := tx.QueryRow("select customer, amount from reserves where job = ?", string(job)).Scan(&customer, &most)
		if errors.Is(err, sql.ErrNoRows) { // it was drawn before, or nothing was set apart
			err = tx.QueryRow("select seq from credit where job = ?", string(job)).Scan(&seq)
			if errors.Is(err, sql.ErrNoRows) && amount == 0 {
				return nil
			}
			if errors.Is(err, sql.ErrNoRows) {
				return fmt.Errorf("nothing is set apart for job %s", job)
			}
			return err
		}
		if err != nil {
			return err
		}
		if amount > most || amount < 0 {
			return fmt.Errorf("job %s takes %s, set apart for it is %s", job, amount.Human(), most.Human())
		}
		if _, err := tx.Exec("delete from reserves where job = ?", string(job)); err != nil || amount == 0 {
			return err
		}
		seq, err = moved(tx, customer, job, what, amount)
		return err
	})
	return seq, err
}

// Release frees what was set apart for a job that cost nothing.
func (l *Ledger) Release(job events.ID) error {
	return l.db.Write(func(tx *durable.Tx) error {
		_, err := tx.Exec("delete from reserves where job = ?", string(job))
		return err
	})
}

// Moved gives the number of the movement that a job made; 0 if none.
func (l *Ledger) Moved(job events.ID) (seq int64, err error) {
	err = l.db.QueryRow("select seq from credit where job = ?", string(job)).Scan(&seq)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return seq, err
}

// Stated gives the signed statement of a movement, as JSON; "" if there is none yet.
func (l *Ledger) Stated(customer events.PubKey, seq int64) (event string, err error) {
	var text sql.NullString
	err = l.db.QueryRow("select statement from credit where customer = ? and seq = ?", string(customer), seq).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return text.String, err
}

// State keeps the signed statement of a movement: the first one stays, and is given.
func (l *Ledger) State(customer events.PubKey, seq int64, event string) (kept string, err error) {
	err = l.db.Write(func(tx *durable.Tx) error {
		if _, err := tx.Exec("update credit set statement = ? where customer = ? and seq = ? and statement is null", event, string(customer), seq); err != nil {
			return err
		}
		return tx.QueryRow("select statement from credit where customer = ? and seq = ?", string(customer), seq).Scan(&kept)
	})
	return kept, err
}
