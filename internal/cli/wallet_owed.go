package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/audit"
	"infernet/internal/ledger"
	"infernet/wallet"
)

// debt is one line of what is owed, by whichever side.
type debt struct {
	job    events.ID
	side   string        // to you, by your node
	peer   events.PubKey // who owes it, or whom it is owed
	amount events.Msat
	state  string // owed, asked, paying, paid
	paid   events.Msat
	at     events.Unix
	why    string
}

func (a *app) walletOwedCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "owed",
		Short: "What nodes owe you, and what your node owes, for jobs that were paid and failed",
		Long: "A node that was paid for a job and failed by its own fault signs what it owes. 'infernet wallet withdraw' has it pay. What\n" +
			"your own node owes it pays when its customers ask, if its wallet may pay; it pays a debt once.",
		Example: "infernet wallet owed",
		Annotations: says("job, side (to you, by your node), peer (the other's key), amount_msat, state (owed, asked, paying, paid), paid_msat, at (unix seconds), " +
			"why; for each debt"),
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := a.debts(cmd.Context())
			if err != nil {
				return err
			}
			for _, d := range all {
				if a.json {
					a.object(a.Out, map[string]any{
						"job": d.job, "side": d.side, "peer": d.peer, "amount_msat": d.amount, "state": d.state, "paid_msat": d.paid, "at": d.at, "why": d.why,
					})
					continue
				}
				fmt.Fprintf(a.Out, "%s  %s  %-12s %-10s %-7s %s\n", cutKey(string(d.job)), d.at.Time().Local().Format("2006-01-02 15:04"), d.side, d.amount.Human(), d.state, shortened(d.why))
			}
			if len(all) == 0 && !a.json {
				fmt.Fprintln(a.Err, "nothing is owed, neither to you nor by your node")
			}
			return nil
		},
	}
}

// shortened is the first line of what a node says, and not too much of it.
func shortened(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > 80 {
		s = strings.ToValidUTF8(s[:80], "") + "…"
	}
	return harmless(s)
}

// debts reads both ledgers.
func (a *app) debts(ctx context.Context) (all []debt, err error) {
	c, done, err := a.reader()
	if err != nil {
		return nil, err
	}
	defer done()
	if path := a.settings.text("run.key"); path != "" {
		signer, done, err := a.signer(ctx, path)
		if err != nil {
			return nil, err
		}
		defer done()
		c.Signer = signer
	}
	mine, err := c.Debts(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range mine {
		state := "owed"
		switch {
		case d.Back > 0:
			state = "paid"
		case d.Asked:
			state = "asked"
		}
		all = append(all, debt{d.Job, "to you", d.Node, d.Amount, state, d.Back, d.At, d.Why})
	}
	theirs, err := a.nodeDebts(ctx)
	return append(all, theirs...), err
}

// nodeDebts reads what the node here owes.
func (a *app) nodeDebts(ctx context.Context) (all []debt, err error) {
	if _, err := os.Stat(a.settings.path("node.db")); err != nil {
		return nil, nil
	}
	l, err := ledger.Open(a.settings.path("node.db"))
	if err != nil {
		return nil, err
	}
	defer l.Close()
	signer, done, err := a.signer(ctx, a.settings.path("node.key"))
	if err != nil {
		return nil, err
	}
	defer done()
	owed, err := audit.Owed(ctx, l, signer)
	for _, o := range owed {
		state := "owed"
		switch {
		case o.Paid > 0:
			state = "paid"
		case o.Paying:
			state = "paying"
		}
		all = append(all, debt{o.Job, "by your node", o.Customer, o.Amount, state, o.Paid, o.At, ""})
	}
	return all, err
}

func (a *app) walletWithdrawCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "withdraw JOB",
		Short: "Have a node pay back what it owes for a job",
		Long: "Asks the node that owes something for a job (its id, the beginning of it, or last) to pay it into the wallet, and waits until\n" +
			"the money is there. What the way there costs comes off the debt. A node pays a debt once, so when this ends without a clear\n" +
			"answer, give the command again: nothing is lost.",
		Example:     "infernet wallet withdraw last",
		Annotations: says("job, received_msat"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			c, done, err := a.buyer(ctx)
			if err != nil {
				return err
			}
			defer done()
			id, err := a.wholeID(c.Ledger, args[0])
			if err != nil {
				return err
			}
			to, ok := c.Wallet.(wallet.Receiver)
			if !ok {
				return withHint(fmt.Errorf("%w: there is no wallet to receive it", wallet.ErrUnavailable), "%s", remark(a.settings.edit(0), "wallet names one"))
			}
			came, err := c.Withdraw(ctx, id, to)
			var none *consumer.NoDebtError
			if errors.As(err, &none) {
				return withHint(err, "infernet wallet owed")
			}
			if err != nil {
				return fmt.Errorf("withdraw: %w", err)
			}
			if a.json {
				a.object(a.Out, map[string]any{"job": id, "received_msat": came})
				return nil
			}
			fmt.Fprintf(a.Out, "received %s\n", came.Human())
			return nil
		},
	}
}
