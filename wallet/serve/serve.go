// Package serve puts Nostr Wallet Connect (NIP-47) in front of a wallet: programs pay and are paid through connections, each
// with its own key, methods, budget and end. The wallet's own keys stay where they are.
//
// What a connection has spent is written down before anything is sent, a request is carried out once however often it comes,
// and what was under way is looked after again after a restart. Begin with New.
package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/pool"
	"infernet/nips/nip47"
	"infernet/wallet"
	"infernet/wallet/internal/connect"
)

// Config says what is served. Relays, Keys, Book and Wallet are needed.
type Config struct {
	Relays []string
	Keys   *events.Keys // the service's
	Book   *Book
	Wallet wallet.Wallet
	MaxFee func(amount events.Msat) events.Msat // most to pay above an amount; 1 %, at least 5 sat, if unset
	Log    *slog.Logger
	Now    func() time.Time
}

// Service answers requests to one wallet.
type Service struct {
	Config
	pool *pool.Pool
	busy chan struct{} // a place for each request that is being answered
	wait sync.WaitGroup

	mu     sync.Mutex
	paying map[wallet.Hash]chan struct{} // closed when the payment has its end
}

// New checks the config.
func New(c Config) (*Service, error) {
	if c.Keys == nil || c.Book == nil || c.Wallet == nil || len(c.Relays) == 0 {
		return nil, errors.New("wallet service: relays, keys, a book and a wallet are needed")
	}
	if c.MaxFee == nil {
		c.MaxFee = func(amount events.Msat) events.Msat { return max(amount/100, 5*events.Sat) }
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Service{Config: c, busy: make(chan struct{}, maxBusy), paying: map[wallet.Hash]chan struct{}{}}, nil
}

const (
	maxBusy  = 256             // requests at once; payments that are locked take one each
	lookBack = 2 * time.Minute // the oldest request that is carried out
)

// Run answers requests until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer s.wait.Wait()
	defer cancel()
	s.pool = pool.New(ctx, s.Relays, pool.WithSigner(s.Keys), pool.WithLog(s.Log))
	defer s.pool.Close()
	since := nostr.Timestamp(s.Now().Add(-lookBack).Unix())
	sub := s.pool.Subscribe(ctx, nostr.Filter{Kinds: []int{nip47.KindRequest}, Tags: nostr.TagMap{"p": {string(s.Keys.PublicKey())}}, Since: &since})
	if err := s.resume(ctx); err != nil {
		return err
	}
	ev := nip47.Capabilities{Methods: s.methods(), Notifications: notifications, Encryptions: []string{nip47.NIP44, nip47.NIP04}}.Event()
	if err := s.Keys.Sign(ctx, ev); err != nil {
		return err
	}
	s.pool.Send(ctx, ev)
	for ev := range sub.Events {
		s.hear(ctx, ev)
	}
	return nil
}

// asked is a request that is to be answered.
type asked struct {
	id     events.ID
	client events.PubKey
	scheme string // of its encryption, and of its answer's
	nip47.Request
	*Connection
}

// hear reads a request and answers it in the background: a payment may take long.
func (s *Service) hear(ctx context.Context, ev *nostr.Event) {
	age := s.Now().Sub(ev.CreatedAt.Time())
	out, err := nip47.ParseEnvelope(ev)
	if err != nil || age > lookBack || age < -events.MaxFuture || out.Expires != 0 && s.Now().Unix() > out.Expires {
		s.Log.Debug("ignored a request of another time", "id", ev.ID, "age", age, "err", err)
		return
	}
	from := asked{id: events.ID(ev.ID), client: events.PubKey(ev.PubKey), scheme: out.Encryption}
	plain, err := connect.Decrypt(ctx, s.Keys, out.Encryption, from.client, ev.Content)
	if errors.Is(err, nip47.ErrScheme) {
		from.scheme = nip47.NIP44
		s.respond(ctx, from, nil, &nip47.Error{Code: nip47.CodeUnsupportedEncryption, Message: err.Error() + "; there is " + nip47.NIP44 + " and " + nip47.NIP04})
		return
	}
	if err == nil {
		err = json.Unmarshal([]byte(plain), &from.Request)
	}
	if err != nil {
		s.Log.Debug("ignored a request that cannot be read", "id", ev.ID, "err", err)
		return
	}
	if from.Connection, err = s.Book.allowed(from.client, from.Method, s.Now()); err != nil {
		s.respond(ctx, from, nil, err)
		return
	}
	if first, err := s.Book.first(from.id, s.Now()); err != nil || !first {
		s.Log.Debug("a request came again", "id", from.id, "err", err)
		return // whoever asks again asks anew
	}
	select {
	case s.busy <- struct{}{}:
	default:
		s.respond(ctx, from, nil, &nip47.Error{Code: nip47.CodeRateLimited, Message: "too many requests are under way"})
		return
	}
	s.wait.Go(func() {
		defer func() { <-s.busy }()
		result, err := s.do(ctx, from)
		if ctx.Err() == nil {
			s.respond(ctx, from, result, err)
		}
	})
}

