package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"infernet/events"
	"infernet/internal/durable"
	"infernet/nips/nip47"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

func failed(format string, args ...any) error {
	return &nip47.Error{Code: nip47.CodePaymentFailed, Message: fmt.Sprintf(format, args...)}
}

// payInvoice pays within the connection's budget. Asked again for the same invoice, it gives the same preimage and pays
// nothing.
func (s *Service) payInvoice(ctx context.Context, from asked, payer wallet.Payer) (any, error) {
	var p nip47.Paying
	if err := read(from.Params, &p); err != nil {
		return nil, err
	}
	b, err := bolt11.Decode(p.Invoice)
	switch {
	case err != nil:
		return nil, failed("%v", err)
	case b.Amount == 0:
		return nil, failed("the invoice names no amount")
	case p.Amount != 0 && events.Msat(p.Amount) != b.Amount:
		return nil, failed("the invoice asks for %d msat, not %d", b.Amount, p.Amount)
	case b.Expired(s.Now()):
		return nil, failed("the invoice has expired")
	}
	if len(p.Metadata) > nip47.MaxMetadata {
		p.Metadata = ""
	}
	t := &transaction{Client: from.client, Transaction: nip47.Transaction{
		Type: nip47.Outgoing, State: nip47.Pending, Invoice: p.Invoice, Description: b.Description, PaymentHash: b.PaymentHash.String(),
		Amount: int64(b.Amount), FeesPaid: int64(s.MaxFee(b.Amount)), CreatedAt: s.Now().Unix(), ExpiresAt: b.Expires().Unix(), Metadata: p.Metadata,
	}}
	if b.DescriptionHash != nil {
		t.DescriptionHash = fmt.Sprintf("%x", *b.DescriptionHash)
	}
	before, err := s.Book.reserve(t, from.Connection, s.Now())
	if err != nil {
		return nil, err
	}
	if before != nil && before.State == nip47.Settled {
		return nip47.Paid{Preimage: before.Preimage, FeesPaid: before.FeesPaid}, nil
	}
	why := s.finish(ctx, payer, t)
	ended, err := find(s.Book.db, nip47.Outgoing, b.PaymentHash)
	switch {
	case err != nil:
		return nil, err
	case ended.State == nip47.Settled:
		return nip47.Paid{Preimage: ended.Preimage, FeesPaid: ended.FeesPaid}, nil
	case why == nil: // another request's payment, which failed
		why = failed("the payment failed")
	}
	return nil, said(why)
}

// reserve writes down what is about to be paid, with the most that its fee can be, if the connection's budget has room for
// it. before is the same payment, if it is there already.
func (b *Book) reserve(t *transaction, c *Connection, now time.Time) (before *transaction, err error) {
	err = b.db.Write(func(tx *durable.Tx) error {
		if before, err = find(tx, nip47.Outgoing, t.hash()); err != nil {
			return err
		}
		if before != nil && before.State != nip47.Failed {
			if before.Client != t.Client || before.Invoice != t.Invoice {
				return failed("another connection pays this payment hash")
			}
			return nil
		}
		before = nil
		if c.PerPayment > 0 && events.Msat(t.Amount) > c.PerPayment {
			return &nip47.Error{Code: nip47.CodeQuotaExceeded, Message: fmt.Sprintf("the invoice asks for %s, this connection pays %s at once at most", events.Msat(t.Amount).Human(), c.PerPayment.Human())}
		}
		if c.PerDay > 0 {
			had, err := spent(tx, t.Client, now.Add(-24*time.Hour))
			if err != nil {
				return err
			}
			if needs := had + events.Msat(t.Amount+t.FeesPaid); needs > c.PerDay {
				return &nip47.Error{Code: nip47.CodeQuotaExceeded, Message: fmt.Sprintf("with its fee it could be %s in 24 hours, this connection pays %s at most", needs.Human(), c.PerDay.Human())}
			}
		}
		return put(tx, t)
	})
	return before, err
}

// finish has the wallet pay until the payment has its end, and writes that down. All who ask for one payment share it. The
// error is why it failed, for the one who made it.
func (s *Service) finish(ctx context.Context, payer wallet.Payer, t *transaction) error {
	s.mu.Lock()
	done, under := s.paying[t.hash()]
	if !under {
		done = make(chan struct{})
		s.paying[t.hash()] = done
	}
	s.mu.Unlock()
	if under {
		select {
		case <-done:
		case <-ctx.Done():
		}
		return nil
	}
	defer func() {
		s.mu.Lock()
		delete(s.paying, t.hash())
		s.mu.Unlock()
		close(done)
	}()
	for {
		r, err := payer.Pay(ctx, t.Invoice, s.MaxFee(events.Msat(t.Amount)))
		switch {
		case err == nil:
			return s.paid(ctx, payer, t, r)
		case errors.Is(err, wallet.ErrInsufficient), errors.Is(err, wallet.ErrRejected), errors.Is(err, wallet.ErrExpired):
			_, _, bad := s.Book.change(nip47.Outgoing, t.hash(), func(t *transaction) { t.State, t.FeesPaid = nip47.Failed, 0 })
			return errors.Join(err, bad)
		}
		s.Log.Warn("the wallet does not say whether it paid, asks again", "hash", t.PaymentHash, "err", err)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

func (s *Service) paid(ctx context.Context, payer wallet.Payer, t *transaction, r wallet.Preimage) error {
	var fee events.Msat
	if sent, err := payer.Sent(ctx, r.Hash()); err == nil {
		fee = sent.Fee
	}
	ended, changed, err := s.Book.change(nip47.Outgoing, t.hash(), func(t *transaction) {
		t.State, t.Preimage, t.FeesPaid, t.SettledAt = nip47.Settled, r.String(), int64(fee), s.Now().Unix()
	})
	if changed {
		s.notify(ctx, nip47.PaymentSent, ended)
	}
	return err
}
