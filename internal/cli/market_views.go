package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/events"
	"infernet/relay"
	"infernet/relay/market"
)

// marketViews are the commands that show what the relays' events say of the market.
func (a *app) marketViews() []*cobra.Command {
	stats := &cobra.Command{
		Use: "stats", Short: "The market in numbers: living nodes, open jobs, where prices lie", Example: "infernet market stats", Args: cobra.NoArgs,
		Long: "Computed here, from what the relays have: nodes that live, jobs that wait or run, and for each model the least, the median and the\n" +
			"largest price for 1000 units in and 1000 out.",
		Annotations: says("at, alive, nodes, open, jobs, results, models (nodes, min, median, max in msat)"),
		RunE:        a.looking(func(ctx context.Context, c *consumer.Consumer, _ []string) error { return a.marketStats(ctx, c) }),
	}
	jobs := &cobra.Command{
		Use: "jobs", Short: "The jobs that wait or run, as far as they are not encrypted", Example: "infernet market jobs", Args: cobra.NoArgs,
		Annotations: says("job, kind, model, state, at, deadline, bid_msat, offers"),
		RunE:        a.looking(func(ctx context.Context, c *consumer.Consumer, _ []string) error { return a.marketJobs(ctx, c) }),
	}
	facts := &cobra.Command{
		Use: "facts NODE", Short: "What is known of a node, and how each thing is known", Example: "infernet market facts $NODE", Args: cobra.ExactArgs(1),
		Long: "Says of each fact how it is known: the node claims it, signed events show it, customers say it (a node can be its own\n" +
			"customer), or a key asserts it (NIP-85). NODE is a key, or its beginning where just one node's key begins so.",
		Annotations: says("fact, value, source (claimed, seen, said or asserted), by, how"),
		RunE: a.looking(func(ctx context.Context, c *consumer.Consumer, args []string) error {
			return a.marketFacts(ctx, c, args[0])
		}),
	}
	return []*cobra.Command{stats, jobs, facts, a.marketHistoryCommand()}
}

// looking is a command that looks at what relays have.
func (a *app) looking(show func(context.Context, *consumer.Consumer, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, done, err := a.looker(cmd.Context())
		if err != nil {
			return err
		}
		defer done()
		err = show(cmd.Context(), c, args)
		a.tellAway(c.Pool)
		return err
	}
}

