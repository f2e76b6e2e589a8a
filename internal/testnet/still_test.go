package testnet

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// stillRelay is a small relay that is reached without a network, so that a test's clock (testing/synctest) can run ahead
// while everybody waits. It keeps everything and asks nothing.
type stillRelay struct {
	conns  chan net.Conn
	closed chan struct{}
	server *http.Server

	mu     sync.Mutex
	events []*nostr.Event
	ids    map[string]bool
	subs   map[*stillSession]map[string]nostr.Filters
}

type stillSession struct {
	out chan []byte
}

func newStillRelay() *stillRelay {
	r := &stillRelay{conns: make(chan net.Conn), closed: make(chan struct{}), ids: map[string]bool{}, subs: map[*stillSession]map[string]nostr.Filters{}}
	r.server = &http.Server{Handler: http.HandlerFunc(r.serve)}
	go r.server.Serve(r)
	return r
}

func (r *stillRelay) Accept() (net.Conn, error) {
	select {
	case c := <-r.conns:
		return c, nil
	case <-r.closed:
		return nil, net.ErrClosed
	}
}
func (r *stillRelay) Close() error   { return nil }
func (r *stillRelay) Addr() net.Addr { return &net.TCPAddr{} }

// client reaches the relay.
func (r *stillRelay) client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		here, there := net.Pipe()
		select {
		case r.conns <- there:
			return here, nil
		case <-r.closed:
			return nil, net.ErrClosed
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}}}
}

func (r *stillRelay) serve(w http.ResponseWriter, req *http.Request) {
	ws, err := websocket.Accept(w, req, nil)
	if err != nil {
		return
	}
	ws.SetReadLimit(1 << 20)
	ctx, cancel := context.WithCancel(context.Background())
	s := &stillSession{out: make(chan []byte, 4096)}
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case body := <-s.out:
				if ws.Write(ctx, websocket.MessageText, body) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	for {
		_, body, err := ws.Read(ctx)
		if err != nil {
			break
		}
		r.hear(s, body)
	}
	r.mu.Lock()
	delete(r.subs, s)
	r.mu.Unlock()
	cancel()
	writing.Wait()
	ws.CloseNow()
}

func (r *stillRelay) hear(s *stillSession, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch m := nostr.ParseMessage(string(body)).(type) {
	case *nostr.EventEnvelope:
		s.say(nostr.OKEnvelope{EventID: m.Event.ID, OK: true})
		if r.ids[m.Event.ID] {
			return
		}
		r.ids[m.Event.ID] = true
		ev := m.Event
		if ev.Kind < 20000 || ev.Kind >= 30000 {
			r.events = append(r.events, &ev)
		}
		for to, subs := range r.subs {
			for id, filters := range subs {
				if filters.Match(&ev) {
					to.say(nostr.EventEnvelope{SubscriptionID: &id, Event: ev})
				}
			}
		}
	case *nostr.ReqEnvelope:
		if r.subs[s] == nil {
			r.subs[s] = map[string]nostr.Filters{}
		}
		r.subs[s][m.SubscriptionID] = m.Filters
		for _, ev := range r.events {
			if m.Filters.Match(ev) {
				s.say(nostr.EventEnvelope{SubscriptionID: &m.SubscriptionID, Event: *ev})
			}
		}
		eose := nostr.EOSEEnvelope(m.SubscriptionID)
		s.say(&eose)
	case *nostr.CloseEnvelope:
		delete(r.subs[s], string(*m))
	}
}

func (s *stillSession) say(m interface{ MarshalJSON() ([]byte, error) }) {
	if body, err := m.MarshalJSON(); err == nil {
		s.out <- body
	}
}

// end closes the relay and every connection to it.
func (r *stillRelay) end() {
	close(r.closed)
	r.server.Close()
}

// stillWallet is a wallet whose money moves when the test says so.
type stillWallet struct {
	secret [32]byte
	mu     sync.Mutex
	asked  map[wallet.Hash]*stillInvoice
}

type stillInvoice struct {
	amount events.Msat
	until  time.Time
	paid   chan struct{}
	at     time.Time
}

func newStillWallet() *stillWallet {
	return &stillWallet{secret: [32]byte{1}, asked: map[wallet.Hash]*stillInvoice{}}
}

func (w *stillWallet) Invoice(_ context.Context, ask wallet.InvoiceRequest) (*wallet.Invoice, error) {
	r := wallet.NewPreimage()
	v := bolt11.Invoice{
		Network: bolt11.Regtest, Amount: ask.Amount, Timestamp: time.Now(), PaymentHash: r.Hash(), PaymentSecret: &[32]byte{2},
		Description: ask.Description, Expiry: max(time.Until(ask.Until).Truncate(time.Second), time.Second),
	}
	text, err := v.Encode(w.secret)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[r.Hash()] = &stillInvoice{amount: ask.Amount, until: ask.Until, paid: make(chan struct{})}
	return &wallet.Invoice{Bolt11: text, Hash: r.Hash(), Amount: ask.Amount, Until: ask.Until}, nil
}

func (w *stillWallet) Await(ctx context.Context, hash wallet.Hash) (wallet.Settlement, error) {
	w.mu.Lock()
	v := w.asked[hash]
	w.mu.Unlock()
	if v == nil {
		return wallet.Settlement{}, wallet.ErrNotFound
	}
	select {
	case <-v.paid: // long ago, maybe
		return wallet.Settlement{Hash: hash, Amount: v.amount, At: v.at}, nil
	default:
	}
	late := time.NewTimer(time.Until(v.until))
	defer late.Stop()
	select {
	case <-v.paid:
		return wallet.Settlement{Hash: hash, Amount: v.amount, At: v.at}, nil
	case <-late.C:
		return wallet.Settlement{}, wallet.ErrExpired
	case <-ctx.Done():
		return wallet.Settlement{}, ctx.Err()
	}
}

// pay pays an invoice, once.
func (w *stillWallet) pay(raw string) error {
	v, err := bolt11.Decode(raw)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked[v.PaymentHash]
	switch {
	case asked == nil:
		return wallet.ErrNotFound
	case !asked.at.IsZero():
		return errors.New("paid twice")
	case time.Now().After(asked.until):
		return wallet.ErrExpired
	}
	asked.at = time.Now()
	close(asked.paid)
	return nil
}
