package play

import (
	"context"
	"encoding/json"
	"errors"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet"
	"infernet/wallet/internal/connect"
)

// notifications are what tell sends.
var notifications = []string{nip47.PaymentReceived, nip47.PaymentSent, nip47.HoldInvoiceAccepted}

// maxWaiting is how many requests for one locked payment wait for their answer: a client may ask again and again.
const maxWaiting = 16

// wait keeps a request until its payment is settled or comes back. It is forgotten at a restart: its client asks then what
// became of the payment.
func (s *Service) wait(hash wallet.Hash, from asked) {
	if s.waiting[hash] = append(s.waiting[hash], from); len(s.waiting[hash]) > maxWaiting {
		s.waiting[hash] = s.waiting[hash][1:]
	}
}

// lapse gives back what was locked for too long.
func (s *Service) lapse(ctx context.Context) {
	back, err := s.book.lapse(s.Now().Unix(), s.Height())
	if err != nil {
		s.Log.Error("what was locked too long cannot be given back", "err", err)
	}
	for _, v := range back {
		s.Log.Info("a payment was locked too long, it goes back", "hash", v.Hash)
		s.tell(ctx, v)
	}
}

// tell tells both parties of an invoice what became of it. Nothing depends on it: who misses it asks.
func (s *Service) tell(ctx context.Context, v *invoice) {
	waiting := s.waiting[v.Hash]
	switch {
	case v.Settled > 0:
		for _, from := range waiting {
			s.respond(ctx, from, answerTo(v), nil)
		}
		s.notify(ctx, v.Account, nip47.PaymentReceived, v.transaction(nip47.Incoming, v.Settled))
		s.notify(ctx, v.Payer, nip47.PaymentSent, v.transaction(nip47.Outgoing, v.Settled))
	case v.Undone > 0:
		for _, from := range waiting {
			s.respond(ctx, from, nil, failed("the payment came back: its payee did not take it"))
		}
	case v.Accepted > 0:
		s.notify(ctx, v.Account, nip47.HoldInvoiceAccepted, v.transaction(nip47.Incoming, v.Accepted))
		return
	}
	delete(s.waiting, v.Hash)
}

// respond sends the answer. Its loss is harmless: the client asks what became of its request.
func (s *Service) respond(ctx context.Context, to asked, result any, err error) {
	resp := nip47.Response{ResultType: to.method}
	if err != nil {
		if !errors.As(err, &resp.Error) {
			s.Log.Error("a request failed", "method", to.method, "err", err)
			resp.Error = &nip47.Error{Code: nip47.CodeInternal, Message: "the play-money ledger failed"}
		}
	} else if resp.Result, err = json.Marshal(result); err != nil {
		s.Log.Error("a result cannot be written", "err", err)
		return
	}
	s.send(ctx, nip47.Envelope{Kind: nip47.KindResponse, To: string(to.client), Request: to.id, Encryption: to.scheme}, resp)
}

// notify tells an account something, by both encryptions: it is not known which its client reads.
func (s *Service) notify(ctx context.Context, to events.PubKey, what string, t nip47.Transaction) {
	for kind, scheme := range map[int]string{nip47.KindNotification: nip47.NIP44, nip47.KindNotification04: nip47.NIP04} {
		s.send(ctx, nip47.Envelope{Kind: kind, To: string(to), Encryption: scheme}, nip47.Notification{Type: what, Notification: t})
	}
}

func (s *Service) send(ctx context.Context, out nip47.Envelope, body any) {
	plain, err := json.Marshal(body)
	if err != nil {
		s.Log.Error("a message cannot be written", "err", err)
		return
	}
	if out.Content, err = connect.Encrypt(ctx, s.Keys, out.Encryption, events.PubKey(out.To), string(plain)); err != nil {
		s.Log.Error("a message cannot be encrypted", "err", err)
		return
	}
	ev := out.Event()
	if err := s.Keys.Sign(ctx, ev); err != nil {
		s.Log.Error("a message cannot be signed", "err", err)
		return
	}
	s.pool.Send(ctx, ev)
}
