package cli

import (
	"fmt"
	"io"

	"github.com/nbd-wtf/go-nostr/nip19"
	"github.com/spf13/cobra"
)

func (a *app) keyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "key",
		Short: "The public keys of this machine, and the files that hold their secrets",
		Long: "Shows the node's public key, and makes it if there is none. Secrets stay in their files. Jobs are bought with a fresh key each,\n" +
			"kept in the ledger.",
		Example:     "infernet key",
		Annotations: says("role, key, npub, file"),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := a.settings.makeDataDir(); err != nil {
				return err
			}
			path := a.settings.path("node.key")
			k, err := keys(path)
			if err != nil {
				return err
			}
			npub, err := nip19.EncodePublicKey(string(k.PublicKey()))
			if err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, map[string]any{"role": "node", "key": k.PublicKey(), "npub": npub, "file": path})
				return nil
			}
			return a.columns("ROLE\tKEY\tNPUB\tFILE", func(w io.Writer) {
				fmt.Fprintf(w, "node\t%s\t%s\t%s\n", k.PublicKey(), npub, path)
			})
		},
	}
}
