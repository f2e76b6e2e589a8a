package play_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/pool"
	"infernet/nips/nip47"
	"infernet/relay"
	"infernet/wallet"
	"infernet/wallet/bolt11"
	"infernet/wallet/nwc"
	"infernet/wallet/play"
	"infernet/wallet/wallettest"
)

const childEnv = "INFERNET_TEST_BANK"

// bank is what a test's service is made of; also the process that a test kills.
type bank struct {
	Relay, Path, Secret string
}

func TestMain(m *testing.M) {
	if raw := os.Getenv(childEnv); raw != "" {
		var b bank
		if err := json.Unmarshal([]byte(raw), &b); err != nil {
			panic(err)
		}
		s, err := b.open()
		if err != nil {
			panic(err)
		}
		fmt.Println("ready")
		s.Run(context.Background())
		return
	}
	os.Exit(m.Run())
}

func (b bank) open() (*play.Service, error) {
	keys, err := events.NewKeys(b.Secret)
	if err != nil {
		return nil, err
	}
	return play.NewService(play.Config{Relays: []string{b.Relay}, Keys: keys, Path: b.Path})
}

// run runs the service until stop.
func (b bank) run(t *testing.T) (s *play.Service, stop func()) {
	t.Helper()
	s, err := b.open()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	b.await(t)
	return s, stop
}

// await waits for the service's info event, which comes once it listens.
func (b bank) await(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	p := pool.New(ctx, []string{b.Relay})
	defer p.Close()
	select {
	case <-p.Subscribe(ctx, nostr.Filter{Kinds: []int{nip47.KindInfo}}).Events:
	case <-ctx.Done():
		t.Fatal("the service does not say that it is there")
	}
}

