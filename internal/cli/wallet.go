package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// walletIn is how long a wallet may take to say something.
const walletIn = 4 * time.Second

func (a *app) walletCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "wallet",
		Short: "The wallet that jobs are paid from",
		Long: "Jobs are paid from the wallet that the setting wallet names (or INFERNET_WALLET): file:/path of a file, readable only by you,\n" +
			"that holds a wallet's address: nostr+walletconnect://… (NIP-47; most wallets have it under Wallet Connect or NWC) or lnd://….\n" +
			"With qr: each invoice is shown, for any wallet on a phone. Without one only free jobs can be bought, or, beside an\n" +
			"'infernet up' of your own, with its play money.",
	}
	cmd.AddCommand(a.walletBalanceCommand(), a.walletPayCommand(), a.walletInvoiceCommand(),
		a.walletServeCommand(), a.walletConnectCommand(), a.walletConnectionsCommand(), a.walletDisconnectCommand(),
		a.walletAuditCommand(), a.walletOwedCommand(), a.walletWithdrawCommand(),
		a.walletTopUpCommand(), a.walletAccountCommand(), a.walletCashOutCommand())
	return cmd
}

// needWallet opens the wallet that jobs are paid from.
func (a *app) needWallet(ctx context.Context) (wallet.Wallet, error) {
	w, err := a.openWallet(ctx, "wallet", a.settings.path("customer.wallet"))
	if w == nil && err == nil {
		err = withHint(fmt.Errorf("%w: none is set", wallet.ErrUnavailable), "infernet up  # makes one with play money")
	}
	return w, err
}

// silence makes a wallet's silence an error that says so.
func silence(err error, w wallet.Wallet) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w: %s says nothing for %s", wallet.ErrUnavailable, w.Describe(), walletIn)
	}
	return err
}

func (a *app) walletBalanceCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "balance",
		Short:       "How much is in the wallet",
		Example:     "infernet wallet balance",
		Annotations: says("balance_msat, wallet"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			w, err := a.needWallet(cmd.Context())
			if err != nil {
				return err
			}
			defer w.Close()
			b, ok := w.(wallet.Balancer)
			if !ok {
				return fmt.Errorf("%s does not say its balance", w.Describe())
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), walletIn)
			defer cancel()
			have, err := b.Balance(ctx)
			if err != nil {
				return silence(err, w)
			}
			if a.json {
				a.object(a.Out, map[string]any{"balance_msat": have, "wallet": w.Describe()})
				return nil
			}
			fmt.Fprintln(a.Out, have.Human())
			fmt.Fprintln(a.Err, w.Describe())
			return nil
		},
	}
}

func (a *app) walletPayCommand() *cobra.Command {
	var maxFee int64
	cmd := &cobra.Command{
		Use:   "pay BOLT11",
		Short: "Pay an invoice, and print the preimage that proves it",
		Long: "Pays one bolt11 invoice from the wallet. It is paid once however often the command is given, so when it ends without a\n" +
			"clear answer, give it again. Jobs need no such step: 'infernet run' pays them.",
		Example:     "infernet wallet pay $INVOICE",
		Annotations: says("payment_hash, preimage, paid_msat, fee_msat (0 where the wallet does not say)"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			raw := strings.TrimPrefix(strings.ToLower(strings.TrimSpace(args[0])), "lightning:")
			invoice, err := bolt11.Decode(raw)
			switch {
			case err != nil:
				return withHint(usage("no invoice: %w", err), "infernet wallet invoice --help  # makes one")
			case invoice.Amount == 0:
				return usage("the invoice names no amount; ask its maker for one that does")
			case invoice.Expired(time.Now()):
				return fmt.Errorf("%w; ask its maker for another", wallet.ErrExpired)
			case maxFee < 0 || maxFee > int64(events.MaxMsat/events.Sat):
				return usage("--max-fee %d: no number of satoshi", maxFee)
			}
			most := events.Msat(maxFee) * events.Sat
			if !cmd.Flags().Changed("max-fee") {
				most = max(invoice.Amount/100, 5*events.Sat)
			}
			return a.payInvoice(cmd.Context(), raw, invoice, most)
		},
	}
	cmd.Flags().Int64Var(&maxFee, "max-fee", 0, "most satoshi to pay above the invoice; 1 %, at least 5, if not given")
	return cmd
}

