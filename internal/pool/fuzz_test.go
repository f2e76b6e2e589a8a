package pool

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// FuzzHear takes anything that a relay may say: the pool lives, passes on only what was signed and asked for, once, and
// never takes a word about another event for an OK.
func FuzzHear(f *testing.F) {
	for _, s := range []string{
		`["EVENT","s",{}]`, `["EVENT",null,{"tags":[null]}]`, `["EVENT"]`, `["OK","x",true,""]`, `["OK","ID",false,"auth-required: who"]`, `["OK","ID",true]`, `["OK",7,"true"]`, `["EOSE","s"]`, `["EOSE"]`,
		`["CLOSED","s","auth-required: x"]`, `["CLOSED","s","error: x"]`, `["CLOSED"]`, `["AUTH","challenge"]`, `["AUTH",{"kind":22242}]`, `["NOTICE","x"]`, `["COUNT","s",{"count":-1}]`, `[]`, `7`, ``, "[\"EVENT\",\"s\",{\"kind\":1,\"content\":\"\xff\"}]",
	} {
		f.Add(s, 1)
	}
	own := events.GenerateKeys()
	f.Fuzz(func(t *testing.T, body string, kind int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		p := New(ctx, nil, WithSigner(own))
		defer p.Close()
		c := newConn(p, "ws://127.0.0.1:1")
		p.conns = append(p.conns, c) // never dialled
		sub := p.Subscribe(ctx, nostr.Filter{Kinds: []int{1}})
		ev := &nostr.Event{Kind: 1, CreatedAt: nostr.Now()}
		if err := own.Sign(ctx, ev); err != nil {
			t.Fatal(err)
		}
		sent := p.Send(ctx, ev)
		c.hear(body)
		if m, ok := nostr.ParseMessage(body).(*nostr.EventEnvelope); ok { // the same event, as its author would sign it
			m.Event.Kind = kind
			if own.Sign(ctx, &m.Event) == nil {
				if again, err := json.Marshal([]any{"EVENT", sub.id, m.Event}); err == nil {
					c.hear(string(again))
					c.hear(string(again))
				}
			}
		}
		select {
		case err := <-sent:
			if m, ok := nostr.ParseMessage(body).(*nostr.OKEnvelope); !ok || m.EventID != ev.ID {
				t.Fatalf("%q answers an event that it does not name: %v", body, err)
			}
		default:
		}
		seen := map[string]bool{}
		for _, got := range sub.rest() {
			if events.Verify(got) != nil || got.Kind != 1 || seen[got.ID] {
				t.Fatalf("%q brings %v", body, got)
			}
			seen[got.ID] = true
		}
	})
}
