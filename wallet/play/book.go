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

// mint is the account that new money comes from.
const mint = "mint"

var schema = durable.Schema{Version: 1, Tables: `
create table accounts (key text primary key, balance integer not null) without rowid;
create table entries  (seq integer primary key, account text not null, msat integer not null, hash text not null, request text not null);
create table invoices (hash text primary key, preimage text not null, account text not null, amount integer not null, bolt11 text not null,
                                     description text not null, created integer not null, expires integer not null, settled integer not null default 0,
                                     payer text not null default '', request text not null unique) without rowid;
create table refusals (request text primary key, code text not null, message text not null, at integer not null) without rowid;
`}

func openBook(path string) (*book, error) {
	db, err := durable.Open(path, schema)
	if err != nil {
		return nil, err
	}
	return &book{db}, nil
}

func (b *book) close() error { return b.db.Close() }

// invoice is one invoice of the service, and its payment.
type invoice struct {
	Hash        wallet.Hash
	Preimage    wallet.Preimage
	Account     events.PubKey // who is paid
	Amount      events.Msat
	Bolt11      string
	Description string
	Created     int64
	Expires     int64
	Settled     int64
	Payer       events.PubKey
}

func (v *invoice) transaction(way string) nip47.Transaction {
	t := nip47.Transaction{
		Type: way, State: "pending", Invoice: v.Bolt11, Description: v.Description, PaymentHash: v.Hash.String(), Amount: int64(v.Amount),
		CreatedAt: v.Created, ExpiresAt: v.Expires, SettledAt: v.Settled,
	}
	if v.Settled > 0 {
		t.State, t.Preimage = "settled", v.Preimage.String()
	}
	return t
}

// add writes an invoice down. A request that is repeated gets the invoice that it got before.
func (b *book) add(request events.ID, v *invoice) (stored *invoice, err error) {
	err = b.db.Write(func(tx *durable.Tx) error {
		stored, err = scan(tx.QueryRow(selectInvoice+" where request = ?", string(request)))
		if stored != nil || err != nil {
			return err
		}
		res, err := tx.Exec(`insert into invoices (hash, preimage, account, amount, bolt11, description, created, expires, request)
			values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing`,
			v.Hash.String(), v.Preimage.String(), string(v.Account), int64(v.Amount), v.Bolt11, v.Description, v.Created, v.Expires, string(request))
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

// pay moves the money of an invoice, once. first is false if this account had paid it before. A request that was refused
// stays refused: its payer has been told that nothing was sent, and whoever repeats it later must not make that untrue.
func (b *book) pay(request events.ID, payer events.PubKey, hash wallet.Hash, text string, opening events.Msat, now int64) (v *invoice, first bool, err error) {
	var refusal *nip47.Error
	err = b.db.Write(func(tx *durable.Tx) error {
		if refusal, err = refused(tx, request); refusal != nil || err != nil {
			return err
		}
		v, first, err = pay(tx, request, payer, hash, text, opening, now)
		if !errors.As(err, &refusal) {
			return err
		}
		if _, err := tx.Exec("delete from refusals where at < ?", now-int64(remember.Seconds())); err != nil {
			return err
		}
		_, err = tx.Exec("insert into refusals (request, code, message, at) values (?, ?, ?, ?)", string(request), refusal.Code, refusal.Message, now)
		return err
	})
	if err == nil && refusal != nil {
		err = refusal
	}
	return v, first, err
}

// remember is how long a refusal is kept: longer than its request can come again.
const remember = 10 * time.Minute

// refused gives the answer that a request got, if that was a no.
func refused(tx *durable.Tx, request events.ID) (*nip47.Error, error) {
	no := &nip47.Error{}
	err := tx.QueryRow("select code, message from refusals where request = ?", string(request)).Scan(&no.Code, &no.Message)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return no, err
}

// pay gives a *nip47.Error before anything is moved, or moves all.
func pay(tx *durable.Tx, request events.ID, payer events.PubKey, hash wallet.Hash, text string, opening events.Msat, now int64) (v *invoice, first bool, err error) {
	if v, err = scan(tx.QueryRow(selectInvoice+" where hash = ?", hash.String())); err != nil {
		return nil, false, err
	}
	switch {
	case v == nil || v.Bolt11 != text:
		return nil, false, failed("this service made no such invoice")
	case v.Settled > 0 && v.Payer == payer:
		return v, false, nil
	case v.Settled > 0:
		return nil, false, failed("the invoice is paid already")
	case now >= v.Expires:
		return nil, false, failed("the invoice has expired")
	case v.Account == payer:
		return nil, false, failed("an account cannot pay itself")
	}
	have, err := open(tx, payer, opening)
	if err != nil {
		return nil, false, err
	}
	if have < v.Amount {
		return nil, false, &nip47.Error{Code: nip47.CodeInsufficientBalance, Message: fmt.Sprintf("the account has %s, the invoice asks for %s", have.Human(), v.Amount.Human())}
	}
	if _, err := open(tx, v.Account, opening); err != nil {
		return nil, false, err
	}
	if err := move(tx, payer, v.Account, v.Amount, hash.String(), string(request)); err != nil {
		return nil, false, err
	}
	v.Settled, v.Payer = now, payer
	_, err = tx.Exec("update invoices set settled = ?, payer = ? where hash = ?", now, string(payer), hash.String())
	return v, true, err
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

const selectInvoice = "select hash, preimage, account, amount, bolt11, description, created, expires, settled, payer from invoices"

// scan reads an invoice; nil if there is none.
func scan(row *sql.Row) (*invoice, error) {
	v := &invoice{}
	var hash, preimage string
	err := row.Scan(&hash, &preimage, &v.Account, &v.Amount, &v.Bolt11, &v.Description, &v.Created, &v.Expires, &v.Settled, &v.Payer)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		v.Hash, err = wallet.ParseHash(hash)
	}
	if err == nil {
		v.Preimage, err = wallet.ParsePreimage(preimage)
	}
	return v, err
}

// check says whether the books are right: all balances together are zero, each is the sum of its entries, and every
// settled invoice was paid once.
func (b *book) check() error {
	var sum, wrong, twice int64
	err := b.db.QueryRow(`select (select coalesce(sum(balance), 0) from accounts),
		(select count(*) from accounts a where balance <> (select sum(msat) from entries e where e.account = a.key)),
		(select count(*) from invoices i where settled > 0 and (select count(*) from entries e where e.hash = i.hash) <> 2)`).Scan(&sum, &wrong, &twice)
	if err != nil {
		return err
	}
	if sum != 0 || wrong != 0 || twice != 0 {
		return fmt.Errorf("play money: balances add up to %d, %d accounts differ from their entries, %d invoices were not paid once", sum, wrong, twice)
	}
	return nil
}

// Check says whether the service's books are right.
func (s *Service) Check() error { return s.book.check() }
