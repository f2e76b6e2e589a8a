package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/spf13/cobra"

	"infernet/consumer/gateway"
	"infernet/events"
	"infernet/wallet/play"
)

func (a *app) upCommand() *cobra.Command {
	var free bool
	var ready *string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole market on this machine: relay, provider, gateway and play money",
		Long: "Runs a relay, a play-money wallet service and a provider in one process, and makes wallets with play money for the\n" +
			"provider and for you, so that 'infernet run' in another terminal just works. Play money is worth nothing.\n\n" +
			"The relay's address answers the node's history, too, to who shows an app key ('infernet appkey') or signs with its key.\n\n" +
			"The relay's address is a gateway, too: apps that know OpenAI's API find the market under /v1 ('infernet gateway --help').\n\n" + engineHelp,
		Example:     "infernet up",
		Annotations: says("relay, node, engine; once jobs are taken"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.settings.source["relays"] == "flag" {
				return withHint(usage("--relay: up runs a relay of its own; provide sells on another"), "infernet provide --relay %s", quoted(hide(a.settings.text("relays"))))
			}
			free, _ = cmd.Flags().GetBool("free")
			return a.up(cmd.Context(), free, *ready)
		},
	}
	relayFlags(cmd)
	provideFlags(cmd)
	ready = readyFlag(cmd, "the relay's address")
	return cmd
}

// up runs the parts until ctx ends or one of them fails.
func (a *app) up(ctx context.Context, free bool, readyFile string) error {
	unlock, err := a.settings.lock("relay", "bank", "node", "gateway")
	if err != nil {
		return err
	}
	defer unlock()
	r, closeFiles, err := a.openRelay(ctx, a.settings.path("node.wallet"))
	if err != nil {
		return err
	}
	defer func() { // last of all, when the relay has ended
		if err := closeFiles(); err != nil {
			a.log.Error("cannot close the files", "err", err)
		}
	}()
	a.settings.put("relays", r.URL(), "up")
	if err := a.settings.heldAt("relay", r.URL(), r.Door.Address()); err != nil {
		return err
	}
	relayCtx, stopRelay := context.WithCancel(context.WithoutCancel(ctx)) // the relay goes last: the others have last words
	bankCtx, stopBank := context.WithCancel(relayCtx)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var last, parts sync.WaitGroup
	last.Go(func() { stop(r.Run(relayCtx)) })
	a.reloadOnHangup(ctx, r)
	defer last.Wait()
	defer stopRelay()
	if err := a.redirect(ctx, r.URL()); err != nil {
		stopBank()
		return err
	}
	bank, err := a.openBank(r.URL())
	if err != nil {
		stopBank()
		return err
	}
	parts.Go(func() { stop(bank.Run(bankCtx)) })
	defer parts.Wait()
	defer stopBank()
	var closeGateway func() error
	defer func() {
		if closeGateway != nil {
			if err := closeGateway(); err != nil {
				a.log.Error("cannot close the gateway", "err", err)
			}
		}
	}()
	err = a.provide(ctx, free, nil, r.Door, func(n *node) error { // all works: a market that does not is not announced
		var g *gateway.Gateway
		var err error
		if g, closeGateway, err = a.openGateway(ctx, "relay"); err != nil {
			return err
		}
		g.Mount(r.Door)
		a.tell("relay  ", "%s", r.URL())
		a.tellGateway(r.Door, g)
		a.tell("bank   ", "play money, worth nothing; every new account is given 100,000 sat")
		a.tell("node   ", "%s", n.key)
		a.tellEngine(n.engine)
		a.tell("data   ", "%s", a.settings.text("data_dir"))
		a.tell("try    ", "%s", a.callable(fmt.Sprintf("infernet run --relay %s --temperature 0 --max-tokens 64 %s", r.URL(), quoted(tryPrompt))))
		if a.json {
			a.object(a.Out, map[string]string{"relay": r.URL(), "node": n.key, "engine": n.engine})
		}
		return tellReady(readyFile, r.URL())
	})
	if why := context.Cause(ctx); why != nil && !errors.Is(why, context.Canceled) {
		return why
	}
	return err
}

// openBank opens the play-money service, and makes the wallets of the node and of the machine's user.
func (a *app) openBank(relay string) (*play.Service, error) {
	service, err := keys(a.settings.path("bank.key"))
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"node.wallet", "customer.wallet"} {
		if err := a.makeWallet(a.settings.path(name), relay, service); err != nil {
			return nil, fmt.Errorf("make a play wallet: %w", err)
		}
	}
	return play.NewService(play.Config{Relays: []string{relay}, Keys: service, Path: a.settings.path("bank.db"), Log: a.log})
}

// makeWallet writes a wallet file for an account at the service. An account that is there keeps its key; only the
// relay's address follows.
func (a *app) makeWallet(path, relay string, service *events.Keys) error {
	account, err := keys(path + ".key")
	if err != nil {
		return err
	}
	address, err := play.Address([]string{relay}, string(service.PublicKey()), account.Secret())
	if err != nil {
		return err
	}
	if have, err := readSecret(path); err == nil && have == address {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return writeSecret(path, address)
}
