package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr/nip11"

	"infernet/events"
	"infernet/wallet"
)

// checks is what the doctor looks at.
func (a *app) checks() []check {
	return []check{
		{"settings", a.checkSettings, ""},
		{"data folder", a.checkDataDir, ""},
		{"signatures", func(context.Context) (string, error) {
			if libsecp() {
				return "libsecp256k1", nil
			}
			return "pure Go (five times slower; make build with a C compiler)", nil
		}, ""},
		{"relay", a.checkRelay, "infernet up"},
		{"clock", a.checkClock, "timedatectl set-ntp true"},
		{"wallet", a.checkWallet, ""},
		{"node wallet", a.checkNodeWallet, ""},
		{"gpu", a.checkGPU, "nvidia-smi  # or the like of its vendor: what does the driver say?"},
		{"engine", a.checkEngine, a.getEngine()},
		{"llama-server", a.llamaOnly(a.checkLlama), a.getEngine()},
		{"model", a.llamaOnly(a.checkModel), a.getEngine()},
	}
}

// llamaOnly passes a check of llama.cpp's parts where another engine was found.
func (a *app) llamaOnly(look func(context.Context) (string, error)) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		if url, _, err := a.findEngine(ctx); err == nil && !strings.HasPrefix(url, "llamacpp:///") {
			return "not needed: another engine is there", nil
		}
		return look(ctx)
	}
}

func (a *app) checkLlama(context.Context) (string, error) {
	if path, err := exec.LookPath("llama-server"); err == nil {
		return path, nil
	}
	path, err := exec.LookPath(filepath.Join(a.cacheDir(), "llama", "bin", "llama-server"))
	if err != nil {
		return "", errors.New("llama-server is neither in PATH nor in the cache")
	}
	return path, nil
}

func (a *app) checkModel(context.Context) (string, error) {
	models, err := a.models()
	if err == nil && len(models) == 0 {
		err = fmt.Errorf("there is none in %s", filepath.Join(a.cacheDir(), "models"))
	}
	return strings.Join(models, " "), err
}

func (a *app) checkSettings(context.Context) (string, error) {
	if _, err := os.Stat(a.settings.file); err != nil && a.broken == nil {
		return "all by default, variables and flags: there is no file " + a.settings.file, nil
	}
	return a.settings.file, a.broken
}

func (a *app) checkDataDir(context.Context) (string, error) {
	if err := a.settings.makeDataDir(); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(a.settings.text("data_dir"), "doctor")
	if err != nil {
		return "", err
	}
	return a.settings.text("data_dir"), errors.Join(f.Close(), os.Remove(f.Name()))
}

// checkRelay connects, and asks the relay what it is (NIP-11).
func (a *app) checkRelay(ctx context.Context) (string, error) {
	p, err := a.connect(ctx, nil)
	if err != nil {
		return "", err
	}
	defer p.Close()
	var found []string
	for _, r := range p.Status() {
		if !r.Connected {
			found = append(found, r.URL+" does not answer")
			continue
		}
		name := "says nothing about itself"
		if info, _, err := relayFacts(ctx, r.URL); err == nil && info.Name != "" {
			name = fmt.Sprintf("is %q", info.Name)
		}
		found = append(found, r.URL+" "+name)
	}
	return hide(strings.Join(found, ", ")), nil
}

// relayFacts asks a relay for its facts (NIP-11), and for the time.
func relayFacts(ctx context.Context, url string) (info nip11.RelayInformationDocument, at time.Time, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http"+strings.TrimPrefix(url, "ws"), nil)
	if err != nil {
		return info, at, err
	}
	req.Header.Set("Accept", "application/nostr+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return info, at, err
	}
	defer resp.Body.Close()
	at, _ = http.ParseTime(resp.Header.Get("Date"))
	return info, at, json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&info)
}

// checkClock holds this machine's clock against the first relay's: events from the future are refused.
func (a *app) checkClock(ctx context.Context) (string, error) {
	for _, url := range a.settings.list("relays") {
		_, at, err := relayFacts(ctx, url)
		if err != nil || at.IsZero() {
			continue
		}
		ahead := time.Since(at).Round(time.Second)
		if ahead.Abs() > events.MaxFuture/2 {
			return "", fmt.Errorf("it is %s ahead of the relay's", ahead)
		}
		return fmt.Sprintf("%s ahead of the relay's", ahead), nil
	}
	return "no relay to hold it against", nil
}

func (a *app) checkEngine(ctx context.Context) (string, error) {
	url, found, err := a.findEngine(ctx)
	if err != nil || strings.HasPrefix(url, "llamacpp:///") { // loading a model takes a while
		return hide(url) + " (" + found + ")", err
	}
	e, _, err := a.openEngine(ctx)
	if err != nil {
		return "", err
	}
	defer e.Close()
	models, err := e.Models(ctx)
	return fmt.Sprintf("%s (%s), %d models", hide(url), found, len(models)), err
}

// checkNodeWallet looks at the wallet that a node here is paid into.
func (a *app) checkNodeWallet(ctx context.Context) (string, error) {
	made := a.settings.path("node.wallet")
	w, err := a.openWallet(ctx, "provide.wallet", made)
	if err != nil {
		return "", err
	}
	if w == nil {
		return "none: a node here gives its work away, until infernet up makes one or provide.wallet names one" + a.foreign(made), nil
	}
	defer w.Close()
	if _, ok := w.(wallet.Receiver); !ok {
		return "", withHint(usage("provide.wallet: %s cannot be paid into", w.Describe()), "infernet provide --help")
	}
	return a.balanceOf(ctx, w, "provide.wallet")
}

func (a *app) checkWallet(ctx context.Context) (string, error) {
	w, err := a.openWallet(ctx, "wallet", a.settings.path("customer.wallet"))
	if err != nil {
		return "", err
	}
	if w == nil && a.foreign(a.settings.path("customer.wallet")) != "" {
		return "none for these relays: only free jobs can be bought" + a.foreign(a.settings.path("customer.wallet")), nil
	}
	if w == nil {
		return "none is set: only free jobs can be bought, until infernet up makes one or the setting wallet names one", nil
	}
	defer w.Close()
	return a.balanceOf(ctx, w, "wallet")
}

// balanceOf asks the wallet of a setting what is in it.
func (a *app) balanceOf(ctx context.Context, w wallet.Wallet, setting string) (string, error) {
	b, ok := w.(wallet.Balancer)
	if !ok {
		return w.Describe(), nil
	}
	ctx, cancel := context.WithTimeout(ctx, walletIn)
	defer cancel()
	have, err := b.Balance(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %s says nothing for %s", wallet.ErrUnavailable, w.Describe(), walletIn)
	}
	if path, filed := strings.CutPrefix(a.settings.text(setting), "file:"); err != nil && filed {
		err = withHint(err, "${EDITOR:-vi} %s  # if it is not its service or its relay that is away", quoted(path))
	} else if err != nil && a.settings.text(setting) == "" {
		err = withHint(err, "infernet up  # runs the bank of this play money")
	}
	return w.Describe() + ", " + have.Human(), err
}
