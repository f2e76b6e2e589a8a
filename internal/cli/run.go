package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/consumer/track"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/pool"
	"infernet/wallet"
)

func (a *app) runCommand() *cobra.Command {
	var o orderFlags
	var several severalFlags
	cmd := &cobra.Command{
		Use:   "run [PROMPT]",
		Short: "Buy one job: the answer on stdout, a receipt line on stderr",
		Long: "Buys one job by auction (or directly, or as plain NIP-90), pays, streams the answer and verifies it. PROMPT - reads stdin.\n\n" +
			"Other kinds of jobs: --kind 5250 -o hello.ogg 'Hello' speaks a text, --kind 5000 --input hello.ogg hears what is said,\n" +
			"--kind 5100 -o lantern.png 'A lantern' paints.\n\n" +
			"Small files travel inside the events (--input). Files of any size are put on a file server, encrypted, and their keys travel in\n" +
			"the encrypted job (--file). A node can fetch things itself, too: --input https://…, blossom:…, event:ID or job:ID.",
		Example:     "infernet run '" + tryPrompt + "'\ninfernet run --kind 5250 -o hello.ogg 'Hello'",
		Annotations: says("job, node, model, content, usage (in, out), pay, paid_msat, payment_hash, preimage, receipt, first_ms (of a stream that was watched), took_ms, files (address, type, file); with --verbose, before it, job with event or with delta; with --explain, before it, candidates (node, name, model, taken, out, score, why, about_msat, most_msat, jobs, failed, lied, first_ms, tokens_per_s); with --estimate only node, model, low_msat, about_msat, most_msat, fee_msat, parts (name, units, price_msat, cost_msat), candidates; with --nodes only content, agree, need, paid_msat, nodes (node, job, group, content, model, paid_msat, error)"),
		Args:        onePrompt,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd, &o, &several, args)
		},
	}
	o.add(cmd)
	several.add(cmd)
	return cmd
}

func (a *app) run(cmd *cobra.Command, o *orderFlags, several *severalFlags, args []string) error {
	prompt, err := a.prompt(cmd.Context(), args)
	if err != nil {
		return err
	}
	order, err := a.order(cmd, o, prompt)
	if err != nil {
		return err
	}
	many, err := several.read(cmd, &order)
	if err != nil {
		return err
	}
	if o.estimate {
		return a.estimate(cmd.Context(), order)
	}
	c, done, err := a.buyer(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	if many {
		return a.several(cmd.Context(), c, order, several.plan, o.verbose)
	}
	show := a.newShower(o.verbose)
	show.file = o.file
	show.plain, show.poor, show.free = order.Way == consumer.Plain, c.Wallet == nil, order.MaxCost == 0
	got, err := c.Do(cmd.Context(), order, show.step)
	return show.end(got, err)
}

// buyer opens what is needed to buy: ledger, relays, wallet.
func (a *app) buyer(ctx context.Context) (*consumer.Consumer, func(), error) {
	return a.openConsumer(ctx, true)
}

// reader opens only the ledger: what it looks at is over, and no relay is needed.
func (a *app) reader() (*consumer.Consumer, func(), error) {
	l, err := a.openLedger()
	if err != nil {
		return nil, nil, err
	}
	p := pool.New(context.Background(), nil, pool.WithLog(a.log))
	c, err := consumer.New(consumer.Config{Pool: p, Ledger: l, Log: a.log})
	return c, func() { p.Close(); l.Close() }, err
}

// looker opens what is needed to look: ledger and relays.
func (a *app) looker(ctx context.Context) (*consumer.Consumer, func(), error) {
	return a.openConsumer(ctx, false)
}

func (a *app) openConsumer(ctx context.Context, pays bool) (_ *consumer.Consumer, done func(), err error) {
	var open []io.Closer
	closeAll := func() {
		for _, part := range slices.Backward(open) {
			part.Close()
		}
	}
	defer func() {
		if err != nil {
			closeAll()
		}
	}()
	l, err := a.openLedger()
	if err != nil {
		return nil, nil, err
	}
	open = append(open, l)
	p, err := a.connect(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	open = append(open, p)
	config := consumer.Config{Pool: p, Relays: a.settings.list("relays"), Servers: a.settings.list("files.servers"), Ledger: l, Log: a.log}
	memory, err := track.Open(a.settings.path("nodes.db"), a.log)
	if err != nil {
		return nil, nil, err
	}
	open = append(open, memory)
	config.Memory, config.Reviews = memory, a.settings.yes("run.reviews")
	if config.Trust, err = a.trust(); err != nil {
		return nil, nil, err
	}
	config.Alarm = func(m consumer.Alarm) { a.alarm("all jobs in 24 hours", m) }
	config.PerDay = events.Msat(a.settings.number("run.budget")) * events.Sat
	config.Stake = max(events.Msat(a.settings.number("run.stake"))*events.Sat, 1)
	if pays {
		w, err := a.openWallet(ctx, "wallet", a.settings.path("customer.wallet"))
		if err != nil {
			return nil, nil, err
		}
		if w != nil {
			open = append(open, w)
			payer, ok := w.(wallet.Payer)
			if !ok {
				return nil, nil, usage("wallet: %s cannot pay", w.Describe())
			}
			config.Wallet = payer
		}
	}
	if path := a.settings.text("run.key"); path != "" {
		signer, done, err := a.signer(ctx, path)
		if err != nil {
			return nil, nil, fmt.Errorf("run.key: %w", err)
		}
		open = append(open, closing(done))
		config.Signer = signer
	}
	c, err := consumer.New(config)
	return c, closeAll, err
}

// closing is a Closer of a function.
type closing func()

func (c closing) Close() error { c(); return nil }

// openLedger opens the customer's ledger.
func (a *app) openLedger() (*ledger.Ledger, error) {
	if err := a.settings.makeDataDir(); err != nil {
		return nil, err
	}
	return ledger.Open(a.settings.path("customer.db"))
}
