package play

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"infernet/events"
	"infernet/internal/durable"
	"infernet/nips/nip47"
	"infernet/wallet"
)

// lock makes a hold invoice of an account and has another pay it.
func lock(t *testing.T, s *Service, payer, payee events.PubKey, r wallet.Preimage, amount events.Msat) nip47.Transaction {
	t.Helper()
	v, err := ask[nip47.Transaction](s, payee, nip47.MakeHoldInvoice, nip47.Holding{Amount: int64(amount), PaymentHash: r.Hash().String(), MinCLTVExpiryDelta: 40})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask[any](s, payer, nip47.PayInvoice, nip47.Paying{Invoice: v.Invoice}); err != nil {
		t.Fatal(err)
	}
	return v
}

func state(t *testing.T, s *Service, account events.PubKey, hash string) string {
	t.Helper()
	v, err := ask[nip47.Transaction](s, account, nip47.LookupInvoice, nip47.Looking{PaymentHash: hash})
	if err != nil {
		t.Fatal(err)
	}
	return v.State
}

func right(t *testing.T, s *Service) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// TestWhatIsLockedTooLongGoesBack lets blocks pass: from its deadline on a payment is the payer's again, whether or not the
// service has noticed, and also over a restart.
func TestWhatIsLockedTooLongGoesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bank.db")
	s := desk(t, path)
	height := int64(1000)
	s.Height = func() int64 { return height }
	payer, payee, r := account(), account(), wallet.NewPreimage()
	v := lock(t, s, payer, payee, r, 7*events.Sat)
	accepted, err := ask[nip47.Transaction](s, payee, nip47.LookupInvoice, nip47.Looking{PaymentHash: v.PaymentHash})
	if err != nil || accepted.State != nip47.Accepted || accepted.SettleDeadline != 1040 {
		t.Fatalf("locked: %+v, %v", accepted, err)
	}
	has(t, s, payer, s.Opening-7*events.Sat)
	has(t, s, payee, s.Opening)
	right(t, s)
	s.book.close()
	if s.book, err = openBook(path); err != nil {
		t.Fatal(err)
	}
	height = 1039
	s.lapse(t.Context())
	if got := state(t, s, payer, v.PaymentHash); got != nip47.Pending {
		t.Errorf("a block before the deadline it is %s", got)
	}
	height = 1040
	if _, err := ask[any](s, payee, nip47.SettleHoldInvoice, nip47.Settling{Preimage: r.String()}); code(err) != nip47.CodePaymentFailed {
		t.Errorf("settled at the deadline: %v", err)
	}
	for range 2 {
		s.lapse(t.Context())
		has(t, s, payer, s.Opening)
		has(t, s, payee, s.Opening)
		right(t, s)
	}
	if a, b := state(t, s, payer, v.PaymentHash), state(t, s, payee, v.PaymentHash); a != nip47.Failed || b != nip47.Failed {
		t.Errorf("after it lapsed it is %s to its payer, %s to its payee", a, b)
	}
	if _, err := ask[any](s, payer, nip47.PayInvoice, nip47.Paying{Invoice: v.Invoice}); code(err) != nip47.CodePaymentFailed {
		t.Errorf("paid again: %v", err)
	}
}

