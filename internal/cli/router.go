package cli

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip19"
	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/consumer/choose"
	"infernet/events"
)

// routerFlags say which nodes may be taken for a job, and which are better.
type routerFlags struct {
	sort, digest, gpu   string
	order, only, ignore []string
	fallback            []string
	maxIn, maxOut       int64
	context, vram       int
	explain             bool
}

func (r *routerFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&r.sort, "sort", choose.Best, "which node is better: "+strings.Join(choose.Sorts, ", ")+"; speed is what was measured here")
	f.StringSliceVar(&r.order, "order", nil, "nodes to take first, in this order: keys or their beginnings")
	f.StringSliceVar(&r.only, "only", nil, "nodes to take, and no others")
	f.StringSliceVar(&r.ignore, "ignore", nil, "nodes not to take")
	f.Int64Var(&r.maxIn, "max-price-in", 0, "most that a node may announce for 1000 units in, in msat")
	f.Int64Var(&r.maxOut, "max-price-out", 0, "most that a node may announce for 1000 units out, in msat")
	f.StringSliceVar(&r.fallback, "fallback", nil, "model that does as well if nobody delivers --model; may be repeated, the better first")
	f.StringVar(&r.digest, "digest", "", "hash of the model's file, or its beginning, as the node announces it")
	f.IntVar(&r.context, "context", 0, "least that the model must hold, in tokens, as the node announces it")
	f.StringVar(&r.gpu, "gpu", "", "word in the name of a card that the node must have")
	f.IntVar(&r.vram, "vram", 0, "memory that one of its cards must have, in MB")
	f.BoolVar(&r.explain, "explain", false, "say of each node why it won or lost, on stderr")
}

// apply puts the flags into an order.
func (r *routerFlags) apply(cmd *cobra.Command, o *consumer.Order) error {
	keys := func(flag string, list []string) (all []events.PubKey, err error) {
		for _, raw := range list {
			key, err := nodeKey(raw)
			if err != nil {
				return nil, withHint(usage("--%s %s: neither a key in hex or npub, nor the first 8 or more characters of one", flag, raw), "infernet market nodes")
			}
			all = append(all, key)
		}
		return all, nil
	}
	c := choose.Controls{Sort: r.sort, Context: r.context, Digest: strings.ToLower(r.digest)}
	if c.Sort == choose.Best {
		c.Sort = ""
	}
	var err error
	for flag, x := range map[string]struct {
		list []string
		to   *[]events.PubKey
	}{"order": {r.order, &c.Order}, "only": {r.only, &c.Only}, "ignore": {r.ignore, &c.Ignore}} {
		if *x.to, err = keys(flag, x.list); err != nil {
			return err
		}
	}
	for flag, x := range map[string]struct {
		msat int64
		to   func(*events.Msat)
	}{
		"max-price-in":  {r.maxIn, func(m *events.Msat) { maxPrice(&c).In = m }},
		"max-price-out": {r.maxOut, func(m *events.Msat) { maxPrice(&c).Out = m }},
	} {
		if !cmd.Flags().Changed(flag) {
			continue
		}
		if x.msat < 0 || x.msat > int64(events.MaxMsat) {
			return usage("--%s %d is out of bounds", flag, x.msat)
		}
		most := events.Msat(x.msat)
		x.to(&most)
	}
	if err := c.Check(); err != nil {
		return usage("%w", err)
	}
	if o.Controls, o.Explain = c, r.explain; o.Way == consumer.Plain && cmd.Flags().Changed("sort") {
		return usage("--sort: a plain job is taken by whoever answers")
	}
	for _, model := range r.fallback {
		o.Fallback = append(o.Fallback, strings.ToLower(model))
	}
	if len(o.Fallback) > 0 && (&events.Request{Params: o.Params}).Model() == "" {
		return withHint(usage("--fallback: there is no --model that it could stand in for"), "infernet run --model %s %s", o.Fallback[0], quoted(tryPrompt))
	}
	if r.gpu != "" {
		o.Require = append(o.Require, events.Require{Name: "gpu", Value: r.gpu})
	}
	if r.vram < 0 {
		return usage("--vram %d is below 0", r.vram)
	}
	if r.vram > 0 {
		o.Require = append(o.Require, events.Require{Name: "vram_mb", Value: strconv.Itoa(r.vram)})
	}
	return nil
}

func maxPrice(c *choose.Controls) *choose.MaxPrice {
	if c.MaxPrice == nil {
		c.MaxPrice = &choose.MaxPrice{}
	}
	return c.MaxPrice
}

// explainNodes shows of each node that could do a job why it won or lost: the first of those that are not out won.
func (w *shower) explainNodes(all []choose.Verdict) {
	if w.json {
		w.object(w.Out, map[string]any{"candidates": verdicts(all)})
		return
	}
	rows := tabwriter.NewWriter(marking{w.Err}, 0, 4, 2, ' ', 0)
	fmt.Fprintln(rows, "PLACE\tNODE\tNAME\tABOUT\tSCORE\tWHY")
	place := 0
	for _, v := range all {
		at, score := "-", "-"
		if !v.Out {
			place++
			at, score = strconv.Itoa(place), fmt.Sprintf("%.2f", v.Score)
		}
		fmt.Fprintf(rows, "%s\t%s\t%s\t%s\t%s\t%s\n", at, cutKey(string(v.Node)), cell(or(v.Name, "-")), v.About.Human(), score, cell(v.Why))
	}
	rows.Flush()
}

// verdicts are candidates as --json has them.
func verdicts(all []choose.Verdict) []map[string]any {
	out := []map[string]any{}
	for _, v := range all {
		row := map[string]any{
			"node": v.Node, "name": v.Name, "model": v.Model, "taken": !v.Out && len(out) == 0, "out": v.Out, "score": v.Score, "why": v.Why,
			"about_msat": v.About, "most_msat": v.Most, "jobs": v.Jobs, "failed": v.Failed, "lied": v.Lied,
		}
		if v.First > 0 {
			row["first_ms"] = v.First.Milliseconds()
		}
		if v.Rate > 0 {
			row["tokens_per_s"] = v.Rate
		}
		out = append(out, row)
	}
	return out
}

// nodeKey reads what somebody calls a node: its key in hex, its npub, or the first 8 or more characters of the key.
func nodeKey(raw string) (events.PubKey, error) {
	if strings.HasPrefix(raw, "npub1") {
		if _, key, err := nip19.Decode(raw); err == nil {
			return events.PubKey(key.(string)), nil
		}
	}
	key := strings.ToLower(strings.TrimSpace(raw))
	if !nostr.IsValidPublicKey(key) && !keyStart.MatchString(key) {
		return "", fmt.Errorf("%q is no key of a node", raw)
	}
	return events.PubKey(key), nil
}
