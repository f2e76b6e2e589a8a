package connect_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/pool"
	"infernet/nips/nip47"
	"infernet/relay"
	"infernet/wallet"
	"infernet/wallet/bolt11"
	"infernet/wallet/internal/connect"
)

// market is the relay of all tests.
var market string

func TestMain(m *testing.M) {
	ctx, cancel := context.WithCancel(context.Background())
	r, err := relay.Open(ctx, relay.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		panic(err)
	}
	market = r.URL()
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	code := m.Run()
	cancel()
	<-done
	os.Exit(code)
}

// says is how the scripted wallet answers one request: with a result, with an error, or, as nil, not at all.
type says func() (result any, no *nip47.Error)

func result(v any) says { return func() (any, *nip47.Error) { return v, nil } }
func no(code string) says {
	return func() (any, *nip47.Error) { return nil, &nip47.Error{Code: code, Message: "scripted"} }
}

// scripted is a wallet service on a real relay that answers as a test tells it: each method's list in order, the last
// one again and again.
type scripted struct {
	keys *events.Keys
	uri  nip47.URI
	pool *pool.Pool

	mu    sync.Mutex
	plan  map[string][]says
	asked map[string]int
}

func newScripted(t *testing.T, plan map[string][]says) *scripted {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var ends sync.WaitGroup
	keys := events.GenerateKeys()
	s := &scripted{
		keys: keys, pool: pool.New(ctx, []string{market}, pool.WithSigner(keys)), plan: plan, asked: map[string]int{},
		uri: nip47.URI{Wallet: string(keys.PublicKey()), Relays: []string{market}, Secret: events.GenerateKeys().Secret()},
	}
	sub := s.pool.Subscribe(ctx, nostr.Filter{Kinds: []int{nip47.KindRequest}, Tags: nostr.TagMap{"p": {string(keys.PublicKey())}}})
	select {
	case <-sub.EOSE:
	case <-time.After(time.Minute):
		t.Fatal("the relay is silent")
	}
	ends.Go(func() {
		for ev := range sub.Events {
			s.answer(ctx, t, ev)
		}
	})
	t.Cleanup(func() { cancel(); s.pool.Close(); ends.Wait() })
	return s
}

func (s *scripted) answer(ctx context.Context, t *testing.T, ev *nostr.Event) {
	client := events.PubKey(ev.PubKey)
	plain, err := s.keys.Decrypt(ctx, client, ev.Content)
	if err != nil {
		t.Errorf("a request cannot be read: %v", err)
		return
	}
	var req nip47.Request
	if err := json.Unmarshal([]byte(plain), &req); err != nil {
		t.Errorf("a request is no JSON: %v", err)
		return
	}
	s.mu.Lock()
	s.asked[req.Method]++
	var say says
	if plan := s.plan[req.Method]; len(plan) > 0 {
		if say = plan[0]; len(plan) > 1 {
			s.plan[req.Method] = plan[1:]
		}
	}
	s.mu.Unlock()
	if say == nil {
		return
	}
	value, no := say()
	resp := nip47.Response{ResultType: req.Method, Error: no}
	if no == nil {
		resp.Result, _ = json.Marshal(value)
	}
	s.send(ctx, t, client, nip47.KindResponse, resp, nostr.Tag{"e", ev.ID})
}

func (s *scripted) send(ctx context.Context, t *testing.T, to events.PubKey, kind int, body any, tags ...nostr.Tag) {
	raw, _ := json.Marshal(body)
	cipher, err := s.keys.Encrypt(ctx, to, string(raw))
	if err != nil {
		t.Errorf("encrypt: %v", err)
		return
	}
	ev := &nostr.Event{Kind: kind, CreatedAt: nostr.Now(), Content: cipher, Tags: append(nostr.Tags{{"p", string(to)}}, tags...)}
	if err := s.keys.Sign(ctx, ev); err != nil {
		t.Errorf("sign: %v", err)
		return
	}
	s.pool.Send(ctx, ev)
}

func (s *scripted) count(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[method]
}

