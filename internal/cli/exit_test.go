package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"infernet/consumer"
	"infernet/engine"
	"infernet/events"
	"infernet/wallet"
)

// TestExitCodesOfTheHelp: each exit code that the help names is that of an error, however deep the error lies, and no
// error has one that the help does not name. Each error of the market has a hint.
func TestExitCodesOfTheHelp(t *testing.T) {
	named := map[string]bool{"0": false}
	for _, m := range regexp.MustCompile(`(\d+) [a-z]`).FindAllStringSubmatch(exitCodes, -1) {
		named[m[1]] = false
	}
	named["0"] = true // TestScripts
	offers := &consumer.NoOffersError{Kind: events.KindText, MaxCost: events.Sat}
	for _, c := range []struct {
		err  error
		want int
	}{
		{errors.New("something else"), 1},
		{syscall.EADDRINUSE, 1},
		{usage("wrong"), 2},
		{&events.ParamError{}, 2},
		{offers, 10},
		{&consumer.NoOffersError{Near: []string{"tiny"}}, 10},
		{&consumer.NoOffersError{Dear: []*events.Offer{{Cap: 2 * events.Sat}}}, 10},
		{&consumer.NoOffersError{About: 32 * events.Sat}, 10},
		{errFraud, 14},
		{wallet.ErrInsufficient, 11},
		{wallet.ErrRejected, 11},
		{wallet.ErrExpired, 11},
		{wallet.ErrInFlight, 11},
		{&consumer.RefusedError{Refusal: &events.Refusal{}}, 12},
		{&consumer.RefusedError{Refusal: &events.Refusal{Code: events.CodeUnderbid}}, 12},
		{&consumer.VanishedError{}, 13},
		{&consumer.BadInvoiceError{}, 14},
		{&consumer.BadResultError{}, 14},
		{errNoRelay, 15},
		{wallet.ErrUnavailable, 16},
		{engine.ErrUnavailable, 17},
		{errDiffers, 18},
		{errInterrupted, 130},
		{context.Canceled, 130},
	} {
		code, message, hint := explain(fmt.Errorf("deep: %w", fmt.Errorf("down: %w", c.err)), []string{"run", "hi"})
		if code != c.want {
			t.Errorf("%v: exit code %d, not %d", c.err, code, c.want)
		}
		if _, ok := named[fmt.Sprint(code)]; !ok {
			t.Errorf("%v: exit code %d is not in the help", c.err, code)
		}
		named[fmt.Sprint(code)] = true
		if hint == "" && code != exitInterrupted && c.err.Error() != "something else" {
			t.Errorf("%v has no hint", c.err)
		}
		if !strings.HasPrefix(message, "deep: down: ") {
			t.Errorf("%v is shown as %q", c.err, message)
		}
	}
	for code, seen := range named {
		if !seen {
			t.Errorf("the help names exit code %s, which no error has", code)
		}
	}
}

// TestHintsNamePrices: an offer that is too dear, and a price that is, make the --max-cost that would do.
func TestHintsNamePrices(t *testing.T) {
	typed := []string{"run", "--max-cost", "1", "hi"}
	for _, c := range []struct {
		err  *consumer.NoOffersError
		want string
	}{
		{&consumer.NoOffersError{MaxCost: events.Sat, Dear: []*events.Offer{{Cap: 31*events.Sat + 1}}}, "infernet run --max-cost 32 hi"},
		{&consumer.NoOffersError{MaxCost: events.Sat, About: 32 * events.Sat}, "infernet run --max-cost 41 hi  # what nodes ask: infernet market prices"},
		{&consumer.NoOffersError{MaxCost: events.Sat, Near: []string{"tiny"}}, "infernet run --max-cost 1 hi --model tiny"},
		{&consumer.NoOffersError{MaxCost: events.Sat}, "infernet market nodes"},
	} {
		if _, _, hint := explain(c.err, typed); hint != c.want {
			t.Errorf("%v: hint %q, want %q", c.err, hint, c.want)
		}
	}
}

// TestOwnHintsComeFirst: what a part says in its text, or an error wraps, is better than what its kind says.
func TestOwnHintsComeFirst(t *testing.T) {
	_, message, hint := explain(fmt.Errorf("a: %w", withHint(errNoRelay, "type %s", "this")), nil)
	if message != "a: no relay answers" || hint != "type this" {
		t.Errorf("%q, %q", message, hint)
	}
	_, message, hint = explain(errors.New("no model; hint: make model"), nil)
	if message != "no model" || hint != "make model" {
		t.Errorf("%q, %q", message, hint)
	}
}

// TestSecretsAreHidden: whatever is secret in an address is hidden wherever addresses are shown.
func TestSecretsAreHidden(t *testing.T) {
	for address, want := range map[string]string{
		"nostr+walletconnect://00ff?relay=ws://x&secret=11aa": "nostr+walletconnect://00ff?relay=ws://x&secret=hidden",
		"nostr+walletconnect://00ff?secret=11aa&relay=ws://x": "nostr+walletconnect://00ff?secret=hidden&relay=ws://x",
		"wss://me:hunter2@relay.example":                      "wss://me:hidden@relay.example",
		"openai+https://:sk-123@api.example/v1":               "openai+https://:hidden@api.example/v1",
		"ws://a.example,wss://me:hunter2@relay.example":       "ws://a.example,wss://me:hidden@relay.example",
		"wss://sk-123@relay.example":                          "wss://hidden@relay.example",
		"wss://relay.example/?token=abc":                      "wss://relay.example/?token=hidden",
		"openai+https://api.example/v1?key_file=/etc/key":     "openai+https://api.example/v1?key_file=/etc/key",
		"openai+https://api.example/v1?api_key=abc&x=1":       "openai+https://api.example/v1?api_key=hidden&x=1",
		"ws://127.0.0.1:3000":                                 "ws://127.0.0.1:3000",
		"file:/home/me/mine":                                  "file:/home/me/mine",
	} {
		if got := hide(address); got != want {
			t.Errorf("%s is shown as %s, want %s", address, got, want)
		}
	}
}
