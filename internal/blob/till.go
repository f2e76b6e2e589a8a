package blob

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"infernet/events"
	"infernet/wallet"
)

// Invoices of uploads.
const (
	invoiceFor  = 10 * time.Minute
	maxInvoices = 1000 // unpaid ones at once
	keyInvoices = 32   // of one key
	askWalletIn = 5 * time.Second
)

// charge asks for the payment of an upload, if it costs something (BUD-07): 402 with an invoice, until the preimage comes
// back in X-Lightning and the wallet says that it was paid. The hash is used up once the file is there, so an upload that
// was cut is not paid twice.
func (s *Server) charge(r *http.Request, key events.PubKey, sum string, size int64) (paid string, err error) {
	if !s.costs(key) {
		return "", nil
	}
	price := s.Price(size).CeilSat()
	if price <= 0 {
		return "", nil
	}
	if proof := strings.Trim(r.Header.Get("X-Lightning"), `"`); proof != "" {
		return s.checkPayment(r.Context(), proof, key, sum, size)
	}
	bolt11, err := s.invoice(r.Context(), key, sum, size, price)
	if err != nil {
		return "", err
	}
	no := refuse(http.StatusPaymentRequired, "%d bytes cost %s", size, price.Human())
	no.header = http.Header{"X-Lightning": {bolt11}}
	return "", no
}

// costs says whether a key's uploads cost something.
func (s *Server) costs(key events.PubKey) bool {
	return s.Price != nil && (s.Free == nil || !s.Free(key))
}

// invoice makes an invoice, or gives the one that waits to be paid for the same file.
func (s *Server) invoice(ctx context.Context, key events.PubKey, sum string, size int64, price events.Msat) (bolt11 string, err error) {
	now := s.Now()
	db := s.store.db
	err = db.QueryRow("select bolt11 from invoices where sum = ? and key = ? and size = ? and used = 0 and until > ?",
		sum, string(key), size, now.Add(time.Minute).Unix()).Scan(&bolt11)
	if !errors.Is(err, sql.ErrNoRows) {
		return bolt11, err
	}
	var open, mine int
	if err := db.QueryRow("select count(*), count(*) filter (where key = ?) from invoices where used = 0 and until > ?", string(key), now.Unix()).Scan(&open, &mine); err != nil {
		return "", err
	}
	if open >= maxInvoices || mine >= keyInvoices {
		return "", refuse(http.StatusTooManyRequests, "%d invoices wait to be paid, %d of them by your key; pay, or try later", open, mine)
	}
	made, err := s.Wallet.Invoice(ctx, wallet.InvoiceRequest{
		Amount: price, Description: fmt.Sprintf("infernet: keep %d bytes, %s", size, sum), Until: now.Add(invoiceFor),
	})
	if err != nil {
		s.Log.Error("cannot make an invoice for a file", "err", err)
		return "", refuse(http.StatusServiceUnavailable, "the wallet does not answer")
	}
	_, err = db.Exec("insert into invoices (hash, sum, key, size, bolt11, until) values (?, ?, ?, ?, ?, ?)",
		made.Hash.String(), sum, string(key), size, made.Bolt11, made.Until.Unix())
	return made.Bolt11, err
}

// checkPayment believes a preimage only if its invoice was made for this very upload, and the wallet has the money.
func (s *Server) checkPayment(ctx context.Context, proof string, key events.PubKey, sum string, size int64) (paid string, err error) {
	no := func(why string) error { return refuse(http.StatusBadRequest, "X-Lightning: %s", why) }
	r, err := wallet.ParsePreimage(proof)
	if err != nil {
		return "", no("no preimage of 64 hex characters")
	}
	var used bool
	err = s.store.db.QueryRow("select used from invoices where hash = ? and sum = ? and key = ? and size >= ?",
		r.Hash().String(), sum, string(key), size).Scan(&used)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", no("it opens no invoice of this upload")
	case err != nil:
		return "", err
	case used:
		return "", no("it was used before")
	}
	ctx, cancel := context.WithTimeout(ctx, askWalletIn)
	defer cancel()
	if _, err := s.Wallet.Await(ctx, r.Hash()); err != nil {
		return "", no("the wallet has no such payment")
	}
	return r.Hash().String(), nil
}
