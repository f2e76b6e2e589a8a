package play

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"infernet/events"
	"infernet/internal/durable"
	"infernet/nips/nip47"
	"infernet/wallet"
)

// book is the service's ledger: double entry, so that all balances together with the mint's are always zero.
type book struct{ db *durable.DB }

// Accounts that are nobody's.
const (
	mint   = "mint" // new money comes from it
	locked = "held" // money of hold invoices waits in it
)

var schema = durable.Schema{Version: 2, Tables: `
create table accounts (key text primary key, balance integer not null) without rowid;
create table entries  (seq integer primary key, account text not null, msat integer not null, hash text not null, request text not null);
create table invoices (hash text primary key, preimage text not null, account text not null, amount integer not null, bolt11 text not null,
                                     description text not null, created integer not null, expires integer not null, settled integer not null default 0,
                                     payer text not null default '', request text not null unique) without rowid;
create table refusals (request text primary key, code text not null, message text not null, at integer not null) without rowid;
` + second, Next: []string{second}}

// second is what version 2 added: hold invoices, and lists.
const second = `
alter table invoices add column description_hash text not null default '';
alter table invoices add column metadata text not null default '';
alter table invoices add column note     text not null default '';
alter table invoices add column hold     integer not null default 0;
alter table invoices add column accepted integer not null default 0;
alter table invoices add column deadline integer not null default 0;
alter table invoices add column undone   integer not null default 0;
create index invoices_of   on invoices (account, created);
create index invoices_by   on invoices (payer) where payer <> '';
create index invoices_held on invoices (deadline) where accepted > 0 and settled = 0 and undone = 0;
`

func openBook(path string) (*book, error) {
	db, err := durable.Open(path, schema)
	if err != nil {
		return nil, err
	}
	return &book{db}, nil
}

func (b *book) close() error { return b.db.Close() }

// remember is how long a refusal is kept: longer than its request can come again.
const remember = 10 * time.Minute

// once carries a request out in one commit. A request that was refused stays refused: its client has been told that
// nothing was done, and whoever repeats it later must not make that untrue. f gives a *nip47.Error before anything is
// moved, or moves all.
func (b *book) once(request events.ID, now int64, f func(tx *durable.Tx) error) error {
	var refusal *nip47.Error
	err := b.db.Write(func(tx *durable.Tx) (err error) {
		if refusal, err = refused(tx, request); refusal != nil || err != nil {
			return err
		}
		if err = f(tx); !errors.As(err, &refusal) {
			return err
		}
		if _, err := tx.Exec("delete from refusals where at < ?", now-int64(remember.Seconds())); err != nil {
			return err
		}
		_, err = tx.Exec("insert into refusals (request, code, message, at) values (?, ?, ?, ?)", string(request), refusal.Code, refusal.Message, now)
		return err
	})
	if err == nil && refusal != nil {
		return refusal
	}
	return err
}

// refused gives the answer that a request got, if that was a no.
func refused(tx *durable.Tx, request events.ID) (*nip47.Error, error) {
	no := &nip47.Error{}
	err := tx.QueryRow("select code, message from refusals where request = ?", string(request)).Scan(&no.Code, &no.Message)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return no, err
}

// add writes an invoice down. A request that is repeated gets the invoice that it got before.
func (b *book) add(request events.ID, v *invoice) (stored *invoice, err error) {
	err = b.once(request, v.Created, func(tx *durable.Tx) error {
		stored, err = scan(tx.QueryRow(selectInvoice+" where request = ?", string(request)))
		if stored != nil || err != nil {
			return err
		}
		preimage := ""
		if v.Preimage != (wallet.Preimage{}) {
			preimage = v.Preimage.String()
		}
		res, err := tx.Exec(`insert into invoices (hash, preimage, account, amount, bolt11, description, description_hash, metadata, created, expires, hold, request)
			values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing`,
			v.Hash.String(), preimage, string(v.Account), int64(v.Amount), v.Bolt11, v.Description, v.DescriptionHash, v.Metadata, v.Created, v.Expires,
			v.Hold, string(request))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, other("an invoice with this payment hash exists"))
		}
		stored = v
		return nil
	})
	return stored, err
}

// open gives an account's balance; a new account is given its opening balance.
func open(tx *durable.Tx, account events.PubKey, opening events.Msat) (have events.Msat, err error) {
	err = tx.QueryRow("select balance from accounts where key = ?", string(account)).Scan(&have)
	if !errors.Is(err, sql.ErrNoRows) {
		return have, err
	}
	return opening, move(tx, mint, account, opening, "", "opening")
}

func move(tx *durable.Tx, from, to events.PubKey, amount events.Msat, hash, request string) error {
	for _, side := range []struct {
		account events.PubKey
		msat    events.Msat
	}{{from, -amount}, {to, amount}} {
		_, err := tx.Exec("insert into accounts (key, balance) values (?, ?) on conflict (key) do update set balance = balance + excluded.balance",
			string(side.account), int64(side.msat))
		if err != nil {
			return err
		}
		if _, err := tx.Exec("insert into entries (account, msat, hash, request) values (?, ?, ?, ?)",
			string(side.account), int64(side.msat), hash, request); err != nil {
			return err
		}
	}
	return nil
}

func (b *book) balance(account events.PubKey, opening events.Msat) (have events.Msat, err error) {
	err = b.db.QueryRow("select balance from accounts where key = ?", string(account)).Scan(&have)
	if !errors.Is(err, sql.ErrNoRows) {
		return have, err
	}
	err = b.db.Write(func(tx *durable.Tx) (err error) {
		have, err = open(tx, account, opening)
		return err
	})
	return have, err
}

func (b *book) find(hash wallet.Hash) (*invoice, error) {
	return scan(b.db.QueryRow(selectInvoice+" where hash = ?", hash.String()))
}

// check says whether the books are right: all balances together are zero, each is the sum of its entries, every invoice
// moved what its state says, and exactly the money of accepted ones is locked.
func (b *book) check() error {
	var sum, wrong, uneven, off int64
	err := b.db.QueryRow(`select (select coalesce(sum(balance), 0) from accounts),
		(select count(*) from accounts a where balance <> (select sum(msat) from entries e where e.account = a.key)),
		(select count(*) from invoices i where (select count(*) from entries e where e.hash = i.hash) <>
			2 * ((accepted > 0) + (settled > 0 or accepted > 0 and undone > 0)) or settled > 0 and undone > 0 or (hold > 0) < (accepted > 0)),
		(select coalesce((select balance from accounts where key = ?), 0) -
			(select coalesce(sum(amount), 0) from invoices where accepted > 0 and settled = 0 and undone = 0))`, locked).Scan(&sum, &wrong, &uneven, &off)
	if err != nil {
		return err
	}
	if sum != 0 || wrong != 0 || uneven != 0 || off != 0 {
		return fmt.Errorf("play money: balances add up to %d, %d accounts differ from their entries, %d invoices did not move what they say, %d too much is locked", sum, wrong, uneven, off)
	}
	return nil
}

// Check says whether the service's books are right.
func (s *Service) Check() error { return s.book.check() }