// TestARefusedSettlementStaysRefused replays requests that were refused, after what they asked for has become possible:
// their client was told that nothing was done.
func TestARefusedSettlementStaysRefused(t *testing.T) {
	s := desk(t, filepath.Join(t.TempDir(), "bank.db"))
	payer, payee, r := account(), account(), wallet.NewPreimage()
	v, err := ask[nip47.Transaction](s, payee, nip47.MakeHoldInvoice, nip47.Holding{Amount: 7000, PaymentHash: r.Hash().String()})
	if err != nil {
		t.Fatal(err)
	}
	settle := func() error {
		_, err := askAgain[any](s, events.ID(strings.Repeat("f", 64)), payee, nip47.SettleHoldInvoice, nip47.Settling{Preimage: r.String()})
		return err
	}
	if err := settle(); code(err) != nip47.CodePaymentFailed {
		t.Fatalf("settled before anything was locked: %v", err)
	}
	if _, err := ask[any](s, payer, nip47.PayInvoice, nip47.Paying{Invoice: v.Invoice}); err != nil {
		t.Fatal(err)
	}
	if err := settle(); code(err) != nip47.CodePaymentFailed {
		t.Errorf("repeated: %v", err)
	}
	has(t, s, payee, s.Opening)
	// a new request does settle, and repeating that moves nothing more
	for range 3 {
		if _, err := askAgain[any](s, events.ID(strings.Repeat("e", 64)), payee, nip47.SettleHoldInvoice, nip47.Settling{Preimage: r.String()}); err != nil {
			t.Error(err)
		}
	}
	has(t, s, payee, s.Opening+7*events.Sat)
	right(t, s)
}

