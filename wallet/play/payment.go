package play

import (
	"fmt"

	"infernet/events"
	"infernet/internal/durable"
	"infernet/nips/nip47"
	"infernet/wallet"
)

// payment is what a payer asks for, and when.
type payment struct {
	request events.ID
	payer   events.PubKey
	hash    wallet.Hash
	text    string // the invoice
	note    nip47.Metadata
	opening events.Msat
	now     int64
	height  int64
}

// pay moves the money of an invoice, once: to its account, or, of a hold invoice, where it is locked. first is false if
// this account had paid it before.
func (b *book) pay(p payment) (v *invoice, first bool, err error) {
	err = b.once(p.request, p.now, func(tx *durable.Tx) error {
		v, first, err = p.pay(tx)
		return err
	})
	return v, first, err
}

func (p payment) pay(tx *durable.Tx) (v *invoice, first bool, err error) {
	if v, err = scan(tx.QueryRow(selectInvoice+" where hash = ?", p.hash.String())); err != nil {
		return nil, false, err
	}
	switch {
	case v == nil || v.Bolt11 != p.text:
		return nil, false, failed("this service made no such invoice")
	case v.Undone > 0 && v.Payer == p.payer:
		return nil, false, failed("the payment came back: its payee did not take it")
	case v.Undone > 0:
		return nil, false, failed("the invoice was cancelled")
	case v.paid() > 0 && v.Payer == p.payer:
		return v, false, nil
	case v.paid() > 0:
		return nil, false, failed("the invoice is paid already")
	case p.now >= v.Expires:
		return nil, false, failed("the invoice has expired")
	case v.Account == p.payer:
		return nil, false, failed("an account cannot pay itself")
	}
	have, err := open(tx, p.payer, p.opening)
	if err != nil {
		return nil, false, err
	}
	if have < v.Amount {
		return nil, false, &nip47.Error{Code: nip47.CodeInsufficientBalance, Message: fmt.Sprintf("the account has %s, the invoice asks for %s", have.Human(), v.Amount.Human())}
	}
	if _, err := open(tx, v.Account, p.opening); err != nil {
		return nil, false, err
	}
	to := v.Account
	if v.Payer, v.Note = p.payer, p.note; v.Hold > 0 {
		to, v.Accepted, v.Deadline = locked, p.now, p.height+v.Hold
	} else {
		v.Settled = p.now
	}
	if err := move(tx, p.payer, to, v.Amount, p.hash.String(), string(p.request)); err != nil {
		return nil, false, err
	}
	_, err = tx.Exec("update invoices set settled = ?, accepted = ?, deadline = ?, payer = ?, note = ? where hash = ?",
		v.Settled, v.Accepted, v.Deadline, string(v.Payer), v.Note, p.hash.String())
	return v, true, err
}

// own finds an account's hold invoice.
func own(tx *durable.Tx, account events.PubKey, hash wallet.Hash) (*invoice, error) {
	v, err := scan(tx.QueryRow(selectInvoice+" where hash = ?", hash.String()))
	switch {
	case err != nil:
		return nil, err
	case v == nil || v.Account != account:
		return nil, &nip47.Error{Code: nip47.CodeNotFound, Message: "no invoice of yours has this hash"}
	case v.Hold == 0:
		return nil, other("it is no hold invoice")
	}
	return v, nil
}

// settle gives the locked money of a hold invoice to its account. first is false if it had it already.
func (b *book) settle(request events.ID, account events.PubKey, r wallet.Preimage, now, height int64) (v *invoice, first bool, err error) {
	err = b.once(request, now, func(tx *durable.Tx) error {
		if v, err = own(tx, account, r.Hash()); err != nil {
			return err
		}
		switch {
		case v.Settled > 0:
			return nil
		case v.Undone > 0:
			return failed("the payment went back to its payer")
		case v.Accepted == 0:
			return failed("nothing is locked for this invoice yet")
		case height >= v.Deadline:
			return failed("the payment goes back to its payer: it had to be settled before block %d", v.Deadline)
		}
		if err := move(tx, locked, v.Account, v.Amount, v.Hash.String(), string(request)); err != nil {
			return err
		}
		v.Settled, v.Preimage, first = now, r, true
		_, err = tx.Exec("update invoices set settled = ?, preimage = ? where hash = ?", now, r.String(), v.Hash.String())
		return err
	})
	return v, first, err
}

// cancel gives the locked money of a hold invoice back, or sees to it that none is ever locked. first is false if that
// was done already.
func (b *book) cancel(request events.ID, account events.PubKey, hash wallet.Hash, now int64) (v *invoice, first bool, err error) {
	err = b.once(request, now, func(tx *durable.Tx) error {
		if v, err = own(tx, account, hash); err != nil {
			return err
		}
		switch {
		case v.Settled > 0:
			return failed("the payment was settled already")
		case v.Undone > 0:
			return nil
		}
		first = true
		return undo(tx, v, string(request), now)
	})
	return v, first, err
}

func undo(tx *durable.Tx, v *invoice, request string, now int64) error {
	if v.Accepted > 0 {
		if err := move(tx, locked, v.Payer, v.Amount, v.Hash.String(), request); err != nil {
			return err
		}
	}
	v.Undone = now
	_, err := tx.Exec("update invoices set undone = ? where hash = ?", now, v.Hash.String())
	return err
}

// lapse gives back what was locked for too long.
func (b *book) lapse(now, height int64) (back []*invoice, err error) {
	const late = " where accepted > 0 and settled = 0 and undone = 0 and deadline <= ?"
	var n int
	if err := b.db.QueryRow("select count(*) from invoices"+late, height).Scan(&n); err != nil || n == 0 {
		return nil, err
	}
	err = b.db.Write(func(tx *durable.Tx) error {
		back = nil
		rows, err := tx.Query(selectInvoice+late, height)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			v, err := scan(rows)
			if err != nil {
				return err
			}
			back = append(back, v)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, v := range back {
			if err := undo(tx, v, "lapsed", now); err != nil {
				return err
			}
		}
		return nil
	})
	return back, err
}
