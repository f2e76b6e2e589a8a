package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// domainFlag makes a relay a public one, by its name: a certificate is fetched for it, and it listens where clients look.
func domainFlag(cmd *cobra.Command) {
	cmd.Flags().StringSlice("domain", nil, "be wss://DOMAIN, public: a certificate is fetched and renewed (ACME), and port 443 is listened on unless --listen says another; may be repeated")
	cmd.Flags().Lookup("domain").Annotations = map[string][]string{"setting": {"relay.acme"}}
}

// goPublic fills in what --domain leaves to be said: where to listen, how clients know the relay, and where browsers that forget
// the s are sent on.
func (s *settings) goPublic() error {
	if s.source["relay.acme"] != "flag" {
		return nil
	}
	domains := s.list("relay.acme")
	for _, name := range domains {
		if err := checkDomain(name); err != nil {
			return err
		}
	}
	if len(domains) == 0 {
		return usage("--domain: no name is given")
	}
	own := s.source["relay.listen"] == "default"
	if own {
		s.put("relay.listen", ":443", "--domain")
	}
	if s.source["relay.url"] == "default" {
		if _, port, err := net.SplitHostPort(s.text("relay.listen")); err == nil && port == "443" {
			s.put("relay.url", "wss://"+domains[0], "--domain")
		}
	}
	if own && s.source["relay.redirect"] == "default" {
		s.put("relay.redirect", ":80", "--domain")
	}
	return nil
}

// checkDomain holds a name against what an authority signs.
func checkDomain(name string) error {
	if strings.Contains(name, "/") {
		if u, err := url.Parse(name); err == nil && u.Hostname() != "" {
			return withHint(usage("--domain %s: want the name alone", name), "infernet relay --domain %s", u.Hostname())
		}
	}
	if net.ParseIP(name) != nil {
		return usage("--domain %s: an address has no certificate of a public authority; want a name that leads here", name)
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || label[0] == '-' || label[len(label)-1] == '-' {
			return usage("--domain %q is no name of a machine, such as market.example", name)
		}
	}
	if len(labels) < 2 {
		return usage("--domain %s: a public authority signs no name without a dot", name)
	}
	return nil
}

// portHint says what helps where this user may not listen on a low port.
func (a *app) portHint(err error) error {
	if !errors.Is(err, syscall.EACCES) {
		return err
	}
	return withHint(err, "%s", remark(again(a.args, "--listen", settingOf("relay.listen").standard), "behind what may listen on port 443; or allow it: sudo setcap cap_net_bind_service=+ep infernet"))
}

// redirect sends browsers that ask over http:// to the relay's address, until ctx ends.
func (a *app) redirect(ctx context.Context, to string) error {
	at := a.settings.text("relay.redirect")
	if at == "" {
		return nil
	}
	l, err := net.Listen("tcp", at)
	if err != nil && a.settings.source["relay.redirect"] == "--domain" { // nobody asked for it
		a.tell("note   ", "http:// is not redirected: %v", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("relay.redirect: %w", err)
	}
	target := "http" + strings.TrimPrefix(strings.TrimSuffix(to, "/"), "ws")
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, IdleTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			http.Redirect(w, r, target+r.URL.RequestURI(), http.StatusMovedPermanently)
		}),
	}
	context.AfterFunc(ctx, func() { server.Close() })
	go server.Serve(l)
	return nil
}
