package connect_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/pool"
	"infernet/nips/nip47"
	"infernet/wallet"
	"infernet/wallet/internal/connect"
)

// choosy is a wallet service that knows some encryptions, and may say so. It pays everything with r.
type choosy struct {
	keys  *events.Keys
	uri   nip47.URI
	pool  *pool.Pool
	knows []string
	r     wallet.Preimage

	mu    sync.Mutex
	asked []string // the schemes of what was asked
}

func newChoosy(t *testing.T, knows []string, info *nostr.Event) *choosy {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	keys := events.GenerateKeys()
	s := &choosy{
		keys: keys, pool: pool.New(ctx, []string{market}, pool.WithSigner(keys)), knows: knows, r: wallet.NewPreimage(),
		uri: nip47.URI{Wallet: string(keys.PublicKey()), Relays: []string{market}, Secret: events.GenerateKeys().Secret()},
	}
	if info != nil {
		s.say(t, info)
	}
	sub := s.pool.Subscribe(ctx, nostr.Filter{Kinds: []int{nip47.KindRequest}, Tags: nostr.TagMap{"p": {string(keys.PublicKey())}}})
	<-sub.EOSE
	var ends sync.WaitGroup
	ends.Go(func() {
		for ev := range sub.Events {
			s.answer(t, ev)
		}
	})
	t.Cleanup(func() { cancel(); s.pool.Close(); ends.Wait() })
	return s
}

func (s *choosy) say(t *testing.T, ev *nostr.Event) {
	t.Helper()
	if err := s.keys.Sign(t.Context(), ev); err != nil {
		t.Error(err)
	}
	if err := s.pool.Publish(t.Context(), ev); err != nil && t.Context().Err() == nil {
		t.Error(err)
	}
}

func (s *choosy) answer(t *testing.T, ev *nostr.Event) {
	out, err := nip47.ParseEnvelope(ev)
	if err != nil || out.Encryption != nip47.SchemeOf(out.Content) || out.To != s.uri.Wallet || out.Expires <= time.Now().Unix() {
		t.Errorf("asked with %+v, %v", out, err)
		return
	}
	s.mu.Lock()
	s.asked = append(s.asked, out.Encryption)
	s.mu.Unlock()
	resp, by := nip47.Response{}, out.Encryption
	if !slices.Contains(s.knows, by) {
		resp.Error, by = &nip47.Error{Code: nip47.CodeUnsupportedEncryption, Message: "what?"}, nip47.NIP44
	} else {
		plain, err := nip47.Decrypt(by, s.keys.Secret(), ev.PubKey, out.Content)
		if err != nil {
			t.Errorf("by %s: %v", by, err)
			return
		}
		var req nip47.Request
		if err := json.Unmarshal([]byte(plain), &req); err != nil {
			t.Error(err)
		}
		resp.ResultType = req.Method
		resp.Result, _ = json.Marshal(map[string]any{"balance": 7000, "preimage": s.r.String()})
	}
	s.send(t, nip47.Envelope{Kind: nip47.KindResponse, To: ev.PubKey, Request: ev.ID, Encryption: by}, resp)
}

func (s *choosy) send(t *testing.T, out nip47.Envelope, body any) {
	raw, _ := json.Marshal(body)
	var err error
	if out.Content, err = nip47.Encrypt(out.Encryption, s.keys.Secret(), out.To, string(raw)); err != nil {
		t.Error(err)
	}
	s.say(t, out.Event())
}

func info(encryptions ...string) *nostr.Event {
	return nip47.Capabilities{Methods: []string{nip47.GetBalance, nip47.PayInvoice}, Encryptions: encryptions}.Event()
}