// gather gives what the relays have for filters.
func gather(ctx context.Context, c *consumer.Consumer, filters nostr.Filters) (all []*nostr.Event, err error) {
	for _, f := range filters {
		found, err := c.Pool.Query(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// look makes the view of the market.
func look(ctx context.Context, c *consumer.Consumer) (*market.View, error) {
	now := time.Now()
	found, err := gather(ctx, c, market.Asked(now))
	if err != nil {
		return nil, err
	}
	said, err := gather(ctx, c, market.About(found, now))
	if err != nil {
		return nil, err
	}
	return market.Look(append(found, said...), now), nil
}

func (a *app) marketStats(ctx context.Context, c *consumer.Consumer) error {
	v, err := look(ctx, c)
	if err != nil {
		return err
	}
	if a.json {
		a.object(a.Out, market.SampleOf(v, 0, 0))
		return nil
	}
	a.tell("market ", "%d of %d nodes live, %d jobs wait or run", v.Alive, len(v.Nodes), len(v.Jobs))
	return a.columns("MODEL\tNODES\tMIN\tMEDIAN\tMAX", func(w io.Writer) {
		for _, m := range v.Models {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", cell(m.ID), m.Nodes, m.Price.Min.Human(), m.Price.Median.Human(), m.Price.Max.Human())
		}
	})
}

func (a *app) marketJobs(ctx context.Context, c *consumer.Consumer) error {
	v, err := look(ctx, c)
	if err != nil {
		return err
	}
	if a.json {
		for _, j := range v.Jobs {
			a.object(a.Out, j)
		}
		return nil
	}
	return a.columns("JOB\tKIND\tMODEL\tSTATE\tAGE\tBID\tOFFERS", func(w io.Writer) {
		for _, j := range v.Jobs {
			bid := "-"
			if j.Bid != nil {
				bid = j.Bid.Human()
			}
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%d\n", cutKey(string(j.ID)), j.Kind, cell(short(or(j.Model, "-"), 24)), j.State, age(time.Since(j.At.Time())), bid, j.Offers)
		}
	})
}

func (a *app) marketFacts(ctx context.Context, c *consumer.Consumer, name string) error {
	node, err := wholeKey(ctx, c, name)
	if err != nil {
		return err
	}
	now := time.Now()
	found, err := gather(ctx, c, market.AskedOf(node, now))
	if err != nil {
		return err
	}
	asked, err := gather(ctx, c, market.JobsOf(found))
	if err != nil {
		return err
	}
	facts := market.Known(node, append(found, asked...), 0, now)
	if a.json {
		for _, f := range facts {
			a.object(a.Out, f)
		}
		return nil
	}
	return a.columns("FACT\tVALUE\tSOURCE\tHOW", func(w io.Writer) {
		for _, f := range facts {
			source := string(f.Source)
			if f.By != "" {
				source += " by " + cutKey(string(f.By))
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", f.Name, cell(short(f.Value, 48)), source, cell(f.How))
		}
	})
}

// wholeKey finds the node that a key, or its beginning, names.
func wholeKey(ctx context.Context, c *consumer.Consumer, name string) (events.PubKey, error) {
	if key, err := publicKey(name); err == nil && key != "" {
		return key, nil
	}
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return "", err
	}
	var found []events.PubKey
	for _, n := range nodes {
		if strings.HasPrefix(string(n.Author), name) {
			found = append(found, n.Author)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("node %s: %w", name, consumer.ErrUnknownNode)
	}
	return "", usage("%d nodes' keys begin with %s", len(found), name)
}

func (a *app) marketHistoryCommand() *cobra.Command {
	var model string
	var since time.Duration
	cmd := &cobra.Command{
		Use: "history", Short: "How the market was: living nodes, jobs and prices over time", Example: "infernet market history --since 24h", Args: cobra.NoArgs,
		Long:        "Asks the first of the setting relays, which has to be of this program: it keeps a sample every ten minutes, for 30 days.",
		Annotations: says("at, alive, nodes, open, jobs, results, models (nodes, min, median, max in msat)"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			at := a.settings.list("relays")[0]
			query := url.Values{"since": {fmt.Sprint(max(time.Now().Add(-since).Unix(), 0))}, "limit": {"48"}}
			if model != "" {
				query.Set("model", model)
			}
			var answer struct{ Samples []market.Sample }
			if err := fetchJSON(cmd.Context(), "http"+strings.TrimPrefix(at, "ws")+relay.HistoryPath+"?"+query.Encode(), &answer); err != nil {
				return fmt.Errorf("%s keeps no history that can be read: %w", at, err)
			}
			if a.json {
				for _, s := range answer.Samples {
					a.object(a.Out, s)
				}
				return nil
			}
			return a.columns("AT\tALIVE\tOPEN\tJOBS\tRESULTS\tMODEL\tMIN\tMEDIAN\tMAX", func(w io.Writer) {
				for _, s := range answer.Samples {
					fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d", s.At.Time().Local().Format("2006-01-02 15:04"), s.Alive, s.Open, s.Jobs, s.Results)
					if m, ok := s.Models[model]; ok {
						fmt.Fprintf(w, "\t%s\t%s\t%s\t%s\n", cell(model), m.Min.Human(), m.Median.Human(), m.Max.Human())
						continue
					}
					fmt.Fprintf(w, "\t%d models\t-\t-\t-\n", len(s.Models))
				}
			})
		},
	}
	cmd.Flags().StringVar(&model, "model", "", "show this model's prices")
	cmd.Flags().DurationVar(&since, "since", 7*24*time.Hour, "how far back")
	return cmd
}

// fetchJSON asks an HTTP address for JSON.
func fetchJSON(ctx context.Context, address string, to any) error {
	ctx, done := context.WithTimeout(ctx, 15*time.Second)
	defer done()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("it answers %s", resp.Status)
	}
	return json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(to)
}
