package serve

import (
	"context"
	"errors"
	"time"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// request is what a wallet is asked for. Expiry is in seconds; an hour if it is none.
func (s *Service) request(amount, expiry int64, description string) (ask wallet.InvoiceRequest, err error) {
	if amount <= 0 || events.Msat(amount) > events.MaxMsat {
		return ask, other("amount %d is not 1 to %d msat", amount, int64(events.MaxMsat))
	}
	life := time.Duration(expiry) * time.Second
	if expiry <= 0 || expiry > 365*24*3600 {
		life = bolt11.DefaultExpiry
	}
	return wallet.InvoiceRequest{Amount: events.Msat(amount), Description: description, Until: s.Now().Add(life)}, nil
}

func (s *Service) makeInvoice(ctx context.Context, from asked, receiver wallet.Receiver) (any, error) {
	var p nip47.Invoicing
	if err := read(from.Params, &p); err != nil {
		return nil, err
	}
	if p.DescriptionHash != "" {
		return nil, other("this wallet makes no invoices with a description_hash")
	}
	ask, err := s.request(p.Amount, p.Expiry, p.Description)
	if err != nil {
		return nil, err
	}
	var v *wallet.Invoice
	if p.Preimage == "" {
		v, err = receiver.Invoice(ctx, ask)
	} else {
		r, bad := wallet.ParsePreimage(p.Preimage)
		sealer, ok := s.Wallet.(wallet.Sealer)
		if bad != nil || !ok {
			return nil, other("preimage: this wallet takes none, or it is no 64 hex characters")
		}
		if bad := s.free(from, r.Hash()); bad != nil {
			return nil, bad
		}
		v, err = sealer.SealedInvoice(ctx, ask, r)
	}
	if err != nil {
		return nil, said(err)
	}
	return s.keep(ctx, from, v, ask.Description, p.Metadata, false)
}

// free says whether a chosen hash is nobody else's.
func (s *Service) free(from asked, hash wallet.Hash) error {
	t, err := find(s.Book.db, nip47.Incoming, hash)
	if err == nil && t != nil && t.Client != from.client {
		return other("an invoice of this payment hash is another connection's")
	}
	return err
}

// keep writes an invoice down, and watches it.
func (s *Service) keep(ctx context.Context, from asked, v *wallet.Invoice, description string, metadata nip47.Metadata, hold bool) (any, error) {
	if kept, err := find(s.Book.db, nip47.Incoming, v.Hash); err != nil || kept != nil {
		if err == nil && kept.Client != from.client {
			err = other("an invoice of this payment hash is another connection's")
		}
		if err != nil {
			return nil, err
		}
		return kept.Transaction, nil
	}
	if len(metadata) > nip47.MaxMetadata {
		metadata = ""
	}
	b, err := bolt11.Decode(v.Bolt11)
	if err != nil {
		return nil, err
	}
	t := &transaction{Client: from.client, Hold: hold, Transaction: nip47.Transaction{
		Type: nip47.Incoming, State: nip47.Pending, Invoice: v.Bolt11, Description: description, PaymentHash: v.Hash.String(),
		Amount: int64(v.Amount), CreatedAt: b.Timestamp.Unix(), ExpiresAt: v.Until.Unix(), Metadata: metadata,
	}}
	if err := put(s.Book.db, t); err != nil {
		return nil, err
	}
	s.watch(ctx, t)
	return t.Transaction, nil
}

// lapsing is how often a locked payment is looked at that its connection neither takes nor gives back.
const lapsing = 10 * time.Second

// watch follows an invoice until it is settled, or cannot be.
func (s *Service) watch(ctx context.Context, t *transaction) {
	receiver, ok := s.Wallet.(wallet.Receiver)
	if !ok {
		return
	}
	s.wait.Go(func() {
		for {
			paid, err := receiver.Await(ctx, t.hash())
			switch {
			case ctx.Err() != nil:
				return
			case err == nil && paid.Held:
				s.locked(ctx, t, paid)
				select {
				case <-ctx.Done():
					return
				case <-time.After(lapsing):
				}
				if now, err := find(s.Book.db, nip47.Incoming, t.hash()); err == nil && now.State != nip47.Accepted {
					return // taken or given back by its connection
				}
				continue
			case err == nil:
				s.settled(ctx, t.hash(), "", paid.At)
			case errors.Is(err, wallet.ErrExpired), errors.Is(err, wallet.ErrNotFound):
				s.over(t.hash())
			default:
				s.Log.Warn("an invoice cannot be watched, tries again", "hash", t.PaymentHash, "err", err)
				select {
				case <-ctx.Done():
					return
				case <-time.After(time.Second):
				}
				continue
			}
			return
		}
	})
}

func (s *Service) locked(ctx context.Context, t *transaction, held wallet.Settlement) {
	var deadline int64
	if c, ok := s.Wallet.(chained); ok && held.Blocks > 0 {
		if _, height, _, err := c.Chain(ctx); err == nil {
			deadline = height + int64(held.Blocks)
		}
	}
	now, changed, err := s.Book.change(nip47.Incoming, t.hash(), func(t *transaction) { t.State, t.SettleDeadline = nip47.Accepted, deadline })
	if err != nil {
		s.Log.Error("the wallet book failed", "err", err)
	}
	if changed {
		s.notify(ctx, nip47.HoldInvoiceAccepted, now)
	}
}

// settled writes down that money came. r may be "": then the connection has it, or the wallet keeps it.
func (s *Service) settled(ctx context.Context, hash wallet.Hash, r string, at time.Time) {
	if s, ok := s.Wallet.(revealer); ok && r == "" {
		if known, err := s.Preimage(ctx, hash); err == nil {
			r = known.String()
		}
	}
	t, changed, err := s.Book.change(nip47.Incoming, hash, func(t *transaction) { t.State, t.Preimage, t.SettledAt = nip47.Settled, r, at.Unix() })
	if err != nil {
		s.Log.Error("the wallet book failed", "err", err)
	}
	if changed {
		s.notify(ctx, nip47.PaymentReceived, t)
	}
}

// revealer is a wallet that tells the preimage of an invoice of its own that is paid.
type revealer interface {
	Preimage(ctx context.Context, hash wallet.Hash) (wallet.Preimage, error)
}

func (s *Service) over(hash wallet.Hash) {
	_, _, err := s.Book.change(nip47.Incoming, hash, func(t *transaction) {
		if t.State = nip47.Expired; t.Hold {
			t.State = nip47.Failed
		}
	})
	if err != nil {
		s.Log.Error("the wallet book failed", "err", err)
	}
}

// nothing is the result of methods that have none to give.
type nothing struct{}

// hold makes, settles and cancels hold invoices.
func (s *Service) hold(ctx context.Context, from asked, holder wallet.Holder) (any, error) {
	switch from.Method {
	case nip47.MakeHoldInvoice:
		return s.makeHoldInvoice(ctx, from, holder)
	case nip47.SettleHoldInvoice:
		var p nip47.Settling
		if err := read(from.Params, &p); err != nil {
			return nil, err
		}
		r, err := wallet.ParsePreimage(p.Preimage)
		if err != nil {
			return nil, other("preimage: %v", err)
		}
		if err := s.own(from, r.Hash()); err != nil {
			return nil, err
		}
		if err := holder.Settle(ctx, r); err != nil {
			return nil, said(err)
		}
		s.settled(ctx, r.Hash(), r.String(), s.Now())
		return nothing{}, nil
	}
	var p nip47.Cancelling
	if err := read(from.Params, &p); err != nil {
		return nil, err
	}
	hash, err := wallet.ParseHash(p.PaymentHash)
	if err != nil {
		return nil, other("payment_hash: %v", err)
	}
	if err := s.own(from, hash); err != nil {
		return nil, err
	}
	if err := holder.Cancel(ctx, hash); err != nil {
		return nil, said(err)
	}
	s.over(hash)
	return nothing{}, nil
}

// own says whether a hold invoice is this connection's.
func (s *Service) own(from asked, hash wallet.Hash) error {
	t, err := find(s.Book.db, nip47.Incoming, hash)
	switch {
	case err != nil:
		return err
	case t == nil || t.Client != from.client:
		return &nip47.Error{Code: nip47.CodeNotFound, Message: "no invoice of yours has this hash"}
	case !t.Hold:
		return other("it is no hold invoice")
	}
	return nil
}

func (s *Service) makeHoldInvoice(ctx context.Context, from asked, holder wallet.Holder) (any, error) {
	var p nip47.Holding
	if err := read(from.Params, &p); err != nil {
		return nil, err
	}
	hash, err := wallet.ParseHash(p.PaymentHash)
	if err != nil {
		return nil, other("payment_hash: %v", err)
	}
	if p.DescriptionHash != "" {
		return nil, other("this wallet makes no invoices with a description_hash")
	}
	if p.MinCLTVExpiryDelta < 0 || p.MinCLTVExpiryDelta > 2016 {
		return nil, other("min_cltv_expiry_delta %d is not 1 to 2016 blocks", p.MinCLTVExpiryDelta)
	}
	ask, err := s.request(p.Amount, p.Expiry, p.Description)
	if err != nil {
		return nil, err
	}
	if err := s.free(from, hash); err != nil {
		return nil, err
	}
	ask.Blocks = int(p.MinCLTVExpiryDelta)
	v, err := holder.HoldInvoice(ctx, ask, hash)
	if err != nil {
		return nil, said(err)
	}
	return s.keep(ctx, from, v, ask.Description, p.Metadata, true)
}

// resume looks again after all that was under way when the service ended.
func (s *Service) resume(ctx context.Context) error {
	coming, err := s.Book.open(nip47.Incoming)
	if err != nil {
		return err
	}
	for _, t := range coming {
		s.watch(ctx, t)
	}
	payer, ok := s.Wallet.(wallet.Payer)
	going, err := s.Book.open(nip47.Outgoing)
	if err != nil || !ok {
		return err
	}
	for _, t := range going {
		s.wait.Go(func() {
			if err := s.finish(ctx, payer, t); err != nil && ctx.Err() == nil {
				s.Log.Info("a payment of before failed", "hash", t.PaymentHash, "err", err)
			}
		})
	}
	return nil
}
