package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/pool"
)

func (a *app) marketCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "market", Short: "Who sells what, for how much"}
	list := func(use, short, object string, show func(context.Context, *consumer.Consumer) error) {
		cmd.AddCommand(&cobra.Command{
			Use: use, Short: short, Example: "infernet market " + use, Annotations: says(object), Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				c, done, err := a.looker(cmd.Context())
				if err != nil {
					return err
				}
				defer done()
				err = show(cmd.Context(), c)
				a.tellAway(c.Pool)
				return err
			},
		})
	}
	list("nodes", "The nodes, living ones first", "node, name, alive, kinds, market (models, prices, gpus, concurrency, pay, delivery, payee)", a.marketNodes)
	list("models", "The models that living nodes run, and the best price of each, for 1000 units in and 1000 out", "node, model (id, kinds, context, digest, price in msat), msat_per_1000_in_1000_out, nodes", a.marketModels)
	list("prices", "What every living node asks for every model", "node, model (id, kinds, context, digest, price in msat), msat_per_1000_in_1000_out", a.marketPrices)
	list("offers", "The offers of the last minutes that are open, not encrypted to one customer", "offer, job, node, amount_msat, cap_msat, model, pay, until", a.marketOffers)
	list("reviews", "What reviews and assertions say of nodes: those of keys that run.trust names, and how many others", "node, reviews (by anybody), trusted (reviews and assertions by keys of run.trust), rank (0 to 1, of those)", a.marketReviews)
	cmd.AddCommand(a.marketKnownCommand(), a.marketForgetCommand())
	cmd.AddCommand(a.marketViews()...)
	return cmd
}

// tellAway names the relays that do not answer, unless a program reads: what they have is missing.
func (a *app) tellAway(p *pool.Pool) {
	if a.json {
		return
	}
	for _, r := range p.Status() {
		for until := time.Now().Add(time.Second / 2); !r.Connected && r.Err == nil && time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
			i := slices.IndexFunc(p.Status(), func(now pool.RelayStatus) bool { return now.URL == r.URL })
			r = p.Status()[i]
		}
		if !r.Connected {
			a.tell("relay  ", "%s does not answer: %s", r.URL, shortly(r.Err))
		}
	}
}

func (a *app) marketNodes(ctx context.Context, c *consumer.Consumer) error {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return err
	}
	if a.json {
		for _, n := range nodes {
			a.object(a.Out, map[string]any{"node": n.Author, "name": n.Profile.Name, "alive": n.Alive(time.Now()), "kinds": n.Kinds, "market": n.Profile.Market})
		}
		return nil
	}
	return a.columns("NODE\tNAME\tSTATE\tSEEN\tLOAD\tGPU\tMODELS\tPAY", func(w io.Writer) {
		for _, n := range nodes {
			state, load, seen := "silent", "-", "-"
			if n.Beat != nil {
				seen = age(time.Since(n.Beat.At.Time()))
				load = fmt.Sprintf("%d/%d", n.Beat.Load, n.Beat.Capacity)
			}
			if n.Alive(time.Now()) {
				state = or(n.Beat.Status, "alive")
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cutKey(string(n.Author)), cell(n.Profile.Name), cell(state), seen, load, cell(short(gpusOf(n.Profile.Market.GPUs), 24)), cell(short(strings.Join(n.Models, " "), 18)), cell(strings.Join(n.Profile.Market.Pay, " ")))
		}
	})
}

// gpusOf is a node's cards in a cell: how many of which, and the memory of one.
func gpusOf(cards []events.GPU) string {
	if len(cards) == 0 {
		return "-"
	}
	text := cards[0].Name
	if cards[0].VRAMMB > 0 {
		text += fmt.Sprintf(" %d GB", (cards[0].VRAMMB+512)/1024)
	}
	if len(cards) > 1 {
		text = fmt.Sprintf("%d× %s", len(cards), text)
	}
	return text
}

// short cuts a text for a table; --json has the whole.
func short(text string, width int) string {
	if runes := []rune(text); len(runes) > width {
		return string(runes[:width-1]) + "…"
	}
	return text
}

