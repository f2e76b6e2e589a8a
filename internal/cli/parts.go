package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"

	"infernet/engine"
	"infernet/engine/echo"
	"infernet/engine/llamacpp"
	"infernet/engine/ollama"
	"infernet/engine/openai"
	"infernet/events"
	"infernet/internal/pool"
	"infernet/wallet"
	"infernet/wallet/nwc"
	"infernet/wallet/play"
)

// engines are the engines in this program.
var engines = engine.Openers{
	"openai":   openai.Open,
	"llamacpp": llamacpp.Open,
	"ollama":   ollama.Open,
	"echo":     echo.Open, // says its input back, for tests
}

// wallets are the wallets in this program.
var wallets = wallet.Openers{
	"nostr+walletconnect": nwc.Open,
	"play":                play.Open,
}

// openWallet opens the wallet that a setting names; nil if none is set and none was made for it by 'infernet up'.
func (a *app) openWallet(ctx context.Context, setting, made string) (wallet.Wallet, error) {
	at := a.settings.text(setting)
	if at == "" {
		if _, err := os.Stat(made); err != nil {
			return nil, nil
		}
		at = "file:" + made
	}
	if path, ok := strings.CutPrefix(at, "file:"); ok {
		address, err := readSecret(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", setting, err)
		}
		at = address
	}
	w, err := wallets.Open(context.WithoutCancel(ctx), at, a.log) // until it is closed: a last payment may be under way
	if err != nil {
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return w, nil
}

// connect connects to the relays, until the pool is closed: there are last words to say after ctx has ended. It says so if
// no relay answers.
func (a *app) connect(ctx context.Context, signer events.Signer) (*pool.Pool, error) {
	relays := a.settings.list("relays")
	if len(relays) == 0 {
		return nil, usage("relays: none is set")
	}
	opts := []pool.Option{pool.WithLog(a.log)}
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
		if len(status) == 0 {
			p.Close()
			return nil, usage("relays: %s is no ws:// or wss:// address", strings.Join(relays, ", "))
		}
		patience := deadline
		if errors.Is(why, syscall.ECONNREFUSED) { // nobody is there; but it may be about to start
			patience = deadline.Add(-3 * time.Second)
		}
		if time.Now().After(patience) {
			p.Close()
			return nil, fmt.Errorf("%w at %s: %v", errNoRelay, strings.Join(relays, ", "), why)
		}
		select {
		case <-ctx.Done():
			p.Close()
			return nil, context.Cause(ctx)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
