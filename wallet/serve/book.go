package serve

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"infernet/events"
	"infernet/internal/durable"
	"infernet/nips/nip47"
	"infernet/wallet"
)

// Book is what a service remembers: connections, their transactions, and which requests it has seen. Several processes may
// open one book: connections are added while the service runs.
type Book struct{ db *durable.DB }

var schema = durable.Schema{Version: 1, Tables: `
create table connections  (client text primary key, name text not null unique, methods text not null, per_payment integer not null,
                           per_day integer not null, until integer not null, created integer not null) without rowid;
create table transactions (way text not null, hash text not null, client text not null, amount integer not null, fee integer not null,
                           state text not null, hold integer not null, created integer not null, settled integer not null, body text not null,
                           primary key (way, hash)) without rowid;
create index transactions_of on transactions (client, created);
create index transactions_open on transactions (way) where state in ('pending', 'accepted');
create table requests     (id text primary key, at integer not null) without rowid;
`}

// OpenBook opens a book, and makes it if there is none, readable by its owner only.
func OpenBook(path string) (*Book, error) {
	db, err := durable.Open(path, schema)
	if err != nil {
		return nil, fmt.Errorf("wallet book %s: %w", path, err)
	}
	return &Book{db}, nil
}

// Close closes the book.
func (b *Book) Close() error { return b.db.Close() }

// first says whether a request is seen for the first time, and remembers it for longer than it can come again.
func (b *Book) first(id events.ID, now time.Time) (first bool, err error) {
	err = b.db.Write(func(tx *durable.Tx) error {
		if _, err := tx.Exec("delete from requests where at < ?", now.Add(-10*time.Minute).Unix()); err != nil {
			return err
		}
		res, err := tx.Exec("insert into requests (id, at) values (?, ?) on conflict do nothing", string(id), now.Unix())
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		first = n == 1
		return err
	})
	return first, err
}

// transaction is one payment or invoice of a connection.
type transaction struct {
	nip47.Transaction
	Client events.PubKey
	Hold   bool
}

func (t *transaction) hash() wallet.Hash { h, _ := wallet.ParseHash(t.PaymentHash); return h }

// querier is a database or a commit in it.
type querier interface {
	Exec(query string, args ...any) (sql.Result, error)
	QueryRow(query string, args ...any) *sql.Row
}

// put writes a transaction down, over what was there of the same hash.
func put(q querier, t *transaction) error {
	body, err := json.Marshal(t.Transaction)
	if err != nil {
		return err
	}
	_, err = q.Exec(`insert into transactions (way, hash, client, amount, fee, state, hold, created, settled, body) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		on conflict do update set client = excluded.client, amount = excluded.amount, fee = excluded.fee, state = excluded.state,
			hold = excluded.hold, created = excluded.created, settled = excluded.settled, body = excluded.body`,
		t.Type, t.PaymentHash, string(t.Client), t.Amount, t.FeesPaid, t.State, t.Hold, t.CreatedAt, t.SettledAt, string(body))
	return err
}

func scanTransaction(row interface{ Scan(...any) error }) (*transaction, error) {
	t := &transaction{}
	var body string
	err := row.Scan(&t.Client, &t.Hold, &body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(body), &t.Transaction)
	}
	return t, err
}

const selectTransaction = "select client, hold, body from transactions"

// find gives a transaction; nil if there is none.
func find(q querier, way string, hash wallet.Hash) (*transaction, error) {
	return scanTransaction(q.QueryRow(selectTransaction+" where way = ? and hash = ?", way, hash.String()))
}

// change changes a transaction that is still open, and says whether it did: only one change ends it.
func (b *Book) change(way string, hash wallet.Hash, f func(t *transaction)) (t *transaction, changed bool, err error) {
	err = b.db.Write(func(tx *durable.Tx) error {
		if t, err = find(tx, way, hash); err != nil || t == nil {
			return err
		}
		if t.State != nip47.Pending && t.State != nip47.Accepted {
			return nil
		}
		before := t.State
		f(t)
		changed = t.State != before
		return put(tx, t)
	})
	return t, changed, err
}

// open are the transactions that have no end yet.
func (b *Book) open(way string) (all []*transaction, err error) {
	return b.list(selectTransaction+" where way = ? and state in ('pending', 'accepted') order by created", way)
}

// Hashes are the payment hashes of all that connections have paid or were paid.
func (b *Book) Hashes() (map[wallet.Hash]bool, error) {
	all, err := b.list(selectTransaction)
	hashes := make(map[wallet.Hash]bool, len(all))
	for _, t := range all {
		hashes[t.hash()] = true
	}
	return hashes, err
}

func (b *Book) list(query string, args ...any) (all []*transaction, err error) {
	rows, err := b.db.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		t, err := scanTransaction(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, rows.Err()
}

// Spent is what a connection has paid since t, with fees, and what may still be paid of what is under way.
func (b *Book) Spent(client events.PubKey, t time.Time) (events.Msat, error) {
	return spent(b.db, client, t)
}

func spent(q querier, client events.PubKey, t time.Time) (sum events.Msat, err error) {
	err = q.QueryRow("select coalesce(sum(amount + fee), 0) from transactions where way = 'outgoing' and client = ? and created > ? and state <> 'failed'",
		string(client), t.Unix()).Scan(&sum)
	return sum, err
}
