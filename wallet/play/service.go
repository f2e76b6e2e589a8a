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
	"infernet/wallet"
	"infernet/wallet/internal/connect"
)

// Config says how a play-money service runs. Relays, Keys and Path are needed.
type Config struct {
	Relays  []string
	Keys    *events.Keys // the service's key; its invoices are signed with a key made from it
	Path    string       // the ledger's file
	Opening events.Msat  // what a new account is given; 100,000 sat if unset
	Height  func() int64 // of the play chain, whose blocks bound how long a payment is held; one every 30 s if unset
	Log     *slog.Logger
	Now     func() time.Time
}

// Service is a bank of play money.
type Service struct {
	Config
	book    *book
	node    [32]byte // signs invoices
	pool    *pool.Pool
	limit   limit
	waiting map[wallet.Hash][]asked // requests for payments that are locked
}

// asked is a request that is to be answered.
type asked struct {
	id     string
	client events.PubKey
	scheme string // of its encryption, and of its answer's
	method string
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
	if c.Height == nil {
		c.Height = func() int64 { return c.Now().Unix() / 30 }
	}
	s := &Service{Config: c, node: sha256.Sum256([]byte("infernet play money " + c.Keys.Secret())), waiting: map[wallet.Hash][]asked{}}
	var err error
	if s.book, err = openBook(c.Path); err != nil {
		return nil, fmt.Errorf("play money ledger %s: %w", c.Path, err)
	}
	return s, nil
}

// Address is the URL of an account at this service, for Open.
func (s *Service) Address(account *events.Keys) (string, error) {
	return Address(s.Relays, string(s.Keys.PublicKey()), account.Secret())
}

// URI is the address of an account for any program that speaks NIP-47.
func (s *Service) URI(account *events.Keys) nip47.URI {
	return nip47.URI{Wallet: string(s.Keys.PublicKey()), Relays: s.Relays, Secret: account.Secret()}
}

// Payee is the node key that invoices are signed with, compressed.
func (s *Service) Payee() [33]byte {
	_, key := btcec.PrivKeyFromBytes(s.node[:])
	return [33]byte(key.SerializeCompressed())
}

// lookBack is how far back a starting service answers requests, and the oldest it ever does.
const lookBack = 2 * time.Minute

// lapseEvery is how often payments are looked at that are locked too long.
const lapseEvery = time.Second

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
	tick := time.NewTicker(lapseEvery)
	defer tick.Stop()
	for {
		select {
		case ev, ok := <-sub.Events:
			if !ok {
				return nil
			}
			s.answer(ctx, ev)
		case <-tick.C:
			s.lapse(ctx)
		}
	}
}

// announce says what the service can (the info event of NIP-47).
func (s *Service) announce(ctx context.Context) {
	ev := nip47.Capabilities{Methods: methods, Notifications: notifications, Encryptions: []string{nip47.NIP44, nip47.NIP04}}.Event()
	if err := s.Keys.Sign(ctx, ev); err == nil {
		s.pool.Send(ctx, ev)
	}
}

// answer carries one request out, once however often it comes, and answers it.
func (s *Service) answer(ctx context.Context, ev *nostr.Event) {
	age := s.Now().Sub(ev.CreatedAt.Time())
	out, err := nip47.ParseEnvelope(ev)
	if err != nil || age > lookBack || age < -events.MaxFuture || out.Expires != 0 && s.Now().Unix() > out.Expires {
		s.Log.Debug("ignored a request of another time", "id", ev.ID, "age", age, "err", err)
		return
	}
	from := asked{id: ev.ID, client: events.PubKey(ev.PubKey), scheme: out.Encryption}
	plain, err := connect.Decrypt(ctx, s.Keys, out.Encryption, from.client, ev.Content)
	if errors.Is(err, nip47.ErrScheme) {
		from.scheme = nip47.NIP44
		s.respond(ctx, from, nil, &nip47.Error{Code: nip47.CodeUnsupportedEncryption, Message: err.Error() + "; there is " + nip47.NIP44 + " and " + nip47.NIP04})
		return
	}
	if err != nil {
		s.Log.Debug("ignored a request that cannot be read", "id", ev.ID, "err", err)
		return
	}
	var req nip47.Request
	if err := json.Unmarshal([]byte(plain), &req); err != nil {
		s.Log.Debug("ignored a request that is no JSON", "id", ev.ID, "err", err)
		return
	}
	from.method = req.Method
	if !s.limit.allow(from.client, s.Now()) {
		s.respond(ctx, from, nil, &nip47.Error{Code: nip47.CodeRateLimited, Message: "too many requests; try again in a few seconds"})
		return
	}
	result, changed, err := s.do(events.ID(ev.ID), from.client, req)
	if hash, ok := result.(later); ok && err == nil {
		s.wait(wallet.Hash(hash), from)
	} else {
		s.respond(ctx, from, result, err)
	}
	if changed != nil {
		s.tell(ctx, changed)
	}
}

// methods are what do knows.
var methods = []string{
	nip47.GetInfo, nip47.GetBalance, nip47.MakeInvoice, nip47.PayInvoice, nip47.LookupInvoice, nip47.ListTransactions,
	nip47.MakeHoldInvoice, nip47.SettleHoldInvoice, nip47.CancelHoldInvoice,
}

// do carries out one method. changed is the invoice whose state is another now.
func (s *Service) do(id events.ID, client events.PubKey, req nip47.Request) (result any, changed *invoice, err error) {
	switch req.Method {
	case nip47.GetInfo:
		return s.info(), nil, nil
	case nip47.GetBalance:
		balance, err := s.book.balance(client, s.Opening)
		return nip47.Balance{Balance: int64(balance)}, nil, err
	case nip47.MakeInvoice:
		result, err = s.makeInvoice(id, client, req.Params)
	case nip47.PayInvoice:
		return s.payInvoice(id, client, req.Params)
	case nip47.LookupInvoice:
		result, err = s.lookupInvoice(client, req.Params)
	case nip47.ListTransactions:
		result, err = s.listTransactions(client, req.Params)
	case nip47.MakeHoldInvoice:
		result, err = s.makeHoldInvoice(id, client, req.Params)
	case nip47.SettleHoldInvoice:
		return s.settleHoldInvoice(id, client, req.Params)
	case nip47.CancelHoldInvoice:
		return s.cancelHoldInvoice(id, client, req.Params)
	default:
		err = &nip47.Error{Code: nip47.CodeNotImplemented, Message: "play money does not know " + strconv.Quote(req.Method)}
	}
	return result, nil, err
}

func (s *Service) info() nip47.Info {
	height := s.Height()
	return nip47.Info{
		Alias: "play money", Color: "#888888", PubKey: fmt.Sprintf("%x", s.Payee()), Network: "regtest", Chosen: true, BlockHeight: height,
		BlockHash: fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "infernet play block %d", height))), Methods: methods, Notifications: notifications,
	}
}
