package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/pool"
	"infernet/nips/nip47"
	"infernet/wallet"
)

// desk is a service without its relay: requests are handed to it.
func desk(t *testing.T, path string) *Service {
	t.Helper()
	s, err := NewService(Config{Relays: []string{"ws://127.0.0.1:1"}, Keys: events.GenerateKeys(), Path: path})
	if err != nil {
		t.Fatal(err)
	}
	s.pool = pool.New(context.Background(), s.Relays)
	t.Cleanup(func() { s.pool.Close(); s.book.close() })
	return s
}

var requests int

// ask carries one new request out.
func ask[R any](s *Service, client events.PubKey, method string, params any) (r R, err error) {
	requests++
	return askAgain[R](s, events.ID(fmt.Sprintf("%064x", requests)), client, method, params)
}

func askAgain[R any](s *Service, id events.ID, client events.PubKey, method string, params any) (r R, err error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return r, err
	}
	result, _, err := s.do(id, client, nip47.Request{Method: method, Params: raw})
	if err != nil {
		return r, err
	}
	if raw, err = json.Marshal(result); err != nil {
		return r, err
	}
	return r, json.Unmarshal(raw, &r)
}

func code(err error) string {
	var no *nip47.Error
	if errors.As(err, &no) {
		return no.Code
	}
	return ""
}

func has(t *testing.T, s *Service, account events.PubKey, want events.Msat) {
	t.Helper()
	b, err := ask[nip47.Balance](s, account, nip47.GetBalance, struct{}{})
	if err != nil || events.Msat(b.Balance) != want {
		t.Errorf("the account has %d msat, not %d; %v", b.Balance, want, err)
	}
}

func account() events.PubKey { return events.GenerateKeys().PublicKey() }