func client(t *testing.T, uri nip47.URI) *connect.Client {
	t.Helper()
	c, err := connect.New(context.Background(), uri, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// invoice makes an invoice of some node; age is how long ago.
func invoice(t *testing.T, r wallet.Preimage, amount events.Msat, age time.Duration) string {
	t.Helper()
	v := bolt11.Invoice{
		Network: bolt11.Regtest, Amount: amount, Timestamp: time.Now().Add(-age), PaymentHash: r.Hash(), PaymentSecret: &[32]byte{1},
		Description: "x", Expiry: time.Hour,
	}
	text, err := v.Encode([32]byte{31: 9})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// answers is within what time a scripted wallet's word on a payment is surely known.
const answers = 8 * time.Second

// TestWhatAPaymentsAnswerMeans is the table of all that a wallet may say, or not say, to a payment. "Failed for good" lets
// the caller pay somebody else, so it is said only where the wallet's books agree.
func TestWhatAPaymentsAnswerMeans(t *testing.T) {
	t.Parallel()
	r, other := wallet.NewPreimage(), wallet.NewPreimage()
	look := func(state string, r wallet.Preimage) says {
		tx := nip47.Transaction{Type: "outgoing", State: state, PaymentHash: r.Hash().String(), Amount: 5000}
		if state == "settled" {
			tx.Preimage, tx.SettledAt = r.String(), time.Now().Unix()
		}
		return result(tx)
	}
	paid := result(nip47.Paid{Preimage: r.String()})
	unknown := no(nip47.CodeNotFound)
	var wait sync.WaitGroup
	final := []error{wallet.ErrRejected, wallet.ErrExpired, wallet.ErrInsufficient}
	for name, c := range map[string]struct {
		pay, lookup []says
		age         time.Duration // of the invoice
		want        error         // nil: the preimage comes back
	}{
		"paid":                                     {pay: []says{paid}},
		"the answer is lost, it was paid":          {pay: []says{nil}, lookup: []says{look("settled", r)}},
		"two answers are lost, it was paid":        {pay: []says{nil}, lookup: []says{nil, look("settled", r)}},
		"the answer is lost, it is under way":      {pay: []says{nil}, lookup: []says{look("pending", r)}, want: wallet.ErrInFlight},
		"the answer is lost, never heard of it":    {pay: []says{nil}, lookup: []says{unknown}, want: wallet.ErrUnavailable},
		"all answers are lost":                     {pay: []says{nil}, lookup: []says{nil}, want: wallet.ErrUnavailable},
		"trouble inside, it was paid":              {pay: []says{no(nip47.CodeInternal)}, lookup: []says{look("settled", r)}},
		"trouble inside, it is under way":          {pay: []says{no(nip47.CodeInternal)}, lookup: []says{look("pending", r)}, want: wallet.ErrInFlight},
		"trouble inside, it failed":                {pay: []says{no(nip47.CodeInternal)}, lookup: []says{look("failed", r)}, want: wallet.ErrRejected},
		"trouble inside, then silence":             {pay: []says{no(nip47.CodeInternal)}, lookup: []says{nil}, want: wallet.ErrUnavailable},
		"trouble inside, in the books too":         {pay: []says{no(nip47.CodeInternal)}, lookup: []says{no(nip47.CodeInternal)}, want: wallet.ErrUnavailable},
		"a no, never heard of it":                  {pay: []says{no(nip47.CodePaymentFailed)}, lookup: []says{unknown}, want: wallet.ErrRejected},
		"a no, then silence":                       {pay: []says{no(nip47.CodePaymentFailed)}, lookup: []says{nil}, want: wallet.ErrUnavailable},
		"a no, the first try is under way":         {pay: []says{no(nip47.CodePaymentFailed)}, lookup: []says{look("pending", r)}, want: wallet.ErrInFlight},
		"a no, the wallet cannot look up":          {pay: []says{no(nip47.CodePaymentFailed)}, lookup: []says{no(nip47.CodeNotImplemented)}, want: wallet.ErrRejected},
		"a no to an old invoice":                   {pay: []says{no(nip47.CodePaymentFailed)}, lookup: []says{unknown}, age: 2 * time.Hour, want: wallet.ErrExpired},
		"under way, then it was paid":              {pay: []says{nil}, lookup: []says{look("pending", r), look("pending", r), look("settled", r)}},
		"under way, then it came back":             {pay: []says{nil}, lookup: []says{look("pending", r), look("failed", r)}, want: wallet.ErrRejected},
		"asked too fast":                           {pay: []says{no(nip47.CodeRateLimited)}, lookup: []says{unknown}, want: wallet.ErrUnavailable},
		"paid already":                             {pay: []says{no(nip47.CodeOther)}, lookup: []says{look("settled", r)}},
		"paid already, and poor now":               {pay: []says{no(nip47.CodeInsufficientBalance)}, lookup: []says{look("settled", r)}},
		"not enough money":                         {pay: []says{no(nip47.CodeInsufficientBalance)}, lookup: []says{unknown}, want: wallet.ErrInsufficient},
		"not allowed":                              {pay: []says{no(nip47.CodeRestricted)}, lookup: []says{unknown}, want: wallet.ErrRejected},
		"an answer that cannot be read, then none": {pay: []says{result("what?")}, lookup: []says{nil}, want: wallet.ErrUnavailable},
		"another preimage, then the right one":     {pay: []says{result(nip47.Paid{Preimage: other.String()})}, lookup: []says{look("settled", r)}},
		"another preimage, also in the books":      {pay: []says{result(nip47.Paid{Preimage: other.String()})}, lookup: []says{look("settled", other)}, want: wallet.ErrUnavailable},
	} {
		s := newScripted(t, map[string][]says{nip47.PayInvoice: c.pay, nip47.LookupInvoice: c.lookup})
		payer, text := client(t, s.uri), invoice(t, r, 5000, c.age)
		wait.Go(func() { // most of it is waiting
			patience := time.Minute
			if c.want == wallet.ErrInFlight { // what is under way is waited for as long as the caller likes
				patience = answers + time.Second
			}
			got, err := payer.Pay(within(t, patience), text, 0)
			if !errors.Is(err, c.want) || c.want == nil && got != r {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
			if c.want == wallet.ErrUnavailable || c.want == wallet.ErrInFlight {
				for _, end := range final {
					if errors.Is(err, end) {
						t.Errorf("%s: it also says %v", name, end)
					}
				}
			}
			if n := s.count(nip47.PayInvoice); n != 1 {
				t.Errorf("%s: the wallet was asked to pay %d times", name, n)
			}
		})
	}
	wait.Wait()
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nowhere := "ws://" + l.Addr().String()
	l.Close()
	c := client(t, nip47.URI{Wallet: string(events.GenerateKeys().PublicKey()), Relays: []string{nowhere}, Secret: events.GenerateKeys().Secret()})
	// their deadlines end them, and not a patience of the client's own, which is longer
	if _, err := c.Pay(within(t, 500*time.Millisecond), invoice(t, wallet.NewPreimage(), 5000, 0), 0); !errors.Is(err, wallet.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("pay: %v", err)
	}
	if _, err := c.Balance(within(t, 200*time.Millisecond)); !errors.Is(err, wallet.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("balance: %v", err)
	}
}

func TestAnInvoiceThatNamesNoAmountIsNotSent(t *testing.T) {
	t.Parallel()
	s := newScripted(t, nil)
	if _, err := client(t, s.uri).Pay(within(t, time.Minute), invoice(t, wallet.NewPreimage(), 0, 0), 0); !errors.Is(err, wallet.ErrRejected) {
		t.Errorf("got %v", err)
	}
	if n := s.count(nip47.PayInvoice); n != 0 {
		t.Errorf("the wallet was asked %d times", n)
	}
}

func TestManyCallsShareOnePayment(t *testing.T) {
	t.Parallel()
	r := wallet.NewPreimage()
	heard := make(chan struct{})
	s := newScripted(t, map[string][]says{nip47.PayInvoice: {func() (any, *nip47.Error) {
		<-heard
		return nip47.Paid{Preimage: r.String()}, nil
	}}})
	c := client(t, s.uri)
	text := invoice(t, r, 5000, 0)
	var wait sync.WaitGroup
	for range 5 {
		wait.Go(func() {
			if got, err := c.Pay(within(t, time.Minute), text, 0); err != nil || got != r {
				t.Errorf("got %v", err)
			}
		})
	}
	// one more that does not wait to the end: it must not believe that nothing was sent
	for s.count(nip47.PayInvoice) == 0 && !t.Failed() {
		if _, err := c.Pay(within(t, 50*time.Millisecond), text, 0); !errors.Is(err, wallet.ErrInFlight) && !errors.Is(err, wallet.ErrUnavailable) {
			t.Errorf("a call that gave up: %v", err)
		}
	}
	close(heard)
	wait.Wait()
}

// TestAwait has the wallet lose answers and notifications; what is paid is noticed all the same.
func TestAwait(t *testing.T) {
	t.Parallel()
	r := wallet.NewPreimage()
	in := func(tx nip47.Transaction) says {
		tx.PaymentHash, tx.Amount = r.Hash().String(), 5000
		if tx.Type == "" {
			tx.Type = "incoming"
		}
		return result(tx)
	}
	var wait sync.WaitGroup
	later := time.Now().Add(time.Hour).Unix()
	open := in(nip47.Transaction{State: "pending", ExpiresAt: later})
	for name, c := range map[string]struct {
		lookup []says
		want   error
	}{
		"paid long ago":                        {[]says{in(nip47.Transaction{SettledAt: 1_700_000_000})}, nil},
		"the notification is lost":             {[]says{open, in(nip47.Transaction{SettledAt: 1_700_000_000})}, nil},
		"the wallet is away for a while":       {[]says{nil, nil, in(nip47.Transaction{SettledAt: 1_700_000_000})}, nil},
		"the wallet is in trouble for a while": {[]says{no(nip47.CodeInternal), in(nip47.Transaction{State: "settled"})}, nil},
		"settled, it does not say when":        {[]says{in(nip47.Transaction{State: "settled"})}, nil},
		"it expires while it is awaited":       {[]says{open, in(nip47.Transaction{State: "pending", ExpiresAt: 1})}, wallet.ErrExpired},
		"the wallet says that it expired":      {[]says{in(nip47.Transaction{State: "expired", ExpiresAt: later})}, wallet.ErrExpired},
		"it is a payment of ours":              {[]says{in(nip47.Transaction{Type: "outgoing", SettledAt: 1_700_000_000})}, wallet.ErrNotFound},
		"never heard of it":                    {[]says{no(nip47.CodeNotFound)}, wallet.ErrNotFound},
	} {
		s := newScripted(t, map[string][]says{nip47.LookupInvoice: c.lookup})
		payee := client(t, s.uri)
		wait.Go(func() {
			got, err := payee.Await(within(t, time.Minute), r.Hash())
			if !errors.Is(err, c.want) {
				t.Errorf("%s: got %v, want %v", name, err, c.want)
			}
			if c.want == nil && (got.Amount != 5000 || got.Hash != r.Hash() || got.At.Year() < 2023) {
				t.Errorf("%s: got %+v", name, got)
			}
		})
	}
	wait.Wait()
}

func TestANotificationWakesAllWhoWait(t *testing.T) {
	t.Parallel()
	r := wallet.NewPreimage()
	asked := make(chan struct{}, 100)
	s := newScripted(t, map[string][]says{nip47.LookupInvoice: {func() (any, *nip47.Error) {
		asked <- struct{}{}
		return nip47.Transaction{Type: "incoming", State: "pending", PaymentHash: r.Hash().String(), Amount: 5000, ExpiresAt: time.Now().Add(time.Hour).Unix()}, nil
	}}})
	c := client(t, s.uri)
	keys, err := events.NewKeys(s.uri.Secret)
	if err != nil {
		t.Fatal(err)
	}
	ctx := within(t, time.Minute)
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			if got, err := c.Await(ctx, r.Hash()); err != nil || got.Amount != 5000 {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	for range 3 {
		<-asked
	}
	s.send(ctx, t, keys.PublicKey(), nip47.KindNotification, nip47.Notification{Type: nip47.PaymentReceived, Notification: nip47.Transaction{
		Type: "incoming", PaymentHash: r.Hash().String(), Amount: 5000, SettledAt: time.Now().Unix(),
	}})
	wait.Wait()
}

// TestAStrangersAnswerIsNotTheWallets has somebody else on the relay answer first: signed by a stranger, or no cipher of
// the wallet's.
func TestAStrangersAnswerIsNotTheWallets(t *testing.T) {
	t.Parallel()
	r := wallet.NewPreimage()
	s := newScripted(t, map[string][]says{nip47.PayInvoice: {nil}, nip47.LookupInvoice: {no(nip47.CodeNotFound)}})
	stranger := &scripted{keys: events.GenerateKeys(), pool: s.pool}
	ctx := within(t, time.Minute)
	sub := s.pool.Subscribe(ctx, nostr.Filter{Kinds: []int{nip47.KindRequest}, Tags: nostr.TagMap{"p": {s.uri.Wallet}}})
	<-sub.EOSE
	go func() {
		for ev := range sub.Events {
			raw, _ := json.Marshal(nip47.Paid{Preimage: r.String()})
			stranger.send(ctx, t, events.PubKey(ev.PubKey), nip47.KindResponse, nip47.Response{ResultType: nip47.PayInvoice, Result: raw}, nostr.Tag{"e", ev.ID})
		}
	}()
	if _, err := client(t, s.uri).Pay(ctx, invoice(t, r, 5000, 0), 0); !errors.Is(err, wallet.ErrUnavailable) {
		t.Errorf("a stranger's answer was believed: %v", err)
	}
}

func TestErrorsDoNotRepeatTheSecret(t *testing.T) {
	secret := strings.Repeat("ab", 33) // no key
	_, err := connect.New(context.Background(), nip47.URI{Wallet: secret, Relays: []string{"ws://127.0.0.1:1"}, Secret: secret}, nil)
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
}
