package cli

import (
	"fmt"

	"github.com/nbd-wtf/go-nostr/nip19"
	"github.com/spf13/cobra"

	"infernet/fleet"
	"infernet/internal/ledger"
)

func (a *app) provideOwnerCommand() *cobra.Command {
	var release, code bool
	cmd := &cobra.Command{
		Use:   "owner",
		Short: "Who may see and steer the node through the relays, or how to become that",
		Long: "Lists the keys that the node obeys: those of the setting provide.owner, or the one that claimed it. A node that has none\n" +
			"shows an address with a one-time code, as text and as a QR code: who says the code first is its owner ('infernet nodes add').\n" +
			"Owners see and steer; nothing that they can say moves money, shows a key or runs code.",
		Example:     "infernet provide owner",
		Annotations: says("owners (keys), address (to paste into 'infernet nodes add', empty once there is an owner)"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.settings.makeDataDir(); err != nil {
				return err
			}
			signer, done, err := a.signer(cmd.Context(), a.settings.path("node.key"))
			if err != nil {
				return err
			}
			defer done()
			return a.withLedger(func(l *ledger.Ledger) error {
				owners, err := a.owners(l, signer.PublicKey())
				if err == nil && release {
					err = owners.Release()
				}
				if err != nil {
					return err
				}
				address := ""
				if code := owners.Code(); code != "" {
					address = fleet.Address{Node: signer.PublicKey(), Relays: a.settings.list("relays"), Code: code}.String()
				}
				if a.json {
					a.object(a.Out, map[string]any{"owners": append([]any{}, anyOf(owners.Keys())...), "address": address})
					return nil
				}
				for _, key := range owners.Keys() {
					npub, err := nip19.EncodePublicKey(string(key))
					if err != nil {
						return err
					}
					fmt.Fprintln(a.Out, npub)
				}
				if address != "" {
					if code {
						if err := drawQR(a.Err, address); err != nil {
							return err
						}
					}
					fmt.Fprintln(a.Out, address)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&release, "release", false, "let go of the owner that claimed the node; it shows a new code")
	cmd.Flags().BoolVar(&code, "qr", true, "draw the address, too")
	return cmd
}

func anyOf[T any](items []T) (all []any) {
	for _, one := range items {
		all = append(all, one)
	}
	return all
}
