package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet/serve"
)

// rights are what a connection may do, in words, and the methods of NIP-47 for it.
var rights = []struct {
	name    string
	methods []string
}{
	{"read", []string{nip47.GetBalance, nip47.LookupInvoice, nip47.ListTransactions}},
	{"pay", []string{nip47.PayInvoice, nip47.LookupInvoice}},
	{"receive", []string{nip47.MakeInvoice, nip47.LookupInvoice}},
	{"hold", []string{nip47.MakeHoldInvoice, nip47.SettleHoldInvoice, nip47.CancelHoldInvoice, nip47.LookupInvoice}},
}

// walletBook opens what the wallet service remembers.
func (a *app) walletBook() (*serve.Book, error) {
	if err := a.settings.makeDataDir(); err != nil {
		return nil, err
	}
	return serve.OpenBook(a.settings.path("wallet-service.db"))
}

func (a *app) walletServeCommand() *cobra.Command {
	var ready *string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Let programs use the wallet, each within a budget (NIP-47)",
		Long: "Puts Nostr Wallet Connect in front of the wallet, over the relays, until it is interrupted. 'infernet wallet connect' makes\n" +
			"connections, also while it runs. What is under way when it ends is looked after again when it starts.",
		Example:     "infernet wallet serve",
		Annotations: says("service, wallet, relays; once requests are answered"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.walletServe(cmd.Context(), *ready)
		},
	}
	ready = readyFlag(cmd, "the service's key")
	return cmd
}

func (a *app) walletServe(ctx context.Context, ready string) error {
	unlock, err := a.settings.lock("wallet service")
	if err != nil {
		return err
	}
	defer unlock()
	w, err := a.needWallet(ctx)
	if err != nil {
		return err
	}
	defer w.Close()
	p, err := a.connect(ctx, nil) // is a relay there?
	if err != nil {
		return err
	}
	p.Close()
	service, err := keys(a.settings.path("wallet-service.key"))
	if err != nil {
		return err
	}
	book, err := a.walletBook()
	if err != nil {
		return err
	}
	defer book.Close()
	relays := a.settings.list("relays")
	s, err := serve.New(serve.Config{Relays: relays, Keys: service, Book: book, Wallet: w, Log: a.log})
	if err != nil {
		return err
	}
	a.tell("wallet ", "%s", w.Describe())
	a.tell("service", "%s", service.PublicKey())
	a.tell("connect", "infernet wallet connect NAME --budget 1000")
	if a.json {
		a.object(a.Out, map[string]any{"service": service.PublicKey(), "wallet": w.Describe(), "relays": relays})
	}
	if err := tellReady(ready, string(service.PublicKey())); err != nil {
		return err
	}
	return s.Run(ctx)
}

func (a *app) walletConnectCommand() *cobra.Command {
	var budget, each int64
	var life time.Duration
	var allow []string
	cmd := &cobra.Command{
		Use:   "connect NAME",
		Short: "Make a connection to the wallet for a program, as an address and a QR code",
		Long: "Prints the address of a new connection (nostr+walletconnect://…) on stdout and its QR code on stderr. It is told once: whoever\n" +
			"has it can use the wallet within these bounds, while 'infernet wallet serve' runs.\n\n" +
			"--allow is a list of read (balance, transactions), pay, receive and hold; all of them if it is not given.",
		Example:     "infernet wallet connect phone --budget 1000",
		Annotations: says("name, uri, allow (list), budget_msat (0: no bound), per_payment_msat (0: no bound), until (unix seconds, 0: never)"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := serve.Connection{Name: strings.TrimSpace(args[0]), Created: time.Now()}
			if c.Name == "" || len(c.Name) > 64 {
				return usage("a name has 1 to 64 characters")
			}
			for flag, sat := range map[string]int64{"budget": budget, "per-payment": each} {
				if sat < 0 || sat > int64(events.MaxMsat/events.Sat) || cmd.Flags().Changed(flag) && sat == 0 {
					return usage("--%s %d: no number of satoshi, at least 1", flag, sat)
				}
			}
			c.PerDay, c.PerPayment = events.Msat(budget)*events.Sat, events.Msat(each)*events.Sat
			if life < 0 {
				return usage("--expires %s: not in the past", life)
			}
			if life > 0 {
				c.Until = c.Created.Add(life)
			}
			for _, name := range allow {
				i := slices.IndexFunc(rights, func(r struct {
					name    string
					methods []string
				}) bool {
					return r.name == name
				})
				if i < 0 {
					return withHint(usage("--allow %s: there is read, pay, receive and hold", name), "%s", again(a.args, "--allow", "pay"))
				}
				c.Methods = append(c.Methods, rights[i].methods...)
			}
			return a.walletConnect(c, allow)
		},
	}
	cmd.Flags().Int64Var(&budget, "budget", 0, "most satoshi to pay in 24 hours, with fees; no bound if not given")
	cmd.Flags().Int64Var(&each, "per-payment", 0, "most satoshi to pay at once; no bound if not given")
	cmd.Flags().StringSliceVar(&allow, "allow", nil, "what it may do: read, pay, receive, hold")
	cmd.Flags().DurationVar(&life, "expires", 0, "how long it lasts; for ever if not given")
	return cmd
}