// age is how long ago something was, roughly.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h ago", int(d.Hours()))
}

// asked is one model at one node.
type asked struct {
	Node  events.PubKey     `json:"node"`
	Model events.ModelOffer `json:"model"`
	Per   events.Msat       `json:"msat_per_1000_in_1000_out"`
}

// asks lists what living nodes ask, cheapest first.
func asks(ctx context.Context, c *consumer.Consumer) (all []asked, err error) {
	nodes, err := c.Nodes(ctx)
	for _, n := range nodes {
		if !n.Alive(time.Now()) {
			continue
		}
		for _, m := range n.Profile.Market.Models {
			if per, err := m.Price.Cost(events.Usage{In: 1000, Out: 1000}, 100); err == nil {
				all = append(all, asked{n.Author, m, per})
			}
		}
	}
	slices.SortStableFunc(all, func(x, y asked) int { return int(x.Per - y.Per) })
	return all, err
}

func (a *app) marketPrices(ctx context.Context, c *consumer.Consumer) error {
	all, err := asks(ctx, c)
	if err != nil {
		return err
	}
	return a.showAsks(all)
}

func (a *app) marketModels(ctx context.Context, c *consumer.Consumer) error {
	all, err := asks(ctx, c)
	if err != nil {
		return err
	}
	nodes, best := map[string]int{}, all[:0:0]
	for _, x := range all { // the cheapest comes first
		if nodes[x.Model.ID]++; nodes[x.Model.ID] == 1 {
			best = append(best, x)
		}
	}
	if a.json {
		for _, x := range best {
			a.object(a.Out, map[string]any{"node": x.Node, "model": x.Model, "msat_per_1000_in_1000_out": x.Per, "nodes": nodes[x.Model.ID]})
		}
		return nil
	}
	return a.columns("MODEL\tKINDS\tCONTEXT\tNODES\tPER 1000\tAT", func(w io.Writer) {
		for _, x := range best {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", x.Model.ID, kindsOf(x), x.Model.Context, nodes[x.Model.ID], x.Per.Human(), cutKey(string(x.Node)))
		}
	})
}

func kindsOf(x asked) string { return strings.Trim(fmt.Sprint(x.Model.Kinds), "[]") }

func (a *app) showAsks(all []asked) error {
	if a.json {
		for _, x := range all {
			a.object(a.Out, x)
		}
		return nil
	}
	return a.columns("MODEL\tNODE\tBASE\t1000 IN\t1000 OUT\tKINDS", func(w io.Writer) {
		for _, x := range all {
			p := x.Model.Price
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", x.Model.ID, cutKey(string(x.Node)), p.Base.Human(), p.In.Human(), p.Out.Human(), kindsOf(x))
		}
	})
}

func (a *app) marketOffers(ctx context.Context, c *consumer.Consumer) error {
	since := nostr.Timestamp(time.Now().Add(-10 * time.Minute).Unix())
	found, err := c.Pool.Query(ctx, nostr.Filter{Kinds: []int{events.KindFeedback}, Since: &since, Limit: 500})
	if err != nil {
		return err
	}
	var offers []*events.Offer
	for _, ev := range found {
		if m, err := events.Parse(ev); err == nil {
			if o, ok := m.(*events.Offer); ok {
				offers = append(offers, o)
			}
		}
	}
	if a.json {
		for _, o := range offers {
			a.object(a.Out, map[string]any{
				"offer": o.ID, "job": o.Job, "node": o.Author, "amount_msat": o.Amount, "cap_msat": o.Cap, "model": o.Model, "pay": o.Pay, "until": o.Until,
			})
		}
		return nil
	}
	if len(offers) == 0 {
		fmt.Fprintln(a.Err, "no open offer in the last ten minutes: offers in auctions are encrypted to their customers, unless those run with --open")
	}
	return a.columns("OFFER\tJOB\tNODE\tAMOUNT\tMODEL\tPAY", func(w io.Writer) {
		for _, o := range offers {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", cutKey(string(o.ID)), cutKey(string(o.Job)), cutKey(string(o.Author)), o.Amount.Human(), or(o.Model, "-"), or(o.Pay, "-"))
		}
	})
}
