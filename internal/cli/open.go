package cli

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// browsers are those that open a page as a window of its own (--app), with its user's extensions in it.
var browsers = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "brave-browser", "brave", "microsoft-edge", "msedge", "vivaldi"}

func (a *app) openCommand() *cobra.Command {
	var show, tab bool
	cmd := &cobra.Command{
		Use:   "open",
		Short: "Open the page of the daemon that runs here, signed in",
		Long: "Opens the page of 'infernet up', 'relay', 'gateway' or 'provide' that runs in the data folder, in a window of its own of your\n" +
			"browser (Chromium, Chrome, Brave, Edge, Vivaldi), so that extensions work there; in a tab of your usual browser where there is none.\n" +
			"Where only this machine reaches the page it is signed in with run.key, or with page.key in the data folder. The address is good once,\n" +
			"for a minute.",
		Example:     "infernet open --print",
		Annotations: says("url, signed_in"),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			part, at, err := a.running()
			if err != nil {
				return err
			}
			url, mine := strings.Replace(at, "ws", "http", 1)+"/", a.ownPage(part)
			if !strings.HasPrefix(at, "ws") {
				url = at + "/"
			}
			if mine {
				keys, err := a.appKeys()
				if err != nil {
					return err
				}
				token, err := a.issuePage(keys, openScope, time.Minute)
				if err != nil {
					return err
				}
				url += "#/market?token=" + token
			}
			if a.json {
				a.object(a.Out, map[string]any{"url": url, "signed_in": mine})
			} else if show {
				fmt.Fprintln(a.Out, url)
			}
			if show {
				return nil
			}
			return openWindow(url, tab)
		},
	}
	cmd.Flags().BoolVar(&show, "print", false, "print the address and open nothing")
	cmd.Flags().BoolVar(&tab, "tab", false, "a tab of your usual browser, no window of its own")
	return cmd
}

// running finds a daemon of this data folder that serves the page, and where.
func (a *app) running() (part, at string, err error) {
	for _, daemon := range []struct{ lock, part string }{{"relay", "relay"}, {"gateway", "gateway"}, {"node", "provide"}} {
		unlock, err := a.settings.lock(daemon.lock)
		var held *heldError
		if err == nil {
			unlock()
		} else if !errors.As(err, &held) {
			return "", "", err
		} else if held.at != "" {
			return daemon.part, held.at, nil
		}
	}
	return "", "", withHint(errors.New("nothing that serves the page runs in this data folder"), "infernet up  # in another terminal; or provide with provide.listen set")
}

// openWindow opens an address in a browser, which goes on when this ends.
func openWindow(url string, tab bool) error {
	var tried []string
	start := func(name string, args ...string) bool {
		program, err := exec.LookPath(name)
		if err != nil {
			return false
		}
		cmd := exec.Command(program, args...)
		if err := cmd.Start(); err != nil {
			tried = append(tried, err.Error())
			return false
		}
		return cmd.Process.Release() == nil
	}
	if !tab {
		for _, name := range browsers {
			if start(name, "--app="+url) {
				return nil
			}
		}
		if runtime.GOOS == "darwin" {
			for _, name := range []string{"Google Chrome", "Chromium", "Brave Browser", "Microsoft Edge"} {
				if exec.Command("open", "-Ra", name).Run() == nil && start("open", "-na", name, "--args", "--app="+url) {
					return nil
				}
			}
		}
	}
	usual := map[string][]string{"darwin": {"open"}, "windows": {"rundll32", "url.dll,FileProtocolHandler"}}[runtime.GOOS]
	if usual == nil {
		usual = []string{"xdg-open"}
	}
	if start(usual[0], append(usual[1:], url)...) {
		return nil
	}
	return withHint(fmt.Errorf("no browser was found here %s", strings.Join(tried, "; ")), "infernet open --print  # and open the address in a browser on this machine")
}