func (a *app) walletConnect(c serve.Connection, allow []string) error {
	book, err := a.walletBook()
	if err != nil {
		return err
	}
	defer book.Close()
	service, err := keys(a.settings.path("wallet-service.key"))
	if err != nil {
		return err
	}
	client := events.GenerateKeys()
	c.Client = client.PublicKey()
	if err := book.Add(c); err != nil {
		if errors.Is(err, serve.ErrName) {
			return withHint(usage("%w", err), "infernet wallet disconnect %s", quoted(c.Name))
		}
		return err
	}
	uri := serve.Address(service.PublicKey(), a.settings.list("relays"), client).String()
	if a.json {
		var until int64
		if !c.Until.IsZero() {
			until = c.Until.Unix()
		}
		a.object(a.Out, map[string]any{
			"name": c.Name, "uri": uri, "allow": append([]string{}, allow...), "budget_msat": c.PerDay, "per_payment_msat": c.PerPayment, "until": until,
		})
		return nil
	}
	if err := drawQR(a.Err, uri); err != nil {
		return err
	}
	fmt.Fprintln(a.Out, uri)
	fmt.Fprintln(a.Err, a.bounds(&c))
	return nil
}

// bounds says in words what a connection may do.
func (a *app) bounds(c *serve.Connection) string {
	said := []string{"no budget"}
	if c.PerDay > 0 {
		said[0] = c.PerDay.Human() + " in 24 hours"
	}
	if c.PerPayment > 0 {
		said = append(said, c.PerPayment.Human()+" at once")
	}
	if len(c.Methods) > 0 {
		said = append(said, "only "+strings.Join(slices.Compact(slices.Sorted(slices.Values(c.Methods))), " "))
	}
	if !c.Until.IsZero() {
		said = append(said, "until "+c.Until.Format("2006-01-02 15:04"))
	}
	return strings.Join(said, ", ")
}

func (a *app) walletConnectionsCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "connections",
		Short:       "The connections to the wallet, and what each has spent in 24 hours",
		Example:     "infernet wallet connections",
		Annotations: says("name, client, methods (list, empty: all), spent_msat, budget_msat, per_payment_msat, until; for each connection"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			book, err := a.walletBook()
			if err != nil {
				return err
			}
			defer book.Close()
			all, err := book.Connections()
			if err != nil {
				return err
			}
			if len(all) == 0 && !a.json {
				fmt.Fprintln(a.Err, "no connections; infernet wallet connect NAME makes one")
			}
			for _, c := range all {
				spent, err := book.Spent(c.Client, time.Now().Add(-24*time.Hour))
				if err != nil {
					return err
				}
				if a.json {
					var until int64
					if !c.Until.IsZero() {
						until = c.Until.Unix()
					}
					a.object(a.Out, map[string]any{
						"name": c.Name, "client": c.Client, "methods": append([]string{}, c.Methods...), "spent_msat": spent, "budget_msat": c.PerDay,
						"per_payment_msat": c.PerPayment, "until": until,
					})
					continue
				}
				fmt.Fprintf(a.Out, "%-16s spent %s; %s\n", c.Name, spent.Human(), a.bounds(c))
			}
			return nil
		},
	}
}

func (a *app) walletDisconnectCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "disconnect NAME",
		Short:       "End a connection to the wallet",
		Example:     "infernet wallet disconnect phone",
		Annotations: says("name"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			book, err := a.walletBook()
			if err != nil {
				return err
			}
			defer book.Close()
			if err := book.Remove(args[0]); err != nil {
				if errors.Is(err, serve.ErrName) {
					return withHint(usage("%w", err), "infernet wallet connections")
				}
				return err
			}
			if a.json {
				a.object(a.Out, map[string]string{"name": args[0]})
			}
			return nil
		},
	}
}
