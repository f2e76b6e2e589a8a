package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/events"
	"infernet/wallet"
)

// says what an account's statement has, in --json.
const statementSays = "node, seq, balance_msat, topped_msat, drawn_msat, withdrawn_msat, open_msat, statement (its event's id), at (unix seconds)"

func (a *app) walletTopUpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "topup NODE SATOSHI",
		Short: "Pay into an account at a node, to buy jobs out of it",
		Long: "Pays into an account that a node keeps for you, if it does (it takes credit: 'infernet market nodes'). Jobs that are bought with\n" +
			"--pay credit --way direct --node NODE are then paid out of it, without a payment for each. The node holds that money: pay in\n" +
			"what you would trust it with. What is left comes back with 'infernet wallet cashout NODE'.",
		Example:     "infernet wallet topup $NODE 500",
		Annotations: says(statementSays),
		Args:        cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := satoshi(args[1])
			if err != nil {
				return withHint(err, "infernet wallet topup %s 500", quoted(args[0]))
			}
			return a.withAccount(cmd.Context(), args[0], func(ctx context.Context, c *consumer.Consumer, node events.PubKey) error {
				fmt.Fprintf(a.Err, "paying %s into the account at node %s\n", amount.Human(), cutKey(string(node)))
				s, err := c.TopUp(ctx, node, amount, nil)
				if err != nil {
					return err
				}
				a.showStatement(s)
				return nil
			})
		},
	}
}

func (a *app) walletAccountCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "account [NODE]",
		Short: "Where your accounts at nodes stand",
		Long: "Asks a node for the statement of your account there, and holds it against the last one; without NODE it shows the last known\n" +
			"statement of each, and asks nobody. A node that signs two statements which cannot both be true is convicted by them.",
		Example:     "infernet wallet account",
		Annotations: says(statementSays + "; for each account"),
		Args:        cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return a.withAccount(cmd.Context(), args[0], func(ctx context.Context, c *consumer.Consumer, node events.PubKey) error {
					s, err := c.Statement(ctx, node)
					if err == nil {
						a.showStatement(s)
					}
					return err
				})
			}
			c, done, err := a.reader()
			if err != nil {
				return err
			}
			defer done()
			all, err := c.Statements()
			if err != nil {
				return err
			}
			for _, node := range slices.Sorted(maps.Keys(all)) {
				a.showStatement(all[node])
			}
			if len(all) == 0 && !a.json {
				fmt.Fprintln(a.Err, "no accounts; infernet wallet topup NODE SATOSHI makes one")
			}
			return nil
		},
	}
}

func (a *app) walletCashOutCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "cashout NODE [SATOSHI]",
		Short:       "Have a node pay out of your account there into the wallet",
		Long:        "Has the node pay what is left of your account there, or so much of it, into the wallet, and waits until it is there. What the\nway costs comes off the account: at most 1 %, at least 5 sat.",
		Example:     "infernet wallet cashout $NODE",
		Annotations: says("received_msat, " + statementSays),
		Args:        cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount := events.Msat(0)
			if len(args) == 2 {
				var err error
				if amount, err = satoshi(args[1]); err != nil {
					return withHint(err, "infernet wallet cashout %s", quoted(args[0]))
				}
			}
			return a.withAccount(cmd.Context(), args[0], func(ctx context.Context, c *consumer.Consumer, node events.PubKey) error {
				to, ok := c.Wallet.(wallet.Receiver)
				if !ok {
					return withHint(fmt.Errorf("%w: there is no wallet to receive it", wallet.ErrUnavailable), "%s", remark(a.settings.edit(0), "wallet names one"))
				}
				came, s, err := c.CashOut(ctx, node, amount, to)
				if err != nil {
					return err
				}
				if a.json {
					said := statementJSON(s)
					said["received_msat"] = came
					a.object(a.Out, said)
					return nil
				}
				fmt.Fprintf(a.Out, "received %s\n", came.Human())
				a.showStatement(s)
				return nil
			})
		},
	}
}

func satoshi(s string) (events.Msat, error) {
	sat, err := strconv.ParseInt(s, 10, 64)
	if err != nil || sat < 1 || sat > int64(events.MaxMsat/events.Sat) {
		return 0, usage("%q is no number of satoshi, at least 1", s)
	}
	return events.Msat(sat) * events.Sat, nil
}

// withAccount opens what is needed to deal with a node, named by its key or the beginning of it.
func (a *app) withAccount(ctx context.Context, name string, do func(context.Context, *consumer.Consumer, events.PubKey) error) error {
	node, err := nodeKey(name)
	if err != nil {
		return withHint(usage("%s: neither a key in hex or npub, nor the first 8 or more characters of one", name), "infernet market nodes")
	}
	c, done, err := a.buyer(ctx)
	if err != nil {
		return err
	}
	defer done()
	err = do(ctx, c, node)
	var wrong *consumer.StatementError
	if errors.As(err, &wrong) {
		return withHint(fmt.Errorf("%w: %w", errFraud, err), "infernet market nodes")
	}
	return err
}

func statementJSON(s *events.Statement) map[string]any {
	return map[string]any{
		"node": s.Author, "seq": s.Seq, "balance_msat": s.Balance(), "topped_msat": s.Topped, "drawn_msat": s.Drawn, "withdrawn_msat": s.Withdrawn,
		"open_msat": s.Open, "statement": s.ID, "at": s.At,
	}
}

func (a *app) showStatement(s *events.Statement) {
	if a.json {
		a.object(a.Out, statementJSON(s))
		return
	}
	said := []string{"paid in " + s.Topped.Human(), "jobs " + s.Drawn.Human(), "paid out " + s.Withdrawn.Human()}
	if s.Open > 0 {
		said = append(said, s.Open.Human()+" set apart")
	}
	fmt.Fprintf(a.Out, "%s  %s  (%s; statement %d)\n", cutKey(string(s.Author)), s.Balance().Human(), strings.Join(said, ", "), s.Seq)
}
