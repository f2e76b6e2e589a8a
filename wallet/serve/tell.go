package serve

import (
	"context"
	"encoding/json"
	"errors"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet/internal/connect"
)

// notifications are what notify sends.
var notifications = []string{nip47.PaymentReceived, nip47.PaymentSent, nip47.HoldInvoiceAccepted}

// respond sends the answer. Its loss is harmless: the client asks what became of its request.
func (s *Service) respond(ctx context.Context, to asked, result any, err error) {
	resp := nip47.Response{ResultType: to.Method}
	if err != nil {
		if !errors.As(err, &resp.Error) {
			s.Log.Error("a request failed", "method", to.Method, "err", err)
			resp.Error = &nip47.Error{Code: nip47.CodeInternal, Message: "the wallet service failed"}
		}
	} else if resp.Result, err = json.Marshal(result); err != nil {
		s.Log.Error("a result cannot be written", "err", err)
		return
	}
	s.send(ctx, nip47.Envelope{Kind: nip47.KindResponse, To: string(to.client), Request: string(to.id), Encryption: to.scheme}, resp)
}

// notify tells a connection what became of a transaction, by both encryptions: it is not known which its program reads.
func (s *Service) notify(ctx context.Context, what string, t *transaction) {
	for kind, scheme := range map[int]string{nip47.KindNotification: nip47.NIP44, nip47.KindNotification04: nip47.NIP04} {
		s.send(ctx, nip47.Envelope{Kind: kind, To: string(t.Client), Encryption: scheme}, nip47.Notification{Type: what, Notification: t.shown()})
	}
}

func (s *Service) send(ctx context.Context, out nip47.Envelope, body any) {
	plain, err := json.Marshal(body)
	if err == nil {
		out.Content, err = connect.Encrypt(ctx, s.Keys, out.Encryption, events.PubKey(out.To), string(plain))
	}
	ev := out.Event()
	if err == nil {
		err = s.Keys.Sign(ctx, ev)
	}
	if err != nil {
		s.Log.Error("a message cannot be sent", "err", err)
		return
	}
	s.pool.Send(ctx, ev)
}

// Address is the address of a new connection, for any program that speaks NIP-47. It is told once: the secret in it is not
// kept here.
func Address(service events.PubKey, relays []string, client *events.Keys) nip47.URI {
	return nip47.URI{Wallet: string(service), Relays: relays, Secret: client.Secret()}
}