// TestARefusedPaymentStaysRefused: the payer was told that nothing was sent, and may have bought elsewhere since. Whoever
// brings the signed request again, when there is money, must not make it pay after all.
func TestARefusedPaymentStaysRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bank.db")
	s := desk(t, path)
	payer, payee := account(), account()
	dear, err := ask[nip47.Transaction](s, payee, nip47.MakeInvoice, nip47.Invoicing{Amount: int64(s.Opening + events.Sat)})
	if err != nil {
		t.Fatal(err)
	}
	request := events.ID(strings.Repeat("f", 64))
	pay := func(s *Service) error {
		_, err := askAgain[nip47.Paid](s, request, payer, nip47.PayInvoice, nip47.Paying{Invoice: dear.Invoice})
		return err
	}
	if err := pay(s); code(err) != nip47.CodeInsufficientBalance {
		t.Fatal(err)
	}
	// now somebody pays the payer
	gift, err := ask[nip47.Transaction](s, payer, nip47.MakeInvoice, nip47.Invoicing{Amount: int64(5 * events.Sat)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask[nip47.Paid](s, account(), nip47.PayInvoice, nip47.Paying{Invoice: gift.Invoice}); err != nil {
		t.Fatal(err)
	}
	if err := pay(s); code(err) != nip47.CodeInsufficientBalance {
		t.Errorf("repeated: %v", err)
	}
	s.book.close()
	if s.book, err = openBook(path); err != nil {
		t.Fatal(err)
	}
	if err := pay(s); code(err) != nip47.CodeInsufficientBalance {
		t.Errorf("repeated after a restart: %v", err)
	}
	has(t, s, payer, s.Opening+5*events.Sat)
	// a new request of the payer's own does pay
	if _, err := ask[nip47.Paid](s, payer, nip47.PayInvoice, nip47.Paying{Invoice: dear.Invoice}); err != nil {
		t.Error(err)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestARepeatedRequestMakesOneInvoice(t *testing.T) {
	s := desk(t, filepath.Join(t.TempDir(), "bank.db"))
	id, payee := events.ID(strings.Repeat("e", 64)), account()
	var first nip47.Transaction
	for i := range 3 {
		tx, err := askAgain[nip47.Transaction](s, id, payee, nip47.MakeInvoice, nip47.Invoicing{Amount: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = tx
		}
		if tx != first {
			t.Errorf("time %d: %+v, not %+v", i, tx, first)
		}
	}
}

// TestRequestsOfAnotherTimeAreIgnored hands in signed requests that all would pay; only one of them may.
func TestRequestsOfAnotherTimeAreIgnored(t *testing.T) {
	ctx := context.Background()
	now := time.Now()
	for name, c := range map[string]struct {
		age     time.Duration
		expires time.Duration // from now; 0: never
		pays    bool
	}{
		"fresh":                     {0, 0, true},
		"fresh, and not expired":    {0, time.Minute, true},
		"nearly two minutes old":    {lookBack - 10*time.Second, 0, true},
		"older than two minutes":    {lookBack + 10*time.Second, 0, false},
		"a day old":                 {24 * time.Hour, 0, false},
		"of the future":             {-events.MaxFuture - 10*time.Second, 0, false},
		"fresh, but it has expired": {30 * time.Second, -5 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := desk(t, filepath.Join(t.TempDir(), "bank.db"))
			client := events.GenerateKeys()
			v, err := ask[nip47.Transaction](s, account(), nip47.MakeInvoice, nip47.Invoicing{Amount: 1000})
			if err != nil {
				t.Fatal(err)
			}
			params, _ := json.Marshal(nip47.Paying{Invoice: v.Invoice})
			body, _ := json.Marshal(nip47.Request{Method: nip47.PayInvoice, Params: params})
			cipher, err := client.Encrypt(ctx, s.Keys.PublicKey(), string(body))
			if err != nil {
				t.Fatal(err)
			}
			ev := &nostr.Event{Kind: nip47.KindRequest, CreatedAt: nostr.Timestamp(now.Add(-c.age).Unix()), Content: cipher, Tags: nostr.Tags{{"p", string(s.Keys.PublicKey())}}}
			if c.expires != 0 {
				ev.Tags = append(ev.Tags, nostr.Tag{"expiration", fmt.Sprint(now.Add(c.expires).Unix())})
			}
			if err := client.Sign(ctx, ev); err != nil {
				t.Fatal(err)
			}
			s.answer(ctx, ev)
			want := s.Opening
			if c.pays {
				want -= events.Sat
			}
			has(t, s, client.PublicKey(), want)
		})
	}
}

func TestWhatCannotBeReadIsIgnored(t *testing.T) {
	s := desk(t, filepath.Join(t.TempDir(), "bank.db"))
	ctx, client := context.Background(), events.GenerateKeys()
	noJSON, err := client.Encrypt(ctx, s.Keys.PublicKey(), "no json")
	if err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"", "no cipher", noJSON} {
		for _, tags := range []nostr.Tags{nil, {{"expiration"}}, {{"expiration", "soon"}}, {{}}} {
			ev := &nostr.Event{Kind: nip47.KindRequest, CreatedAt: nostr.Now(), Content: content, Tags: tags}
			if err := client.Sign(ctx, ev); err != nil {
				t.Fatal(err)
			}
			s.answer(ctx, ev)
		}
	}
	has(t, s, client.PublicKey(), s.Opening)
}

func TestBadRequestsGetTheirOwnErrors(t *testing.T) {
	s := desk(t, filepath.Join(t.TempDir(), "bank.db"))
	us, them := account(), account()
	own, err := ask[nip47.Transaction](s, us, nip47.MakeInvoice, nip47.Invoicing{Amount: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		method string
		params any
		code   string
	}{
		"a method of another wallet":       {"pay_keysend", struct{}{}, nip47.CodeNotImplemented},
		"an invoice for nothing":           {nip47.MakeInvoice, nip47.Invoicing{}, nip47.CodeOther},
		"an invoice for less than nothing": {nip47.MakeInvoice, nip47.Invoicing{Amount: -1000}, nip47.CodeOther},
		"more money than there is":         {nip47.MakeInvoice, nip47.Invoicing{Amount: int64(events.MaxMsat) + 1}, nip47.CodeOther},
		"a preimage that is none":          {nip47.MakeInvoice, nip47.Invoicing{Amount: 1000, Preimage: "00"}, nip47.CodeOther},
		"a long description":               {nip47.MakeInvoice, nip47.Invoicing{Amount: 1000, Description: strings.Repeat("x", 640)}, nip47.CodeOther},
		"params that are none":             {nip47.PayInvoice, "what?", nip47.CodeOther},
		"no invoice":                       {nip47.PayInvoice, nip47.Paying{}, nip47.CodePaymentFailed},
		"paying oneself":                   {nip47.PayInvoice, nip47.Paying{Invoice: own.Invoice}, nip47.CodePaymentFailed},
		"another amount":                   {nip47.PayInvoice, nip47.Paying{Invoice: own.Invoice, Amount: 1}, nip47.CodePaymentFailed},
		"a hash that is none":              {nip47.LookupInvoice, nip47.Looking{PaymentHash: "00"}, nip47.CodeOther},
		"nothing to look for":              {nip47.LookupInvoice, nip47.Looking{}, nip47.CodeOther},
		"a hash that nobody has":           {nip47.LookupInvoice, nip47.Looking{PaymentHash: wallet.NewPreimage().Hash().String()}, nip47.CodeNotFound},
	} {
		if got, err := ask[any](s, us, c.method, c.params); code(err) != c.code {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	// an invoice is shown to its account only, by hash and by text
	for _, look := range []nip47.Looking{{PaymentHash: own.PaymentHash}, {Invoice: own.Invoice}} {
		if tx, err := ask[nip47.Transaction](s, us, nip47.LookupInvoice, look); err != nil || tx.Invoice != own.Invoice || tx.Preimage != "" {
			t.Errorf("our own: %+v, %v", tx, err)
		}
		if tx, err := ask[nip47.Transaction](s, them, nip47.LookupInvoice, look); code(err) != nip47.CodeNotFound {
			t.Errorf("a stranger sees %+v, %v", tx, err)
		}
	}
	has(t, s, us, s.Opening)
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// TestCheckNoticesWrongBooks shows that Check can fail.
func TestCheckNoticesWrongBooks(t *testing.T) {
	for name, wrong := range map[string]string{
		"money out of nothing":  "update accounts set balance = balance + 1 where key <> 'mint'",
		"a lost entry":          "delete from entries where seq = 1",
		"an invoice paid twice": "insert into entries (account, msat, hash, request) select 'x', 0, hash, 'x' from invoices",
		"paid without an entry": "insert into invoices (hash, preimage, account, amount, bolt11, description, created, expires, settled, payer, request) select 'h', preimage, account, amount, 'b', description, created, expires, 1, payer, 'other' from invoices",
	} {
		s := desk(t, filepath.Join(t.TempDir(), "bank.db"))
		v, err := ask[nip47.Transaction](s, account(), nip47.MakeInvoice, nip47.Invoicing{Amount: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ask[nip47.Paid](s, account(), nip47.PayInvoice, nip47.Paying{Invoice: v.Invoice}); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err != nil {
			t.Errorf("%s: wrong before: %v", name, err)
		}
		if _, err := s.book.db.Exec(wrong); err != nil {
			t.Fatal(err)
		}
		if err := s.Check(); err == nil {
			t.Errorf("%s was not noticed", name)
		}
	}
}
