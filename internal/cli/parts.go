package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"infernet/engine"
	"infernet/engine/container"
	"infernet/engine/echo"
	"infernet/engine/llamacpp"
	"infernet/engine/ollama"
	"infernet/engine/openai"
	"infernet/events"
	"infernet/internal/pool"
	"infernet/wallet"
	"infernet/wallet/lnd"
	"infernet/wallet/nwc"
	"infernet/wallet/play"
)

// engines are the engines in this program.
var engines = engine.Openers{
	"openai":    openai.Open,
	"llamacpp":  llamacpp.Open,
	"ollama":    ollama.Open,
	"container": container.Open, // customers' programs, apart from everything
	"echo":      echo.Open,      // says its input back, for tests
}

// wallets are the wallets in this program.
var wallets = wallet.Openers{
	"lnd":                 lnd.Open,
	"nostr+walletconnect": nwc.Open,
	"play":                play.Open,
}

// openWallet opens the wallet that a setting names; nil if none is set and none was made for it by 'infernet up'.
func (a *app) openWallet(ctx context.Context, setting, made string) (wallet.Wallet, error) {
	at := a.settings.text(setting)
	if at == "" {
		if _, err := os.Stat(made); err != nil || a.foreign(made) != "" {
			return nil, nil
		}
		at = "file:" + made
	}
	if at == qrScheme {
		return a.newQRPayer(), nil
	}
	path, filed := strings.CutPrefix(at, "file:")
	if filed {
		address, err := readSecret(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, a.settings.mend(setting, fmt.Errorf("%w: %s (from %s): there is no file %s", wallet.ErrUnavailable, setting, a.settings.source[setting], path))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", setting, err)
		}
		at = address
	}
	w, err := wallets.Open(context.WithoutCancel(ctx), at, a.log) // until it is closed: a last payment may be under way
	switch {
	case err != nil && errors.Is(err, wallet.ErrUnavailable):
		return nil, fmt.Errorf("%s: %w", setting, err)
	case err != nil && filed:
		return nil, withHint(usage("%s, out of %s: %w", setting, path, err), "${EDITOR:-vi} %s", quoted(path))
	case err != nil:
		return nil, a.settings.mend(setting, usage("%s (from %s): %w", setting, a.settings.source[setting], err))
	}
	return w, nil
}

// foreign says why the play wallet that 'infernet up' made is left alone: its money is worth something at up's own relay
// only. It is "" where the wallet can be used, or is none of up's.
func (a *app) foreign(made string) string {
	address, err := readSecret(made)
	if err != nil {
		return ""
	}
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	own, ok := strings.CutPrefix(u.Scheme, "play+")
	home := own + "://" + u.Host + u.Path
	if !ok || slices.ContainsFunc(a.settings.list("relays"), func(relay string) bool { return place(relay) == place(home) }) {
		return ""
	}
	return fmt.Sprintf(": the play money of %s is for the relay %s only", made, hide(home))
}

// place is a relay's address in one form: this machine has several names.
func place(relay string) string {
	u, err := url.Parse(relay)
	if err != nil {
		return relay
	}
	if ip := net.ParseIP(u.Hostname()); ip.IsLoopback() || ip.IsUnspecified() {
		u.Host = net.JoinHostPort("localhost", u.Port())
	}
	return strings.ToLower(u.Host) + strings.TrimSuffix(u.Path, "/")
}

// relayNews says that a relay was lost, or is back, unless a program reads.
func (a *app) relayNews(relay string, back bool, _ error) {
	news := hide(relay) + " is gone, retrying"
	if back {
		news = hide(relay) + " is back"
	}
	switch talk := a.talk.Load(); {
	case a.json:
	case talk != nil:
		talk.tell("relay " + news)
	default:
		a.tell("relay  ", "%s", news)
	}
}

// connect connects to the relays, until the pool is closed: there are last words to say after ctx has ended. It says so if
// no relay answers.
func (a *app) connect(ctx context.Context, signer events.Signer) (*pool.Pool, error) {
	relays := a.settings.list("relays")
	if len(relays) == 0 {
		return nil, a.settings.mend("relays", usage("relays: none is set"))
	}
	for _, relay := range relays {
		if u, err := url.Parse(relay); err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
			return nil, a.settings.mend("relays", usage("relays (from %s): %s is no ws:// or wss:// address", a.settings.source["relays"], relay))
		}
	}
	opts := []pool.Option{pool.WithLog(a.log), pool.WithWatch(a.relayNews)}
	if signer != nil {
		opts = append(opts, pool.WithSigner(signer))
	}
	p := pool.New(context.WithoutCancel(ctx), relays, opts...)
	deadline := time.Now().Add(4 * time.Second)
	for {
		status := p.Status()
		var why error
		for _, r := range status {
			if r.Connected {
				return p, nil
			}
			if r.Err != nil {
				why = r.Err
			}
		}
		patience := deadline
		if errors.Is(why, syscall.ECONNREFUSED) { // nobody is there; but it may be about to start
			patience = deadline.Add(-3 * time.Second)
		}
		if time.Now().After(patience) {
			p.Close()
			return nil, &noRelayError{relays, why}
		}
		select {
		case <-ctx.Done():
			p.Close()
			return nil, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