func newBank(t *testing.T) bank {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := relay.Open(ctx, relay.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return bank{r.URL(), filepath.Join(t.TempDir(), "bank.db"), events.GenerateKeys().Secret()}
}

// account opens an account of its own.
func (b bank) account(t *testing.T, as wallet.Opener) wallet.Wallet {
	t.Helper()
	service, _ := events.NewKeys(b.Secret)
	account := events.GenerateKeys()
	raw, err := play.Address([]string{b.Relay}, string(service.PublicKey()), account.Secret())
	if err != nil {
		t.Fatal(err)
	}
	if as == nil {
		as = play.Open
	} else {
		raw = nip47.URI{Wallet: string(service.PublicKey()), Relays: []string{b.Relay}, Secret: account.Secret()}.String()
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	w, err := as(context.Background(), u, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func foreign(t *testing.T) string {
	t.Helper()
	secret := [32]byte{1}
	v := bolt11.Invoice{Network: bolt11.Regtest, Amount: events.Sat, Timestamp: time.Now(), PaymentHash: wallet.NewPreimage().Hash(), PaymentSecret: &secret, Description: "x", Expiry: time.Hour}
	text, err := v.Encode([32]byte{31: 9})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func suite(t *testing.T, as wallet.Opener) {
	b := newBank(t)
	s, _ := b.run(t)
	wallettest.Run(t, func(t *testing.T) wallettest.Wallets {
		return wallettest.Wallets{Payee: b.account(t, as), Payer: b.account(t, as), Stranger: b.account(t, as), Foreign: foreign(t)}
	})
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

func TestSuite(t *testing.T)           { suite(t, nil) }
func TestSuiteThroughNWC(t *testing.T) { suite(t, nwc.Open) }

func TestPlayMoneySaysThatItIs(t *testing.T) {
	b := newBank(t)
	b.run(t)
	w := b.account(t, nil).(*play.Wallet)
	info, err := w.Info(context.Background())
	if err != nil || info.Alias != "play money" || info.Network != "regtest" || !info.Chosen {
		t.Errorf("info %+v, %v", info, err)
	}
	v, err := w.Invoice(context.Background(), wallet.InvoiceRequest{Amount: events.Sat, Until: time.Now().Add(time.Minute)})
	if err != nil || !strings.HasPrefix(v.Bolt11, "lnbcrt") {
		t.Errorf("invoice %+v, %v", v, err)
	}
}

// killed runs the service in a process of its own that is killed with SIGKILL again and again until ctx ends.
func (b bank) killed(t *testing.T, ctx context.Context) (stopped chan struct{}, kills *int) {
	stopped, kills = make(chan struct{}), new(int)
	go func() {
		defer close(stopped)
		for ctx.Err() == nil {
			cmd := exec.Command(os.Args[0])
			raw, _ := json.Marshal(b)
			cmd.Env = append(os.Environ(), childEnv+"="+string(raw))
			out, err := cmd.StdoutPipe()
			if err != nil || cmd.Start() != nil {
				t.Error("the service does not start")
				return
			}
			bufio.NewReader(out).ReadString('\n')
			life := 50 + time.Now().UnixNano()%250 + 10*int64(*kills) // longer each time: a slow machine gets on, too
			select {
			case <-time.After(time.Duration(life) * time.Millisecond):
				*kills++
			case <-ctx.Done():
			}
			cmd.Process.Kill()
			cmd.Wait()
		}
	}()
	return stopped, kills
}

// TestMoneySurvivesKills kills the service with SIGKILL again and again while accounts pay each other.
func TestMoneySurvivesKills(t *testing.T) {
	b := newBank(t)
	payer, payee := b.account(t, nil), b.account(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	stopped, kills := b.killed(t, ctx)
	n := events.Msat(12) // payments
	if os.Getenv("INFERNET_LONG") != "" {
		n = 120
	}
	var paid []wallet.Preimage
	for range n {
		ask := wallet.InvoiceRequest{Amount: 3 * events.Sat, Until: time.Now().Add(time.Hour)}
		v, err := payee.(wallet.Receiver).Invoice(ctx, ask)
		for errors.Is(err, wallet.ErrUnavailable) && ctx.Err() == nil {
			v, err = payee.(wallet.Receiver).Invoice(ctx, ask)
		}
		if err != nil {
			t.Fatal(err)
		}
		for {
			r, err := payer.(wallet.Payer).Pay(ctx, v.Bolt11, 0)
			if err == nil {
				paid = append(paid, r)
				break
			}
			if !errors.Is(err, wallet.ErrUnavailable) && !errors.Is(err, wallet.ErrInFlight) {
				t.Fatal(err)
			}
		}
	}
	cancel()
	<-stopped
	s, _ := b.run(t)
	again := context.Background()
	for _, r := range paid {
		if got, err := payee.(wallet.Receiver).Await(again, r.Hash()); err != nil || got.Amount != 3*events.Sat {
			t.Errorf("a payment that was acknowledged is gone: %v", err)
		}
	}
	if have, err := payer.(wallet.Balancer).Balance(again); err != nil || have != (100_000-3*n)*events.Sat {
		t.Errorf("the payer has %s, %v", have.Human(), err)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	t.Logf("%d kills", *kills)
}

// TestARepeatedRequestIsCarriedOutOnce replays one signed payment request, also over a restart.
func TestARepeatedRequestIsCarriedOutOnce(t *testing.T) {
	b := newBank(t)
	_, stop := b.run(t)
	payee := b.account(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	account := events.GenerateKeys()
	service, _ := events.NewKeys(b.Secret)
	v, err := payee.(wallet.Receiver).Invoice(ctx, wallet.InvoiceRequest{Amount: 5 * events.Sat, Until: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	params, _ := json.Marshal(nip47.Paying{Invoice: v.Bolt11})
	body, _ := json.Marshal(nip47.Request{Method: nip47.PayInvoice, Params: params})
	cipher, err := account.Encrypt(ctx, service.PublicKey(), string(body))
	if err != nil {
		t.Fatal(err)
	}
	ev := &nostr.Event{Kind: nip47.KindRequest, CreatedAt: nostr.Now(), Content: cipher, Tags: nostr.Tags{{"p", string(service.PublicKey())}}}
	if err := account.Sign(ctx, ev); err != nil {
		t.Fatal(err)
	}
	// the relay repeats nothing, so each time another relay brings the request
	answered := func() {
		t.Helper()
		p := pool.New(ctx, []string{b.Relay})
		defer p.Close()
		sub := p.Subscribe(ctx, nostr.Filter{Kinds: []int{nip47.KindResponse}, Tags: nostr.TagMap{"e": {ev.ID}}})
		<-sub.EOSE
		if err := p.Publish(ctx, ev); err != nil {
			t.Fatal(err)
		}
		select {
		case <-sub.Events:
		case <-ctx.Done():
			t.Fatal("no answer")
		}
	}
	answered()
	stop()
	fresh := newBank(t) // a relay that has not seen the request
	b.Relay = fresh.Relay
	s, _ := b.run(t)
	answered()
	if err := s.Check(); err != nil {
		t.Error(err)
	}
	raw, err := play.Address([]string{b.Relay}, string(service.PublicKey()), account.Secret())
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(raw)
	w, err := play.Open(ctx, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if have, err := w.(wallet.Balancer).Balance(ctx); err != nil || have != (100_000-5)*events.Sat {
		t.Errorf("the account has %s, %v", have.Human(), err)
	}
}

func TestMoneyIsAsBeforeAfterARestart(t *testing.T) {
	b := newBank(t)
	_, stop := b.run(t)
	payer, payee := b.account(t, nil), b.account(t, nil)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	invoice := func() *wallet.Invoice {
		t.Helper()
		v, err := payee.(wallet.Receiver).Invoice(ctx, wallet.InvoiceRequest{Amount: 7 * events.Sat, Until: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	paid, open := invoice(), invoice()
	first, err := payer.(wallet.Payer).Pay(ctx, paid.Bolt11, 0)
	if err != nil {
		t.Fatal(err)
	}
	awaited := make(chan error, 1)
	go func() { // begins before the restart, ends after it
		_, err := payee.(wallet.Receiver).Await(ctx, open.Hash)
		awaited <- err
	}()
	stop()
	s, _ := b.run(t)
	if have, err := payer.(wallet.Balancer).Balance(ctx); err != nil || have != (100_000-7)*events.Sat {
		t.Errorf("the payer has %s, %v", have.Human(), err)
	}
	if again, err := payer.(wallet.Payer).Pay(ctx, paid.Bolt11, 0); err != nil || again != first {
		t.Errorf("paid again: %v", err)
	}
	if _, err := payer.(wallet.Payer).Pay(ctx, open.Bolt11, 0); err != nil {
		t.Errorf("an invoice from before: %v", err)
	}
	if err := <-awaited; err != nil {
		t.Errorf("awaited over the restart: %v", err)
	}
	if have, err := payee.(wallet.Balancer).Balance(ctx); err != nil || have != (100_000+14)*events.Sat {
		t.Errorf("the payee has %s, %v", have.Human(), err)
	}
	if err := s.Check(); err != nil {
		t.Error(err)
	}
}

// TestTheServiceSaysWhatItCan reads the info event of NIP-47.
func TestTheServiceSaysWhatItCan(t *testing.T) {
	b := newBank(t)
	b.run(t)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	p := pool.New(ctx, []string{b.Relay})
	defer p.Close()
	keys, _ := events.NewKeys(b.Secret)
	found, err := p.Query(ctx, nostr.Filter{Kinds: []int{nip47.KindInfo}, Authors: []string{string(keys.PublicKey())}})
	if err != nil || len(found) != 1 {
		t.Fatalf("%d info events, %v", len(found), err)
	}
	info := found[0]
	methods := strings.Fields(info.Content)
	for _, method := range []string{nip47.GetInfo, nip47.GetBalance, nip47.MakeInvoice, nip47.PayInvoice, nip47.LookupInvoice} {
		if !slices.Contains(methods, method) {
			t.Errorf("it does not name %s", method)
		}
	}
	if tag := info.Tags.Find("encryption"); tag == nil || tag[1] != nip47.NIP44+" "+nip47.NIP04 {
		t.Errorf("encryption %v", tag)
	}
	if tag := info.Tags.Find("notifications"); tag == nil || tag[1] != "payment_received payment_sent hold_invoice_accepted" {
		t.Errorf("notifications %v", tag)
	}
}
