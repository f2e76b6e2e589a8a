package events

import (
	"errors"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"
)

// TestLongSignaturesKillNobody holds the length of what is checked: go-nostr decodes a signature into 64 bytes and dies of more.
func TestLongSignaturesKillNobody(t *testing.T) {
	good := &nostr.Event{Kind: 1, CreatedAt: 1, Content: "hello"}
	if err := GenerateKeys().Sign(t.Context(), good); err != nil {
		t.Fatal(err)
	}
	if err := Verify(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(ev *nostr.Event){
		"a long signature":  func(ev *nostr.Event) { ev.Sig += "00" },
		"a short signature": func(ev *nostr.Event) { ev.Sig = ev.Sig[2:] },
		"a long key":        func(ev *nostr.Event) { ev.PubKey += strings.Repeat("0", 64); ev.ID = ev.GetID() },
		"no signature":      func(ev *nostr.Event) { ev.Sig = "" },
	} {
		bad := *good
		change(&bad)
		if err := Verify(&bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
