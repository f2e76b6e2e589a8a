package nip47

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"
)

// FuzzEnvelope reads events that anybody may have sent, opens their content by each scheme, and reads what is inside: it
// never panics, and what it could read, it writes again.
func FuzzEnvelope(f *testing.F) {
	const peer = "1b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f"
	for _, scheme := range []string{NIP44, NIP04} {
		cipher, err := Encrypt(scheme, secret, peer, `{"method":"pay_invoice","params":{"invoice":"lnbcrt1","metadata":{"a":1}}}`)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(KindRequest, cipher, scheme, "1800000000", `{"method":"get_info","params":{}}`)
	}
	f.Add(KindResponse, "", "", "", `{"result_type":"lookup_invoice","error":null,"result":{"type":"incoming","metadata":null}}`)
	f.Add(KindNotification04, "AAAA?iv=AAAA", "nip04", "-1", `{"notification_type":"payment_received","notification":{"amount":1}}`)
	f.Add(KindNotification, "?iv=", "nip44_v2", "x", `{"error":{"code":1}}`)
	f.Add(KindInfo, "pay_invoice,get_info notifications", "nip44_v2 nip04", "0", "{}")
	f.Fuzz(func(t *testing.T, kind int, content, scheme, expires, inside string) {
		ev := &nostr.Event{Kind: kind, Content: content, Tags: nostr.Tags{{"p", peer}, {"e", "x"}, {}, {"encryption", scheme}, {"expiration", expires}, {"notifications", scheme}}}
		if m, err := ParseEnvelope(ev); err == nil {
			again, err := ParseEnvelope(m.Event())
			if err != nil || again != m {
				t.Errorf("%+v reads back %+v, %v", m, again, err)
			}
		}
		ParseCapabilities(ev)
		for _, scheme := range []string{scheme, NIP44, NIP04, SchemeOf(content)} {
			Decrypt(scheme, secret, peer, content)
		}
		var req Request
		var resp Response
		var n Notification
		json.Unmarshal([]byte(inside), &req)
		if json.Unmarshal([]byte(inside), &resp) == nil && resp.Error != nil {
			_ = resp.Error.Error()
		}
		if json.Unmarshal([]byte(inside), &n) == nil {
			if _, err := json.Marshal(n); err != nil {
				t.Errorf("%+v cannot be written: %v", n, err)
			}
		}
	})
}

// FuzzURI reads anything as a wallet's address: what reads is written the same again, and no error repeats the secret.
func FuzzURI(f *testing.F) {
	key := strings.Repeat("ab", 32)
	for _, s := range []string{
		"", Scheme + "://" + key + "?relay=wss%3A%2F%2Fr.example&secret=" + key, Scheme + ":" + key + "?relay=a&relay=b&secret=" + key,
		Scheme + "://" + key + ":80/x?secret=" + key, Scheme + "://u:p@" + key, Scheme + ":///?relay", "%", Scheme + "://" + key + "?relay=;&secret=" + key,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := url.Parse(s)
		if err != nil {
			return
		}
		c, err := ParseURI(u)
		if err != nil {
			if secret := u.Query().Get("secret"); len(secret) > 16 && strings.Contains(err.Error(), secret) && !strings.Contains(c.Wallet, secret) {
				t.Fatalf("the error repeats the secret: %v", err)
			}
			return
		}
		u, err = url.Parse(c.String())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ParseURI(u); err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%q reads %+v, and then %+v, %v", s, c, again, err)
		}
	})
}