// methods are what this wallet can be asked for.
func (s *Service) methods() []string {
	can := []string{nip47.GetInfo, nip47.LookupInvoice, nip47.ListTransactions}
	if _, ok := s.Wallet.(wallet.Balancer); ok {
		can = append(can, nip47.GetBalance)
	}
	if _, ok := s.Wallet.(wallet.Receiver); ok {
		can = append(can, nip47.MakeInvoice)
	}
	if _, ok := s.Wallet.(wallet.Payer); ok {
		can = append(can, nip47.PayInvoice)
	}
	if _, ok := s.Wallet.(wallet.Holder); ok {
		can = append(can, nip47.MakeHoldInvoice, nip47.SettleHoldInvoice, nip47.CancelHoldInvoice)
	}
	return can
}

// do carries out one method.
func (s *Service) do(ctx context.Context, from asked) (any, error) {
	switch from.Method {
	case nip47.GetInfo:
		return s.info(ctx, from)
	case nip47.GetBalance:
		if b, ok := s.Wallet.(wallet.Balancer); ok {
			have, err := b.Balance(ctx)
			return nip47.Balance{Balance: int64(have)}, said(err)
		}
	case nip47.MakeInvoice:
		if r, ok := s.Wallet.(wallet.Receiver); ok {
			return s.makeInvoice(ctx, from, r)
		}
	case nip47.PayInvoice:
		if p, ok := s.Wallet.(wallet.Payer); ok {
			return s.payInvoice(ctx, from, p)
		}
	case nip47.LookupInvoice:
		return s.lookupInvoice(from)
	case nip47.ListTransactions:
		return s.listTransactions(from)
	case nip47.MakeHoldInvoice, nip47.SettleHoldInvoice, nip47.CancelHoldInvoice:
		if h, ok := s.Wallet.(wallet.Holder); ok {
			return s.hold(ctx, from, h)
		}
	}
	return nil, &nip47.Error{Code: nip47.CodeNotImplemented, Message: "this wallet does not know " + strconv.Quote(from.Method)}
}

// chained is a wallet that knows the chain and its own key on it.
type chained interface {
	Chain(ctx context.Context) (key string, height int64, block string, err error)
}

func (s *Service) info(ctx context.Context, from asked) (any, error) {
	info := nip47.Info{Alias: s.Wallet.Describe(), Color: "#888888", Network: "mainnet", Methods: from.may(s.methods()), Notifications: notifications}
	_, info.Chosen = s.Wallet.(wallet.Sealer)
	if n, ok := s.Wallet.(wallet.Networked); ok {
		var err error
		if info.Network, err = n.Network(ctx); err != nil {
			return nil, said(err)
		}
	}
	if c, ok := s.Wallet.(chained); ok {
		var err error
		if info.PubKey, info.BlockHeight, info.BlockHash, err = c.Chain(ctx); err != nil {
			return nil, said(err)
		}
	}
	return info, nil
}

// said gives what a wallet says NIP-47's codes.
func said(err error) error {
	var no *nip47.Error
	code := ""
	switch {
	case err == nil:
		return nil
	case errors.As(err, &no):
		return no
	case errors.Is(err, wallet.ErrInsufficient):
		code = nip47.CodeInsufficientBalance
	case errors.Is(err, wallet.ErrUnsupported):
		code = nip47.CodeNotImplemented
	case errors.Is(err, wallet.ErrRejected), errors.Is(err, wallet.ErrExpired):
		code = nip47.CodePaymentFailed
	case errors.Is(err, wallet.ErrNotFound):
		code = nip47.CodeNotFound
	default:
		code = nip47.CodeInternal
	}
	return &nip47.Error{Code: code, Message: err.Error()}
}

func other(format string, args ...any) error {
	return &nip47.Error{Code: nip47.CodeOther, Message: fmt.Sprintf(format, args...)}
}

// read reads a method's params; none are as good as empty ones.
func read(raw json.RawMessage, to any) error {
	if len(raw) == 0 {
		return nil
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return other("params: %v", err)
	}
	return nil
}
