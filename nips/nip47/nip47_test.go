package nip47

import (
	"encoding/json"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

const (
	key    = "b889ff5b1513b641e2a139f661a661364979c5beee91842f8f0ef42ab558e9d4"
	secret = "71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c"
)

func parse(t *testing.T, raw string) (URI, error) {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return ParseURI(u)
}

func TestAddressesReadBack(t *testing.T) {
	for _, want := range []URI{
		{Wallet: key, Relays: []string{"wss://relay.example.com"}, Secret: secret},
		{Wallet: key, Relays: []string{"wss://a.example.com/path?x=1&y=2", "ws://127.0.0.1:7777"}, Secret: secret},
	} {
		got, err := parse(t, want.String())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("reads %+v, %v", got, err)
		}
	}
	for _, raw := range []string{ // with and without slashes, with what we do not know
		Scheme + ":" + key + "?relay=wss%3A%2F%2Frelay.example.com&secret=" + secret,
		Scheme + "://" + key + "?relay=wss%3A%2F%2Frelay.example.com&secret=" + secret + "&lud16=a%40example.com",
	} {
		if got, err := parse(t, raw); err != nil || got.Wallet != key || got.Secret != secret || got.Relays[0] != "wss://relay.example.com" {
			t.Errorf("%s reads %+v, %v", raw, got, err)
		}
	}
}

func TestBadAddressesDoNotShowTheirSecret(t *testing.T) {
	const relay = "relay=wss%3A%2F%2Frelay.example.com"
	for name, c := range map[string]struct{ raw, says string }{
		"no wallet":          {Scheme + "://?" + relay + "&secret=" + secret, "wallet key"},
		"a short wallet key": {Scheme + "://" + key[1:] + "?" + relay + "&secret=" + secret, "wallet key"},
		"a key in capitals":  {Scheme + "://" + strings.ToUpper(key) + "?" + relay + "&secret=" + secret, "wallet key"},
		"no secret":          {Scheme + "://" + key + "?" + relay, "secret"},
		"a long secret":      {Scheme + "://" + key + "?" + relay + "&secret=" + secret + "0", "secret"},
		"a secret of no hex": {Scheme + "://" + key + "?" + relay + "&secret=g" + secret[1:], "secret"},
		"no relay":           {Scheme + "://" + key + "?secret=" + secret, "relay"},
	} {
		got, err := parse(t, c.raw)
		switch {
		case err == nil:
			t.Errorf("%s reads %+v", name, got)
		case !strings.Contains(err.Error(), c.says):
			t.Errorf("%s: %v", name, err)
		case strings.Contains(err.Error(), secret[1:]):
			t.Errorf("%s: the error shows the secret", name)
		}
	}
}

// TestMessagesOnTheWire reads messages as other wallets write them, with more in them than we know.
func TestMessagesOnTheWire(t *testing.T) {
	var resp Response
	if err := json.Unmarshal([]byte(`{"result_type":"pay_invoice","error":null,"result":{"preimage":"00ff","fees_paid":7,"more":{}}}`), &resp); err != nil {
		t.Fatal(err)
	}
	var paid Paid
	if err := json.Unmarshal(resp.Result, &paid); err != nil || resp.Error != nil || paid != (Paid{Preimage: "00ff", FeesPaid: 7}) {
		t.Errorf("reads %+v, %+v, %v", resp, paid, err)
	}
	resp = Response{}
	if err := json.Unmarshal([]byte(`{"result_type":"pay_invoice","error":{"code":"QUOTA_EXCEEDED","message":"no"},"result":null}`), &resp); err != nil || resp.Error == nil || resp.Error.Code != CodeQuotaExceeded {
		t.Errorf("reads %+v, %v", resp, err)
	}
	var tx Transaction
	if err := json.Unmarshal([]byte(`{"type":"incoming","state":null,"payment_hash":"ab","amount":123,"fees_paid":0,"settled_at":null,"metadata":{"a":[1]}}`), &tx); err != nil || tx.Amount != 123 || tx.SettledAt != 0 || tx.State != "" {
		t.Errorf("reads %+v, %v", tx, err)
	}
	// what a request leaves out is not sent as zero: a wallet would take an amount of 0 at its word
	body, err := json.Marshal(Paying{Invoice: "lnbc1"})
	if err != nil || string(body) != `{"invoice":"lnbc1"}` {
		t.Errorf("writes %s, %v", body, err)
	}
}
