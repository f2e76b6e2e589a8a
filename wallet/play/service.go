package play

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/pool"
	"infernet/nips/nip47"
)

// Config says how a play-money service runs. Relays, Keys and Path are needed.
type Config struct {
	Relays  []string
	Keys    *events.Keys // the service's key; its invoices are signed with a key made from it
	Path    string       // the ledger's file
	Opening events.Msat  // what a new account is given; 100,000 sat if unset
	Log     *slog.Logger
	Now     func() time.Time
}

// Service is a bank of play money.
type Service struct {
	Config
	book *book
	node [32]byte // signs invoices
	pool *pool.Pool
}

// NewService opens the service's ledger.
func NewService(c Config) (*Service, error) {
	if c.Keys == nil || c.Path == "" || len(c.Relays) == 0 {
		return nil, errors.New("play money: relays, keys and a ledger are needed")
	}
	if c.Opening == 0 {
		c.Opening = 100_000 * events.Sat
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Service{Config: c, node: sha256.Sum256([]byte("infernet play money " + c.Keys.Secret()))}
	var err error
	if s.book, err = openBook(c.Path); err != nil {
		return nil, fmt.Errorf("play money ledger %s: %w", c.Path, err)
	}
	return s, nil
}

// Address is the URL of an account at this service.
func (s *Service) Address(account *events.Keys) (string, error) {
	return Address(s.Relays[0], string(s.Keys.PublicKey()), account.Secret())
}

// Payee is the node key that invoices are signed with, compressed.
func (s *Service) Payee() [33]byte {
	_, key := btcec.PrivKeyFromBytes(s.node[:])
	return [33]byte(key.SerializeCompressed())
}

// lookBack is how far back a starting service answers requests, and the oldest it ever does.
const lookBack = 2 * time.Minute

// Run answers requests until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	defer s.book.close()
	s.pool = pool.New(ctx, s.Relays, pool.WithSigner(s.Keys), pool.WithLog(s.Log))
	defer s.pool.Close()
	since := nostr.Timestamp(s.Now().Add(-lookBack).Unix())
	sub := s.pool.Subscribe(ctx, nostr.Filter{
		Kinds: []int{nip47.KindRequest}, Tags: nostr.TagMap{"p": {string(s.Keys.PublicKey())}}, Since: &since,
	})
	s.announce(ctx)
	for ev := range sub.Events {
		s.answer(ctx, ev)
	}
	return nil
}

// announce says what the service can (the info event of NIP-47).
func (s *Service) announce(ctx context.Context) {
	ev := &nostr.Event{
		Kind: nip47.KindInfo, CreatedAt: nostr.Now(), Content: "get_info get_balance make_invoice pay_invoice lookup_invoice notifications",
		Tags: nostr.Tags{{"encryption", nip47.Encryption}, {"notifications", nip47.PaymentReceived}},
	}
	if err := s.Keys.Sign(ctx, ev); err == nil {
		s.pool.Send(ctx, ev)
	}
}

// answer carries one request out, once however often it comes, and answers it.
func (s *Service) answer(ctx context.Context, ev *nostr.Event) {
	age := s.Now().Sub(ev.CreatedAt.Time())
	if age > lookBack || age < -events.MaxFuture || expired(ev, s.Now()) {
		s.Log.Debug("ignored a request of another time", "id", ev.ID, "age", age)
		return
	}
	client := events.PubKey(ev.PubKey)
	plain, err := s.Keys.Decrypt(ctx, client, ev.Content)
	if err != nil {
		s.Log.Debug("ignored a request that cannot be read", "id", ev.ID, "err", err)
		return
	}
	var req nip47.Request
	if err := json.Unmarshal([]byte(plain), &req); err != nil {
		s.Log.Debug("ignored a request that is no JSON", "id", ev.ID, "err", err)
		return
	}
	result, paid, err := s.do(events.ID(ev.ID), client, req)
	s.respond(ctx, ev, req.Method, result, err)
	if paid != nil {
		s.notify(ctx, paid)
	}
}

func expired(ev *nostr.Event, now time.Time) bool {
	tag := ev.Tags.Find("expiration")
	if tag == nil {
		return false
	}
	at, err := strconv.ParseInt(tag[1], 10, 64)
	return err == nil && now.Unix() > at
}

// do carries out one method. paid is the invoice that a payment has settled.
func (s *Service) do(id events.ID, client events.PubKey, req nip47.Request) (result any, paid *invoice, err error) {
	switch req.Method {
	case nip47.GetInfo:
		return s.info(), nil, nil
	case nip47.GetBalance:
		balance, err := s.book.balance(client, s.Opening)
		return nip47.Balance{Balance: int64(balance)}, nil, err
	case nip47.MakeInvoice:
		result, err = s.makeInvoice(id, client, req.Params)
		return result, nil, err
	case nip47.PayInvoice:
		return s.payInvoice(id, client, req.Params)
	case nip47.LookupInvoice:
		result, err = s.lookupInvoice(client, req.Params)
		return result, nil, err
	}
	return nil, nil, &nip47.Error{Code: nip47.CodeNotImplemented, Message: "play money does not know " + strconv.Quote(req.Method)}
}

func (s *Service) info() nip47.Info {
	return nip47.Info{
		Alias: "play money", Color: "#888888", PubKey: fmt.Sprintf("%x", s.Payee()), Network: "regtest", Chosen: true,
		Methods:       []string{nip47.GetInfo, nip47.GetBalance, nip47.MakeInvoice, nip47.PayInvoice, nip47.LookupInvoice},
		Notifications: []string{nip47.PaymentReceived},
	}
}

// respond sends the answer. Its loss is harmless: the client asks what became of its request.
func (s *Service) respond(ctx context.Context, ev *nostr.Event, method string, result any, err error) {
	resp := nip47.Response{ResultType: method}
	if err != nil {
		if !errors.As(err, &resp.Error) {
			s.Log.Error("a request failed", "method", method, "err", err)
			resp.Error = &nip47.Error{Code: nip47.CodeInternal, Message: "the play-money ledger failed"}
		}
	} else if resp.Result, err = json.Marshal(result); err != nil {
		s.Log.Error("a result cannot be written", "err", err)
		return
	}
	s.send(ctx, nip47.KindResponse, events.PubKey(ev.PubKey), resp, nostr.Tag{"e", ev.ID})
}

// notify tells the payee that its invoice is paid.
func (s *Service) notify(ctx context.Context, v *invoice) {
	s.send(ctx, nip47.KindNotification, v.Account, nip47.Notification{Type: nip47.PaymentReceived, Notification: v.transaction("incoming")})
}

func (s *Service) send(ctx context.Context, kind int, to events.PubKey, body any, tags ...nostr.Tag) {
	plain, err := json.Marshal(body)
	if err != nil {
		s.Log.Error("a message cannot be written", "err", err)
		return
	}
	cipher, err := s.Keys.Encrypt(ctx, to, string(plain))
	if err != nil {
		s.Log.Error("a message cannot be encrypted", "err", err)
		return
	}
	ev := &nostr.Event{
		Kind: kind, CreatedAt: nostr.Now(), Content: cipher,
		Tags: append(nostr.Tags{{"p", string(to)}, {"encryption", nip47.Encryption}}, tags...),
	}
	if err := s.Keys.Sign(ctx, ev); err != nil {
		s.Log.Error("a message cannot be signed", "err", err)
		return
	}
	s.pool.Send(ctx, ev)
}
