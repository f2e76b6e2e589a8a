package cli

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip19"

	"infernet/events"
	"infernet/internal/guard"
	"infernet/internal/ledger"
	"infernet/internal/notify"
	"infernet/internal/pool"
	"infernet/internal/store"
)

// webhookClient sends to the one address that the owner has set, wherever that is, and to public ones.
func webhookClient(u *url.URL) *http.Client {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return guard.New(guard.Config{Trusted: []string{net.JoinHostPort(u.Hostname(), port)}}).Client()
}

// ways are the ways that the settings name. p may be nil if no owner's key is set.
func (a *app) ways(p *pool.Pool, signer events.Signer, whose func() events.PubKey) (ways []notify.Way, err error) {
	owner, err := publicKey(a.settings.text("notify.owner"))
	if err != nil {
		return nil, err
	}
	if owner != "" || whose != nil {
		ways = append(ways, &notify.Nostr{Pool: p, Signer: signer, Owner: owner, Whose: whose, Log: a.log})
	}
	if a.settings.text("notify.webhook") != "" {
		w := &notify.Webhook{Signer: signer}
		if w.URL, err = a.secret("notify.webhook"); err != nil {
			return nil, err
		}
		if w.Secret, err = a.secret("notify.webhook_secret"); err != nil {
			return nil, err
		}
		at, err := notify.CheckWebhook(w.URL)
		if err != nil {
			return nil, usage("notify.webhook: %w", err)
		}
		w.Client = webhookClient(at)
		ways = append(ways, w)
	}
	if a.settings.yes("notify.desktop") {
		ways = append(ways, notify.Desktop{})
	}
	return ways, nil
}

// secret is a setting's value, or what the file holds that it names.
func (a *app) secret(name string) (string, error) {
	path, ok := strings.CutPrefix(a.settings.text(name), "file:")
	if !ok {
		return a.settings.text(name), nil
	}
	text, err := readSecret(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	return text, nil
}

// openOutbox opens this folder's notices, to be told in the ways that the settings name. whose, which may be nil, says who is
// told by private messages where they name no owner.
func (a *app) openOutbox(p *pool.Pool, signer events.Signer, l *ledger.Ledger, whose func() events.PubKey) (*notify.Outbox, error) {
	ways, err := a.ways(p, signer, whose)
	if err != nil {
		return nil, err
	}
	quiet, err := notify.ParseHours(a.settings.text("notify.quiet"), a.settings.text("notify.zone"))
	if err != nil {
		return nil, err
	}
	return notify.Open(a.settings.path("notices.db"), notify.Config{
		Ways: ways, Quiet: quiet, Muted: func() time.Time { return a.mutedUntil(l) }, Log: a.log,
	})
}

// muted is the setting that says until when only urgent notices are told.
const muted = "notices.muted_until"

func (a *app) mutedUntil(l *ledger.Ledger) (until time.Time) {
	if l == nil {
		return until
	}
	records, err := l.Records(store.Topic, 0)
	if err != nil {
		a.log.Error("cannot read the settings", "err", err)
	}
	for _, r := range records {
		if r.Name == muted {
			until, _ = time.Parse(time.RFC3339, string(r.Value))
		}
	}
	return until
}

// checkNotify holds the settings of notices against their forms.
func (s *settings) checkNotify() error {
	name, err := "notify.quiet", error(nil)
	if _, err = notify.ParseHours(s.text("notify.quiet"), s.text("notify.zone")); err != nil && strings.HasPrefix(err.Error(), "time zone") {
		name = "notify.zone"
	}
	if err == nil {
		name = "notify.owner"
		_, err = publicKey(s.text(name))
	}
	if secret := s.text("notify.webhook_secret"); err == nil && secret != "" && !strings.HasPrefix(secret, "file:") {
		name = "notify.webhook_secret"
		err = fmt.Errorf("it is a secret; put it into a file only you can read and set this to file:/path of it")
	}
	if err == nil {
		return nil
	}
	return s.mend(name, usage("%s (from %s): %w", name, s.source[name], err))
}

// publicKey reads a key, in hex or as npub (NIP-19). No text is no key.
func publicKey(text string) (events.PubKey, error) {
	if strings.HasPrefix(text, "npub1") {
		if _, key, err := nip19.Decode(text); err == nil {
			text, _ = key.(string)
		}
	}
	if text != "" && !nostr.IsValidPublicKey(text) {
		return "", fmt.Errorf("%q is no key of 64 hex characters, nor npub", text)
	}
	return events.PubKey(text), nil
}