// TestTheEncryptionThatBothKnow has wallets that know, and say, different things.
func TestTheEncryptionThatBothKnow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		knows []string
		info  *nostr.Event
		asked []string // for the balance
		pays  []string // for a payment by another client
		want  error
	}{
		"both":                     {[]string{nip47.NIP44, nip47.NIP04}, info(nip47.NIP04, nip47.NIP44), []string{nip47.NIP44}, []string{nip47.NIP44}, nil},
		"the new one":              {[]string{nip47.NIP44}, info(nip47.NIP44), []string{nip47.NIP44}, []string{nip47.NIP44}, nil},
		"the old one":              {[]string{nip47.NIP04}, info(nip47.NIP04), []string{nip47.NIP04}, []string{nip47.NIP04}, nil},
		"the old one, not named":   {[]string{nip47.NIP04}, info(), []string{nip47.NIP04}, []string{nip47.NIP04}, nil},
		"the new one, no word":     {[]string{nip47.NIP44}, nil, []string{nip47.NIP44}, []string{nip47.NIP44}, nil},
		"the old one, no word":     {[]string{nip47.NIP04}, nil, []string{nip47.NIP44, nip47.NIP04}, []string{nip47.NIP44, nip47.NIP04}, nil},
		"one of tomorrow":          {nil, info("nip99"), nil, nil, wallet.ErrUnsupported},
		"none, though it says one": {nil, info(nip47.NIP44), []string{nip47.NIP44}, []string{nip47.NIP44}, wallet.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			s := newChoosy(t, c.knows, c.info)
			for what, ask := range map[string]func(*connect.Client) error{
				"balance": func(cl *connect.Client) error { _, err := cl.Balance(within(t, time.Minute)); return err },
				"pay": func(cl *connect.Client) error {
					_, err := cl.Pay(within(t, time.Minute), invoice(t, s.r, 5000, 0), 0)
					if errors.Is(c.want, wallet.ErrUnsupported) && errors.Is(err, wallet.ErrRejected) {
						return c.want // what was not asked for, or not understood, failed for good
					}
					return err
				},
			} {
				s.mu.Lock()
				s.asked = nil
				s.mu.Unlock()
				if err := ask(client(t, s.uri)); !errors.Is(err, c.want) {
					t.Errorf("%s: %v", what, err)
				}
				want := c.asked
				if what == "pay" {
					want = c.pays
				}
				s.mu.Lock()
				if got := s.asked; len(got) < len(want) || !slices.Equal(got[:len(want)], want) {
					t.Errorf("%s: asked by %v, not by %v", what, got, want)
				}
				s.mu.Unlock()
			}
		})
	}
}

// TestAnOldNotificationWakesToo sends a notification by NIP-04, the only scheme that the wallet knows.
func TestAnOldNotificationWakesToo(t *testing.T) {
	t.Parallel()
	s := newChoosy(t, []string{nip47.NIP04}, info())
	keys, err := events.NewKeys(s.uri.Secret)
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, s.uri)
	if _, err := c.Balance(within(t, time.Minute)); err != nil {
		t.Fatal(err)
	}
	got := make(chan wallet.Settlement, 1)
	go func() { // its lookups are answered with what is no transaction: nobody but the notification says that it is paid
		v, err := c.Await(within(t, time.Minute), s.r.Hash())
		if err != nil {
			t.Error(err)
		}
		got <- v
	}()
	s.mu.Lock()
	s.asked = nil
	s.mu.Unlock()
	for asked := false; !asked; {
		s.mu.Lock()
		asked = len(s.asked) > 0
		s.mu.Unlock()
		time.Sleep(time.Millisecond)
	}
	s.send(t, nip47.Envelope{Kind: nip47.KindNotification04, To: string(keys.PublicKey()), Encryption: nip47.NIP04}, nip47.Notification{
		Type: nip47.PaymentReceived, Notification: nip47.Transaction{Type: nip47.Incoming, PaymentHash: s.r.Hash().String(), Amount: 5000},
	})
	if v := <-got; v.Amount != 5000 || v.Held {
		t.Errorf("got %+v", v)
	}
}
