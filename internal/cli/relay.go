package cli

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"infernet/internal/blob"
	"infernet/relay"
)

func relayFlags(cmd *cobra.Command) {
	for _, f := range []struct{ name, setting, about string }{
		{"listen", "relay.listen", "address to listen on; port 0 takes a free one"},
		{"tls-cert", "relay.tls_cert", "certificate, a PEM file: the relay is wss://"},
		{"tls-key", "relay.tls_key", "the certificate's key, a PEM file"},
	} {
		cmd.Flags().String(f.name, "", f.about)
		cmd.Flags().Lookup(f.name).Annotations = map[string][]string{"setting": {f.setting}}
		cmd.Flags().Lookup(f.name).DefValue = settingOf(f.setting).standard // what the help shows
	}
	domainFlag(cmd)
}

func (a *app) relayCommand() *cobra.Command {
	var ready *string
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Run a market relay",
		Long: "Runs the Nostr relay where nodes and customers meet. It checks every message of the market and keeps no money.\n\n" +
			"The same address answers /healthz, /metrics (to this machine), /openapi.json and /docs. With a certificate it is wss://:\n" +
			"your own (--tls-cert, --tls-key), or one that is fetched: --domain market.example makes a public relay of a machine that the\n" +
			"name leads to. You agree to the authority's terms (Let's Encrypt, unless relay.acme_ca names another).\n\n" +
			"SIGHUP reads the settings again; what counts only at the next start is said.",
		Example:     "infernet relay --listen 127.0.0.1:0\ninfernet relay --listen 127.0.0.1:0 --tls-cert cert.pem --tls-key key.pem\ninfernet relay --domain market.example",
		Annotations: says("relay"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			unlock, err := a.settings.lock("relay")
			if err != nil {
				return err
			}
			defer unlock()
			r, close, err := a.openRelay(cmd.Context(), "")
			if err != nil {
				return err
			}
			if err := a.settings.heldAt("relay", r.URL(), r.Door.Address()); err != nil {
				return errors.Join(err, r.Close())
			}
			if err := a.redirect(cmd.Context(), r.URL()); err != nil {
				return errors.Join(err, r.Close(), close())
			}
			a.tell("relay  ", "%s", r.URL())
			if a.json {
				a.object(a.Out, map[string]string{"relay": r.URL()})
			}
			if err := tellReady(*ready, r.URL()); err != nil {
				return errors.Join(err, r.Close(), close())
			}
			a.reloadOnHangup(cmd.Context(), r)
			return errors.Join(r.Run(cmd.Context()), close())
		},
	}
	cmd.AddCommand(a.relayCheckCommand(), a.relaySyncCommand())
	relayFlags(cmd)
	ready = readyFlag(cmd, "the relay's address")
	cmd.AddCommand(a.relayBackupCommand(), a.relayRestoreCommand(), a.relayExportCommand(), a.relayImportCommand(), a.relayCompactCommand())
	cmd.AddCommand(a.relayDecideCommands()...)
	return cmd
}

// openRelay opens the relay, the files beside it, and the listener that both are mounted into. made is the wallet that uploads
// are paid into if the settings name none. close closes the files, once the relay has ended.
func (a *app) openRelay(ctx context.Context, made string) (r *relay.Relay, close func() error, err error) {
	s := a.settings
	if err := s.goPublic(); err != nil {
		return nil, nil, err
	}
	config, err := a.relayConfig()
	if err != nil {
		return nil, nil, err
	}
	if config.Door, err = a.openDoor("relay", relay.About); err != nil {
		return nil, nil, a.portHint(err)
	}
	close = func() error { return nil }
	if s.yes("relay.files") {
		files, till, err := a.openFiles(ctx, made)
		if err != nil {
			return nil, nil, errors.Join(err, config.Door.Close())
		}
		config.Files, close = files, func() error { return errors.Join(files.Close(), till.close()) }
	}
	if r, err = relay.Open(ctx, config); err != nil {
		return nil, nil, errors.Join(err, config.Door.Close(), close())
	}
	return r, close, nil
}

// openFiles opens the files that are kept beside the relay.
func (a *app) openFiles(ctx context.Context, made string) (*blob.Server, *till, error) {
	s := a.settings
	total, quota, keep := s.number("relay.files_total"), s.number("relay.files_quota"), s.duration("relay.files_keep")
	if total < 1 || quota < 1 || keep < time.Minute {
		return nil, nil, withHint(usage("relay.files_total, relay.files_quota and relay.files_keep: at least 1 MiB and a minute"), "infernet config")
	}
	config := blob.Config{Dir: s.path("files"), Total: total << 20, Quota: quota << 20, MaxBlob: min(total, quota) << 20, Keep: keep, Log: a.log}
	switch names := s.list("relay.acme"); {
	case s.text("relay.url") != "":
		config.URL = blob.ServerOf(s.text("relay.url"))
	case len(names) > 0:
		config.URL = "https://" + names[0]
	}
	for _, name := range s.list("relay.moderators") {
		key, err := publicKey(name)
		if err != nil || key == "" {
			return nil, nil, s.mend("relay.moderators", usage("relay.moderators: %w", err))
		}
		config.Moderators = append(config.Moderators, key)
	}
	till, err := a.charge(&config, made)
	if err != nil {
		return nil, nil, err
	}
	files, err := blob.Open(ctx, config)
	return files, till, err
}
