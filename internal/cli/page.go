package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/httpd"
	"infernet/web"
)

// mountPage mounts the page at a daemon's door, and what it asks first: which relays this daemon is at. A relay's own
// door answers with none: the page then takes the address that it was served from.
func (a *app) mountPage(door *httpd.Server, part string) error {
	type about struct {
		Body struct {
			Name   string   `json:"name" doc:"the daemon's"`
			Part   string   `json:"part" enum:"relay,provide,gateway" doc:"what serves the page"`
			Relays []string `json:"relays" nullable:"false" doc:"where the daemon's market is; none if it is this address"`
			Key    bool     `json:"key" doc:"whether 'infernet open' signs in with a key of this machine"`
		}
	}
	mine := a.ownPage(part)
	httpd.Handle(door, httpd.Operation{
		Method: "GET", Path: "/api/v1/page", ID: "page", Group: "page", Summary: "Where the page that is served here finds the market",
		Rules: httpd.Rules{Access: httpd.Anyone},
	}, func(context.Context, *struct{}) (*about, error) {
		out := &about{}
		out.Body.Name, out.Body.Part, out.Body.Relays, out.Body.Key = a.settings.text(part+".name"), part, []string{}, mine
		if part != "relay" {
			out.Body.Relays = append(out.Body.Relays, a.settings.list("relays")...)
		}
		return out, nil
	})
	if mine {
		a.mountPageKey(door)
	}
	return door.Page(web.Page())
}

// ownPage says whether only this machine reaches the page of a part: then 'infernet open' can sign in with a key of it.
func (a *app) ownPage(part string) bool {
	return loopback(a.settings.text(part+".listen")) && a.settings.text(part+".url") == ""
}

// What app keys of 'infernet open' are for. They are no scopes that people can give: a key for everything is not for this.
const (
	openScope = "page-open" // good once, for a minute: it stood in a browser's arguments
	pageScope = "page"
)

// pageLife is how long a page that was opened is signed in.
const pageLife = 24 * time.Hour

// mountPageKey mounts signing with this machine's page key, for the page that 'infernet open' opened.
func (a *app) mountPageKey(door *httpd.Server) {
	var mu sync.Mutex
	var kept events.Signer
	signer := func(ctx context.Context) (events.Signer, error) {
		mu.Lock()
		defer mu.Unlock()
		if kept != nil {
			return kept, nil
		}
		s, err := a.pageSigner(ctx)
		if err == nil {
			kept = s
		}
		return s, err
	}
	op := func(method, path, id, summary, scope string) httpd.Operation {
		return httpd.Operation{
			Method: method, Path: "/api/v1/page/" + path, ID: id, Group: "page", Summary: summary, Fails: []int{400, 503},
			Rules: httpd.Rules{Scope: scope, Allow: func(who httpd.Caller) bool { return slices.Contains(who.Scopes, scope) }, MaxBody: 256 << 10},
		}
	}
	type session struct {
		Body struct {
			Token string `json:"token" doc:"the app key that the page shows from now on"`
		}
	}
	httpd.Handle(door, op("POST", "session", "pageSession", "Sign the page in that was opened here; once", openScope), func(ctx context.Context, _ *struct{}) (*session, error) {
		all, err := a.appKeys()
		if err != nil {
			return nil, err
		}
		if err := all.Revoke(httpd.CallerOf(ctx).Key); errors.Is(err, httpd.ErrNoKey) {
			return nil, httpd.Fail(http.StatusUnauthorized, "this page was signed in already")
		} else if err != nil {
			return nil, err
		}
		out := &session{}
		out.Body.Token, err = a.issuePage(all, pageScope, pageLife)
		return out, err
	})
	type key struct {
		Body struct {
			PubKey string `json:"pubkey"`
			Wallet string `json:"wallet,omitempty" doc:"a wallet connection to pay with, where this machine's wallet is one"`
		}
	}
	httpd.Handle(door, op("GET", "key", "pageKey", "Who the page signs as, and what it pays with", pageScope), func(ctx context.Context, _ *struct{}) (*key, error) {
		s, err := signer(ctx)
		if err != nil {
			return nil, err
		}
		out := &key{}
		out.Body.PubKey, out.Body.Wallet = string(s.PublicKey()), a.pageWallet()
		return out, nil
	})
	type draft struct {
		Body struct {
			Event string `json:"event" maxLength:"200000" doc:"an event without id, pubkey and sig, as JSON"`
		}
	}
	type signed struct {
		Body struct {
			Event json.RawMessage `json:"event"`
		}
	}
	httpd.Handle(door, op("POST", "sign", "pageSign", "Sign an event", pageScope), func(ctx context.Context, in *draft) (*signed, error) {
		ev := &nostr.Event{}
		if err := json.Unmarshal([]byte(in.Body.Event), ev); err != nil {
			return nil, httpd.Fail(http.StatusBadRequest, "this is no event: %v", err)
		}
		s, err := signer(ctx)
		if err != nil {
			return nil, err
		}
		if err := s.Sign(ctx, ev); err != nil {
			return nil, err
		}
		out := &signed{}
		out.Body.Event, err = json.Marshal(ev)
		return out, err
	})
	type letter struct {
		Body struct {
			Peer string `json:"peer" pattern:"^[0-9a-f]{64}$" doc:"the other's key"`
			Text string `json:"text" maxLength:"200000"`
		}
	}
	type text struct {
		Body struct {
			Text string `json:"text"`
		}
	}
	turn := func(path, id, summary string, do func(events.Signer, context.Context, events.PubKey, string) (string, error)) {
		httpd.Handle(door, op("POST", path, id, summary, pageScope), func(ctx context.Context, in *letter) (*text, error) {
			s, err := signer(ctx)
			if err != nil {
				return nil, err
			}
			out := &text{}
			if out.Body.Text, err = do(s, ctx, events.PubKey(in.Body.Peer), in.Body.Text); err != nil {
				return nil, httpd.Fail(http.StatusBadRequest, "%v", err)
			}
			return out, nil
		})
	}
	turn("encrypt", "pageEncrypt", "Encrypt a text for somebody (NIP-44)", events.Signer.Encrypt)
	turn("decrypt", "pageDecrypt", "Decrypt a text of somebody (NIP-44)", events.Signer.Decrypt)
}

