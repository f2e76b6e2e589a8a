package connect

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet"
)

// FuzzHear takes anything that a wallet service may say, by each encryption: an answer reaches who waits for it and nobody
// else, and one that cannot be read is no answer.
func FuzzHear(f *testing.F) {
	for _, s := range []string{
		`{"result_type":"get_balance","result":{"balance":1}}`, `{"result_type":"pay_invoice","error":{"code":"PAYMENT_FAILED","message":"x"}}`, `{"error":{"code":1}}`, `{"error":null,"result":null}`,
		`{"notification_type":"payment_received","notification":{"payment_hash":"00","amount":-1,"settled_at":1e300}}`, `[]`, `null`, ``, `{"result":{"preimage":7}}`, `{"result":{"balance":"1"}}`,
	} {
		for _, kind := range []int{nip47.KindResponse, nip47.KindNotification, nip47.KindNotification04} {
			f.Add(kind, s, "e")
		}
	}
	f.Add(nip47.KindInfo, "pay_invoice", "encryption")
	const ours = "1111111111111111111111111111111111111111111111111111111111111111"
	far, near := events.GenerateKeys(), events.GenerateKeys()
	f.Fuzz(func(t *testing.T, kind int, inside, tag string) {
		c := &Client{keys: near, wallet: far.PublicKey(), log: slog.New(slog.DiscardHandler), waiting: map[string]chan *nip47.Response{},
			watched: map[side]*watch{}, paying: map[wallet.Hash]*paying{}, scheme: scheme{known: make(chan struct{}), asked: make(chan struct{})}}
		mine, other := make(chan *nip47.Response, 4), make(chan *nip47.Response, 4)
		c.waiting[ours], c.waiting[strings.Repeat("2", 64)] = mine, other
		for _, by := range []string{nip47.NIP44, nip47.NIP04} {
			cipher, err := Encrypt(t.Context(), far, by, near.PublicKey(), inside)
			if err != nil {
				return // empty, or too long
			}
			c.hear(t.Context(), &nostr.Event{Kind: kind, PubKey: string(far.PublicKey()), CreatedAt: 1, Content: cipher, Tags: nostr.Tags{{"p", string(near.PublicKey())}, {"e", ours}, {tag, by}}})
			c.hear(t.Context(), &nostr.Event{Kind: kind, PubKey: string(far.PublicKey()), CreatedAt: 2, Content: inside, Tags: nostr.Tags{{tag, ours}, {tag}, {}}})
			c.hear(t.Context(), &nostr.Event{Kind: nip47.KindResponse, PubKey: string(near.PublicKey()), Content: cipher, Tags: nostr.Tags{{"e", strings.Repeat("2", 64)}}}) // another's
		}
		if len(other) > 0 {
			t.Fatalf("%q reached another question", inside)
		}
		for len(mine) > 0 {
			resp := <-mine
			q := &question{method: "pay_invoice"}
			var paid nip47.Paid
			if err := q.read(resp, &paid); err == nil && !json.Valid([]byte(inside)) && resp.Result != nil {
				t.Fatalf("%q is no JSON and passes as an answer", inside)
			} else if err != nil {
				_ = err.Error()
			}
		}
	})
}
