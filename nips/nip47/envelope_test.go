package nip47

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"
)

func TestEnvelopesReadBack(t *testing.T) {
	for name, want := range map[string]Envelope{
		"request":                {Kind: KindRequest, To: key, Encryption: NIP44, Content: "x"},
		"request that ends":      {Kind: KindRequest, To: key, Encryption: NIP04, Expires: 1_800_000_000, Content: "x?iv=y"},
		"request of tomorrow":    {Kind: KindRequest, To: key, Encryption: "nip99", Content: "x"},
		"response":               {Kind: KindResponse, To: key, Request: secret, Encryption: NIP44, Content: "x"},
		"response by NIP-04":     {Kind: KindResponse, To: key, Request: secret, Encryption: NIP04, Content: "x?iv=y"},
		"notification":           {Kind: KindNotification, To: key, Encryption: NIP44, Content: "x"},
		"notification by NIP-04": {Kind: KindNotification04, To: key, Encryption: NIP04, Content: "x?iv=y"},
	} {
		if got, err := ParseEnvelope(want.Event()); err != nil || got != want {
			t.Errorf("%s reads %+v, %v", name, got, err)
		}
	}
	old := &nostr.Event{Kind: KindRequest, Content: "x?iv=y"}
	if got, err := ParseEnvelope(old); err != nil || got.Encryption != NIP04 {
		t.Errorf("a request without a scheme reads %+v, %v", got, err)
	}
	for name, ev := range map[string]*nostr.Event{
		"a response to nothing":      {Kind: KindResponse},
		"an expiration that is none": {Kind: KindRequest, Tags: nostr.Tags{{"expiration", "soon"}}},
		"another kind":               {Kind: 1},
	} {
		if got, err := ParseEnvelope(ev); err == nil {
			t.Errorf("%s reads %+v", name, got)
		}
	}
}

func TestCapabilitiesReadBack(t *testing.T) {
	for _, want := range []Capabilities{
		{Methods: []string{GetInfo, PayInvoice}, Encryptions: []string{NIP44, NIP04}, Notifications: []string{PaymentReceived, PaymentSent}},
		{Methods: []string{GetInfo}, Encryptions: []string{NIP44}},
	} {
		if got, err := ParseCapabilities(want.Event()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("reads %+v, %v", got, err)
		}
	}
	for name, c := range map[string]struct {
		ev   nostr.Event
		best string
		can  bool
	}{
		"of the NIP's page":        {nostr.Event{Content: "pay_invoice get_balance notifications", Tags: nostr.Tags{{"encryption", "nip44_v2 nip04"}}}, NIP44, true},
		"the worse scheme first":   {nostr.Event{Content: "pay_invoice", Tags: nostr.Tags{{"encryption", "nip04 nip44_v2"}}}, NIP44, true},
		"an old one, with commas":  {nostr.Event{Content: "pay_invoice,get_balance"}, NIP04, true},
		"one of tomorrow":          {nostr.Event{Content: "", Tags: nostr.Tags{{"encryption", "nip99"}}}, "", false},
		"one that says not enough": {nostr.Event{Content: "get_info", Tags: nostr.Tags{{"encryption"}, {"notifications"}}}, NIP04, false},
	} {
		c.ev.Kind = KindInfo
		got, err := ParseCapabilities(&c.ev)
		if err != nil || got.Encryption() != c.best || got.Can(PayInvoice) != c.can || got.Can("notifications") {
			t.Errorf("%s reads %+v, %v", name, got, err)
		}
	}
	if _, err := ParseCapabilities(&nostr.Event{Kind: 1}); err == nil {
		t.Error("a note is an info event")
	}
}

func TestEncryption(t *testing.T) {
	const (
		a, b = "7b1b6d3e1c4a4a2a9c0e6d5f4b3a29180716253443526170819283a4b5c6d7e8", secret
	)
	public := func(secret string) string {
		p, err := nostr.GetPublicKey(secret)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, scheme := range []string{NIP44, NIP04} {
		for _, plain := range []string{"x", strings.Repeat("é", 8), strings.Repeat("0123456789abcdef", 3000)} {
			cipher, err := Encrypt(scheme, a, public(b), plain)
			if err != nil || SchemeOf(cipher) != scheme {
				t.Fatalf("%s: shows %s, %v", scheme, SchemeOf(cipher), err)
			}
			if got, err := Decrypt(scheme, b, public(a), cipher); err != nil || got != plain {
				t.Errorf("%s: opens %d bytes, %v", scheme, len(got), err)
			}
		}
	}
	if _, err := Encrypt("nip99", a, public(b), "x"); !errors.Is(err, ErrScheme) {
		t.Errorf("got %v", err)
	}
	if _, err := Decrypt("nip99", a, public(b), "x"); !errors.Is(err, ErrScheme) {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"", "?iv=", "AAAA", "AAAA?iv=AAAA", "AAAAAAAAAAAAAAAAAAAAAA==?iv=AAAA", "AAAA?iv=AAAAAAAAAAAAAAAAAAAAAA==", "x?iv=y?iv=z", "!?iv=!"} {
		if got, err := Decrypt(NIP04, a, public(b), bad); err == nil {
			t.Errorf("%q opens as %q", bad, got)
		}
	}
}
