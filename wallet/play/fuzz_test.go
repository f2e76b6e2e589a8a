package play

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"infernet/events"
	"infernet/internal/pool"
	"infernet/nips/nip47"
)

// FuzzRequest asks the bank for anything, twice: it is carried out once or refused with a code, and the books are right.
func FuzzRequest(f *testing.F) {
	for _, method := range methods {
		for _, params := range []string{``, `{}`, `null`, `[]`, `{"amount":-1}`, `{"amount":1e99}`} {
			f.Add(method, params)
		}
	}
	f.Add(nip47.MakeInvoice, `{"amount":1000,"description":"\u0000","expiry":-9223372036854775808,"preimage":"00"}`)
	f.Add(nip47.MakeInvoice, `{"amount":9007199254740991,"description_hash":"zz","metadata":{"a":[1]}}`)
	f.Add(nip47.PayInvoice, `{"invoice":"INVOICE"}`)
	f.Add(nip47.PayInvoice, `{"invoice":"INVOICE","amount":5}`)
	f.Add(nip47.LookupInvoice, `{"payment_hash":"","invoice":"lnbc1"}`)
	f.Add(nip47.ListTransactions, `{"from":-1,"until":1,"limit":-5,"offset":9223372036854775807,"unpaid":true,"type":"x"}`)
	f.Add(nip47.MakeHoldInvoice, `{"amount":1000,"payment_hash":"0000000000000000000000000000000000000000000000000000000000000000","min_cltv_expiry_delta":-1}`)
	f.Add("pay_keysend", `{}`)
	s, err := NewService(Config{Relays: []string{"ws://127.0.0.1:1"}, Keys: events.GenerateKeys(), Path: filepath.Join(f.TempDir(), "bank.db")})
	if err != nil {
		f.Fatal(err)
	}
	s.pool = pool.New(f.Context(), nil)
	f.Cleanup(func() { s.pool.Close(); s.book.close() })
	payer, payee := events.GenerateKeys().PublicKey(), events.GenerateKeys().PublicKey()
	n := 0
	next := func() events.ID { n++; return events.ID(fmt.Sprintf("%064x", n)) }
	f.Fuzz(func(t *testing.T, method, params string) {
		made, _, err := s.do(next(), payee, nip47.Request{Method: nip47.MakeInvoice, Params: json.RawMessage(`{"amount":1000}`)})
		if err != nil {
			t.Fatal(err)
		}
		v, err := json.Marshal(made)
		if err != nil {
			t.Fatal(err)
		}
		var invoice nip47.Transaction
		json.Unmarshal(v, &invoice)
		raw := json.RawMessage(replaced(params, "INVOICE", invoice.Invoice))
		if len(raw) > 0 && !json.Valid(raw) {
			return // the message around it would be none
		}
		id := next()
		_, _, first := s.do(id, payer, nip47.Request{Method: method, Params: raw})
		before := s.sums(t, payer, payee)
		_, _, again := s.do(id, payer, nip47.Request{Method: method, Params: raw})
		for _, err := range []error{first, again} {
			var no *nip47.Error
			if err != nil && (!errors.As(err, &no) || no.Code == "") {
				t.Fatalf("%s %s: an error without a code: %v", method, raw, err)
			}
		}
		if after := s.sums(t, payer, payee); after != before {
			t.Fatalf("%s %s, repeated, moves money: %v to %v", method, raw, before, after)
		}
		if err := s.Check(); err != nil {
			t.Fatalf("%s %s: %v", method, raw, err)
		}
	})
}

func replaced(s, old, with string) string {
	body, _ := json.Marshal(with)
	return strings.ReplaceAll(s, `"`+old+`"`, string(body))
}

// sums are the balances of two accounts.
func (s *Service) sums(t *testing.T, accounts ...events.PubKey) (sums [2]events.Msat) {
	t.Helper()
	for i, account := range accounts {
		balance, err := s.book.balance(account, s.Opening)
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = balance
	}
	return sums
}
