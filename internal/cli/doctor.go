package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"infernet/wallet"
)

// check is one thing the doctor looks at.
type check struct {
	name string
	look func(ctx context.Context) (found string, err error)
	hint string
}

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "doctor",
		Short:   "What is there and what is missing, with the command that mends it",
		Example: "infernet doctor",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			missing := 0
			for _, c := range a.checks() {
				ctx, cancel := context.WithTimeout(cmd.Context(), 8*time.Second)
				found, err := c.look(ctx)
				cancel()
				if err != nil {
					missing++
				}
				a.diagnose(c, found, err)
			}
			if missing > 0 {
				return fmt.Errorf("%d of %d checks failed", missing, len(a.checks()))
			}
			return nil
		},
	}
}

func (a *app) diagnose(c check, found string, err error) {
	if a.json {
		out := map[string]any{"check": c.name, "ok": err == nil, "found": found}
		if err != nil {
			out["error"], out["hint"] = err.Error(), hintOf(c, err)
		}
		a.object(a.Out, out)
		return
	}
	if err == nil {
		fmt.Fprintf(a.Out, "ok    %-12s %s\n", c.name, found)
		return
	}
	fmt.Fprintf(a.Out, "miss  %-12s %v\n", c.name, err)
	fmt.Fprintf(a.Out, "      hint: %s\n", hintOf(c, err))
}

func hintOf(c check, err error) string {
	var own *hinted
	if errors.As(err, &own) {
		return own.hint
	}
	return c.hint
}

func (a *app) checks() []check {
	return []check{
		{"settings", func(context.Context) (string, error) { return a.settings.file, nil }, "infernet config"},
		{"data folder", func(context.Context) (string, error) {
			if err := a.settings.makeDataDir(); err != nil {
				return "", err
			}
			f, err := os.CreateTemp(a.settings.text("data_dir"), "doctor")
			if err != nil {
				return "", err
			}
			return a.settings.text("data_dir"), errors.Join(f.Close(), os.Remove(f.Name()))
		}, "mkdir -p " + a.settings.text("data_dir")},
		{"signatures", func(context.Context) (string, error) {
			if libsecp() {
				return "libsecp256k1", nil
			}
			return "pure Go (five times slower; build with make, with a C compiler)", nil
		}, ""},
		{"relay", func(ctx context.Context) (string, error) {
			p, err := a.connect(ctx, nil)
			if err != nil {
				return "", err
			}
			defer p.Close()
			return p.Status()[0].URL, nil
		}, "infernet up"},
		{"wallet", a.checkWallet, "infernet up   (makes one with play money)"},
		{"engine", func(ctx context.Context) (string, error) {
			url, found, err := a.findEngine(ctx)
			return url + " (" + found + ")", err
		}, "make engine model"},
		{"llama-server", func(context.Context) (string, error) {
			if path, err := exec.LookPath("llama-server"); err == nil {
				return path, nil
			}
			path := filepath.Join(a.cacheDir(), "llama", "bin", "llama-server")
			if _, err := os.Stat(path); err != nil {
				return "", errors.New("llama-server is neither in PATH nor in the cache")
			}
			return path, nil
		}, "make engine"},
	}
}

func (a *app) checkWallet(ctx context.Context) (string, error) {
	w, err := a.openWallet(ctx, "wallet", a.settings.path("customer.wallet"))
	if err != nil {
		return "", err
	}
	if w == nil {
		return "", errors.New("none is set: only free jobs can be bought")
	}
	defer w.Close()
	b, ok := w.(wallet.Balancer)
	if !ok {
		return w.Describe(), nil
	}
	have, err := b.Balance(ctx)
	return w.Describe() + ", " + have.Human(), err
}