func (a *app) payInvoice(ctx context.Context, raw string, invoice *bolt11.Invoice, maxFee events.Msat) error {
	w, err := a.needWallet(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	payer, ok := w.(wallet.Payer)
	if !ok {
		return usage("wallet: %s cannot pay", w.Describe())
	}
	fmt.Fprintf(a.Err, "paying %s for %q from %s\n", invoice.Amount.Human(), invoice.Description, w.Describe())
	r, err := payer.Pay(ctx, raw, maxFee)
	if err != nil {
		if errors.Is(err, wallet.ErrInFlight) || errors.Is(err, wallet.ErrUnavailable) {
			return withHint(err, "infernet wallet pay %s  # it is paid once", raw)
		}
		return err
	}
	if r.Hash() != wallet.Hash(invoice.PaymentHash) {
		return fmt.Errorf("%s says that it paid, but its preimage does not fit the invoice", w.Describe())
	}
	var fee events.Msat
	if sent, err := payer.Sent(ctx, r.Hash()); err == nil {
		fee = sent.Fee
	}
	if a.json {
		a.object(a.Out, map[string]any{"payment_hash": r.Hash().String(), "preimage": r.String(), "paid_msat": invoice.Amount, "fee_msat": fee})
		return nil
	}
	fmt.Fprintln(a.Out, r)
	fmt.Fprintf(a.Err, "paid %s, fee %s, payment hash %s\n", invoice.Amount.Human(), fee.Human(), r.Hash())
	return nil
}

func (a *app) walletInvoiceCommand() *cobra.Command {
	var about string
	var life time.Duration
	var wait bool
	cmd := &cobra.Command{
		Use:         "invoice SATOSHI",
		Short:       "Make an invoice that pays into the wallet",
		Long:        "Prints a bolt11 invoice. With --wait it stays until the invoice is paid, or has expired (exit code 11).",
		Example:     "infernet wallet invoice 42",
		Annotations: says("bolt11, payment_hash, amount_msat, until (unix seconds); with --wait then payment_hash, paid_msat, at"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sat, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || sat < 1 || sat > int64(events.MaxMsat/events.Sat) {
				return withHint(usage("%q is no number of satoshi, at least 1", args[0]), "infernet wallet invoice 42")
			}
			if life < time.Second {
				return usage("--expires %s: at least a second", life)
			}
			ask := wallet.InvoiceRequest{Amount: events.Msat(sat) * events.Sat, Description: about, Until: time.Now().Add(life)}
			return a.makeInvoice(cmd.Context(), ask, wait)
		},
	}
	cmd.Flags().StringVar(&about, "description", "", "what it is for")
	cmd.Flags().DurationVar(&life, "expires", time.Hour, "how long it can be paid")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is paid")
	return cmd
}

func (a *app) makeInvoice(ctx context.Context, ask wallet.InvoiceRequest, wait bool) error {
	w, err := a.needWallet(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	receiver, ok := w.(wallet.Receiver)
	if !ok {
		return usage("wallet: %s cannot receive", w.Describe())
	}
	soon, cancel := context.WithTimeout(ctx, walletIn)
	defer cancel()
	invoice, err := receiver.Invoice(soon, ask)
	if err != nil {
		return silence(err, w)
	}
	if a.json {
		a.object(a.Out, map[string]any{"bolt11": invoice.Bolt11, "payment_hash": invoice.Hash.String(), "amount_msat": invoice.Amount, "until": invoice.Until.Unix()})
	} else {
		fmt.Fprintln(a.Out, invoice.Bolt11)
	}
	if !wait {
		return nil
	}
	paid, err := receiver.Await(ctx, invoice.Hash)
	if err != nil {
		return err
	}
	if a.json {
		a.object(a.Out, map[string]any{"payment_hash": paid.Hash.String(), "paid_msat": paid.Amount, "at": paid.At.Unix()})
		return nil
	}
	fmt.Fprintf(a.Err, "paid %s\n", paid.Amount.Human())
	return nil
}
