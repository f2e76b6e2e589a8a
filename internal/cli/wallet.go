package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"infernet/wallet"
)

// walletIn is how long a wallet may take to say something.
const walletIn = 4 * time.Second

func (a *app) walletCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "wallet", Short: "The wallet that jobs are paid from"}
	cmd.AddCommand(&cobra.Command{
		Use:         "balance",
		Short:       "How much is in the wallet",
		Example:     "infernet wallet balance",
		Annotations: says("balance_msat, wallet"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := a.openWallet(cmd.Context(), "wallet", a.settings.path("customer.wallet"))
			if err != nil {
				return err
			}
			if w == nil {
				return withHint(fmt.Errorf("%w: none is set", wallet.ErrUnavailable), "infernet up   (makes one with play money)")
			}
			defer w.Close()
			b, ok := w.(wallet.Balancer)
			if !ok {
				return fmt.Errorf("%s does not say its balance", w.Describe())
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), walletIn)
			defer cancel()
			have, err := b.Balance(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("%w: %s says nothing for %s", wallet.ErrUnavailable, w.Describe(), walletIn)
			}
			if err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, map[string]any{"balance_msat": have, "wallet": w.Describe()})
				return nil
			}
			fmt.Fprintln(a.Out, have.Human())
			fmt.Fprintln(a.Err, w.Describe())
			return nil
		},
	})
	return cmd
}