func TestBadHoldRequestsGetTheirOwnErrors(t *testing.T) {
	s := desk(t, filepath.Join(t.TempDir(), "bank.db"))
	us, them, r := account(), account(), wallet.NewPreimage()
	plain, err := ask[nip47.Transaction](s, us, nip47.MakeInvoice, nip47.Invoicing{Amount: 1000, Preimage: wallet.NewPreimage().String()})
	if err != nil {
		t.Fatal(err)
	}
	locked := lock(t, s, them, us, r, events.Sat)
	for name, c := range map[string]struct {
		method string
		params any
		code   string
	}{
		"a hash that is none":         {nip47.MakeHoldInvoice, nip47.Holding{Amount: 1000, PaymentHash: "00"}, nip47.CodeOther},
		"no hash":                     {nip47.MakeHoldInvoice, nip47.Holding{Amount: 1000}, nip47.CodeOther},
		"a hash that is taken":        {nip47.MakeHoldInvoice, nip47.Holding{Amount: 1000, PaymentHash: locked.PaymentHash}, nip47.CodeOther},
		"for nothing":                 {nip47.MakeHoldInvoice, nip47.Holding{PaymentHash: wallet.NewPreimage().Hash().String()}, nip47.CodeOther},
		"held for ever":               {nip47.MakeHoldInvoice, nip47.Holding{Amount: 1, PaymentHash: wallet.NewPreimage().Hash().String(), MinCLTVExpiryDelta: 1 << 40}, nip47.CodeOther},
		"held for less than no time":  {nip47.MakeHoldInvoice, nip47.Holding{Amount: 1, PaymentHash: wallet.NewPreimage().Hash().String(), MinCLTVExpiryDelta: -1}, nip47.CodeOther},
		"a preimage that is none":     {nip47.SettleHoldInvoice, nip47.Settling{Preimage: "00"}, nip47.CodeOther},
		"a preimage of nothing":       {nip47.SettleHoldInvoice, nip47.Settling{Preimage: wallet.NewPreimage().String()}, nip47.CodeNotFound},
		"cancelling a plain invoice":  {nip47.CancelHoldInvoice, nip47.Cancelling{PaymentHash: plain.PaymentHash}, nip47.CodeOther},
		"cancelling nothing":          {nip47.CancelHoldInvoice, nip47.Cancelling{}, nip47.CodeOther},
		"a list of the future's past": {nip47.ListTransactions, nip47.Listing{Offset: -1}, nip47.CodeOther},
		"a list of strange things":    {nip47.ListTransactions, nip47.Listing{Type: "sideways"}, nip47.CodeOther},
	} {
		if got, err := ask[any](s, us, c.method, c.params); code(err) != c.code {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for method, params := range map[string]any{
		nip47.SettleHoldInvoice: nip47.Settling{Preimage: r.String()}, nip47.CancelHoldInvoice: nip47.Cancelling{PaymentHash: locked.PaymentHash},
	} {
		if _, err := ask[any](s, them, method, params); code(err) != nip47.CodeNotFound {
			t.Errorf("the payer's %s: %v", method, err)
		}
	}
	right(t, s)
}

// TestCheckNoticesWrongHolds shows that Check can fail where money is locked.
func TestCheckNoticesWrongHolds(t *testing.T) {
	for name, wrong := range map[string]string{
		"settled without a move":       "update invoices set settled = 1",
		"undone without a move":        "update invoices set undone = 1",
		"locked without a hold":        "update invoices set hold = 0",
		"locked more than is accepted": "update invoices set amount = amount - 1",
	} {
		s := desk(t, filepath.Join(t.TempDir(), "bank.db"))
		lock(t, s, account(), account(), wallet.NewPreimage(), events.Sat)
		right(t, s)
		if _, err := s.book.db.Exec(wrong); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err == nil {
			t.Errorf("%s was not noticed", name)
		}
	}
}

// TestPagesFitIntoAnEvent lists transactions with as much metadata as is kept.
func TestPagesFitIntoAnEvent(t *testing.T) {
	s := desk(t, filepath.Join(t.TempDir(), "bank.db"))
	us := account()
	for i := range 15 {
		note := nip47.Metadata(`{"comment":"` + strings.Repeat("x", 3500) + `"}`)
		if i == 7 {
			note = nip47.Metadata(`{"comment":"` + strings.Repeat("x", nip47.MaxMetadata) + `"}`) // too large: it falls away
		}
		if _, err := ask[nip47.Transaction](s, us, nip47.MakeInvoice, nip47.Invoicing{Amount: int64(i + 1), Metadata: note}); err != nil {
			t.Fatal(err)
		}
	}
	seen, without := map[int64]bool{}, 0
	for offset := int64(0); ; {
		page, err := ask[nip47.Transactions](s, us, nip47.ListTransactions, nip47.Listing{Unpaid: true, Offset: offset})
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Transactions) == 0 {
			break
		}
		if len(page.Transactions) > 12 {
			t.Errorf("a page has %d transactions, more than fit", len(page.Transactions))
		}
		for _, tx := range page.Transactions {
			seen[tx.Amount] = true
			if tx.Metadata == "" {
				without++
			}
		}
		offset += int64(len(page.Transactions))
	}
	if len(seen) != 15 || without != 1 {
		t.Errorf("%d of 15 were listed, %d without metadata", len(seen), without)
	}
}

func TestALimitForEachAccount(t *testing.T) {
	var l limit
	now, us, them := time.Now(), account(), account()
	used := 0
	for l.allow(us, now) {
		used++
	}
	if used != burst || !l.allow(them, now) {
		t.Errorf("%d at once, another account is answered: %v", used, l.allow(them, now))
	}
	if now = now.Add(time.Second); !l.allow(us, now) {
		t.Error("a second later it is not answered")
	}
	used = 1
	for l.allow(us, now) {
		used++
	}
	if used != perSecond {
		t.Errorf("%d in a second", used)
	}
}

// TestBooksOfTheFirstVersionAreReadOn opens a ledger as the first version wrote it.
func TestBooksOfTheFirstVersionAreReadOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bank.db")
	first := durable.Schema{Version: 1, Tables: strings.Replace(schema.Tables, second, "", 1)}
	db, err := durable.Open(path, first)
	if err != nil {
		t.Fatal(err)
	}
	us, r := account(), wallet.NewPreimage()
	for _, statement := range []string{
		"insert into accounts values ('mint', -5000), ('" + string(us) + "', 5000)",
		"insert into entries (account, msat, hash, request) values ('mint', -5000, '', 'opening'), ('" + string(us) + "', 5000, '', 'opening')",
		"insert into invoices (hash, preimage, account, amount, bolt11, description, created, expires, request) values ('" + r.Hash().String() + "', '" + r.String() + "', '" + string(us) + "', 1000, 'lnbcrt1', 'old', 1, 2, 'r')",
	} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	s := desk(t, path)
	has(t, s, us, 5000)
	if got := state(t, s, us, r.Hash().String()); got != nip47.Expired {
		t.Errorf("the old invoice is %s", got)
	}
	lock(t, s, account(), us, wallet.NewPreimage(), events.Sat)
	right(t, s)
}
