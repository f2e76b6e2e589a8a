package bunker

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip46"

	"infernet/events"
)

// FuzzAddress reads anything as a bunker's address: what reads names a key and relays that may be dialled, and no error
// repeats the secret.
func FuzzAddress(f *testing.F) {
	key := strings.Repeat("ab", 32)
	for _, s := range []string{
		"bunker://" + key + "?relay=wss://r.example&secret=topsecret", "bunker://" + key, "bunker:" + key + "?relay=wss://r", "bunker://x@" + key + "?relay=ws://127.0.0.1:1",
		"bunker://" + key + "?relay=http://r", "nostrconnect://" + key, "bunker://" + key + "?relay=wss://a;b", "%",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		key, relays, secret, err := Parse(s)
		if err != nil {
			if _, after, ok := strings.Cut(s, "secret="); ok && len(after) > 16 && strings.Contains(err.Error(), after) {
				t.Fatalf("the error repeats the secret: %v", err)
			}
			return
		}
		if !nostr.IsValidPublicKey(string(key)) || len(relays) == 0 {
			t.Fatalf("%q reads %q, %q, %q", s, key, relays, secret)
		}
		for _, relay := range relays {
			if err := events.CheckRelay(relay); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzHear takes anything that a bunker may say inside: an answer reaches who waits for it, and nobody else; what is signed
// is never another event than was asked for.
func FuzzHear(f *testing.F) {
	for _, s := range []string{
		`{"id":"a-1","result":"ack"}`, `{"id":"a-1","error":"no"}`, `{"id":"a-1","result":"auth_url","error":"https://x"}`, `{"id":1}`, `[]`, `null`, `{"id":"a-1","result":{}}`, "",
		`{"id":"a-1","result":"{\"id\":\"\",\"tags\":[null]}"}`,
	} {
		f.Add(s)
	}
	client, far := events.GenerateKeys(), events.GenerateKeys()
	f.Fuzz(func(t *testing.T, inside string) {
		cipher, err := far.Encrypt(t.Context(), client.PublicKey(), inside)
		if err != nil {
			return // empty, or larger than NIP-44 takes
		}
		mine, other := make(chan nip46.Response, 1), make(chan nip46.Response, 1)
		s := &Signer{client: client, bunker: far.PublicKey(), log: slog.New(slog.DiscardHandler), waiting: map[string]chan nip46.Response{"a-1": mine, "a-2": other}}
		s.hear(t.Context(), &nostr.Event{Content: cipher, PubKey: string(far.PublicKey())})
		s.hear(t.Context(), &nostr.Event{Content: inside, PubKey: string(far.PublicKey())}) // not encrypted at all
		if len(mine) == 0 {
			return
		}
		r := <-mine
		var said struct{ ID any }
		if json.Unmarshal([]byte(inside), &said); r.ID != "a-1" || len(other) > 0 {
			t.Fatalf("%s reached who waits for a-1: %+v", inside, r)
		}
	})
}
