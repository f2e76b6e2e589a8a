package cli

import (
	"context"
	"errors"
	"net"

	"github.com/spf13/cobra"

	"infernet/relay"
)

func relayFlags(cmd *cobra.Command) {
	cmd.Flags().String("listen", "", "address to listen on; port 0 takes a free one")
	cmd.Flags().Lookup("listen").Annotations = map[string][]string{"setting": {"relay.listen"}}
	cmd.Flags().Lookup("listen").DefValue = settingOf("relay.listen").standard // what the help shows
}

func (a *app) relayCommand() *cobra.Command {
	var ready *string
	cmd := &cobra.Command{
		Use:         "relay",
		Short:       "Run a market relay",
		Long:        "Runs the Nostr relay where nodes and customers meet. It checks every message of the market and keeps no money.",
		Example:     "infernet relay --listen 127.0.0.1:0",
		Annotations: says("relay"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			unlock, err := a.settings.lock("relay")
			if err != nil {
				return err
			}
			defer unlock()
			r, err := a.openRelay(cmd.Context())
			if err != nil {
				return err
			}
			a.tell("relay  ", "%s", r.URL())
			if a.json {
				a.object(a.Out, map[string]string{"relay": r.URL()})
			}
			if err := tellReady(*ready, r.URL()); err != nil {
				return errors.Join(err, r.Close())
			}
			return r.Run(cmd.Context())
		},
	}
	relayFlags(cmd)
	ready = readyFlag(cmd, "the relay's address")
	return cmd
}

func (a *app) openRelay(ctx context.Context) (*relay.Relay, error) {
	s := a.settings
	if _, err := net.ResolveTCPAddr("tcp", s.text("relay.listen")); err != nil {
		return nil, withHint(usage("relay.listen: %w", err), "--listen %s", settingOf("relay.listen").standard)
	}
	return relay.Open(ctx, relay.Config{
		Dir: s.path("relay"), Listen: s.text("relay.listen"), ServiceURL: s.text("relay.url"), Name: s.text("relay.name"),
		PrivateJobs: s.yes("relay.private_jobs"), Log: a.log,
	})
}