// pageSigner opens the key that the page signs with: that of run.key, or page.key in the data folder, which is made.
func (a *app) pageSigner(ctx context.Context) (events.Signer, error) {
	path := or(a.settings.text("run.key"), a.settings.path("page.key"))
	line, err := readSecret(path)
	switch form := keyForm(line); {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case form == bunkerKey:
		return nil, httpd.Fail(http.StatusServiceUnavailable, "run.key is at a bunker: sign in with the bunker's address")
	case form == encryptedKey && a.settings.text("password_file") == "":
		return nil, httpd.Fail(http.StatusServiceUnavailable, "run.key is encrypted: start the daemon with --password-file")
	}
	s, _, err := a.signer(ctx, path)
	return s, err
}

// pageWallet is the address of this machine's wallet where a page can use it: a wallet connection, of play money or not.
func (a *app) pageWallet() string {
	address := a.settings.text("wallet")
	if path, ok := strings.CutPrefix(address, "file:"); ok || address == "" {
		address, _ = readSecret(or(path, a.settings.path("customer.wallet")))
	}
	if strings.HasPrefix(address, "play+ws") || strings.HasPrefix(address, "nostr+walletconnect:") {
		return address
	}
	return ""
}

// issuePage makes an app key for a page, and ends those that have expired.
func (a *app) issuePage(all *httpd.Keys, scope string, life time.Duration) (string, error) {
	now := time.Now()
	have, err := all.List()
	if err != nil {
		return "", err
	}
	for _, key := range have {
		if (slices.Contains(key.Scopes, openScope) || slices.Contains(key.Scopes, pageScope)) && key.Expires.Before(now) {
			if err := all.Revoke(key.ID); err != nil && !errors.Is(err, httpd.ErrNoKey) {
				return "", err
			}
		}
	}
	secret, _, err := all.Issue(httpd.AppKey{Name: "infernet open", Scopes: []string{scope}, Expires: now.Add(life).UTC().Truncate(time.Second)}, now)
	return secret, err
}
