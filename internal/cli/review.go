package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/events"
)

func (a *app) jobReviewCommand() *cobra.Command {
	var rating int64
	var text string
	cmd := &cobra.Command{
		Use:   "review ID",
		Short: "Publish a review of a job's node: as was measured, or with a rating and words of your own",
		Long: "The review is signed by the key that bought the job: a fresh one, unless run.key is set. With run.reviews every job is\n" +
			"reviewed by itself. A newer review takes the place of an older one. Nothing of the prompt or the answer is in it.",
		Example:     "infernet job review last",
		Annotations: says("job, node, review (id), rating (1 to 5), text, author"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if rating < 0 || rating > 5 {
				return usage("--rating %d: 1 to 5, or 0 for what was measured", rating)
			}
			if len(text) > 2000 {
				return usage("--text: %d bytes, at most 2000", len(text))
			}
			id, _, err := a.findJob(args[0])
			if err != nil {
				return err
			}
			c, done, err := a.looker(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			r, err := c.Review(cmd.Context(), id, rating, text)
			if errors.Is(err, consumer.ErrNoResult) {
				return withHint(err, "infernet job show %s", cutKey(string(id)))
			}
			if err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, map[string]any{"job": r.Job, "node": r.Node, "review": r.ID, "rating": r.Rating, "text": r.Text, "author": r.Author})
				return nil
			}
			fmt.Fprintf(a.Out, "%d of 5 for node %s: %s\n", r.Rating, cutKey(string(r.Node)), r.Text)
			return nil
		},
	}
	cmd.Flags().Int64Var(&rating, "rating", 0, "1 to 5; as was measured if 0")
	cmd.Flags().StringVar(&text, "text", "", "words; what was measured if empty")
	return cmd
}

// marketReviews shows what reviews and assertions say of nodes.
func (a *app) marketReviews(ctx context.Context, c *consumer.Consumer) error {
	all, err := c.Opinions(ctx)
	if err != nil {
		return err
	}
	var nodes []events.PubKey
	for node := range all {
		nodes = append(nodes, node)
	}
	slices.SortFunc(nodes, func(x, y events.PubKey) int {
		return cmp.Or(cmp.Compare(all[y].Trust.Said, all[x].Trust.Said), cmp.Compare(all[y].All, all[x].All), cmp.Compare(x, y))
	})
	if a.json {
		for _, node := range nodes {
			x := all[node]
			a.object(a.Out, map[string]any{"node": node, "reviews": x.All, "trusted": x.Trust.Said, "rank": x.Trust.Rank})
		}
		return nil
	}
	if len(nodes) == 0 {
		fmt.Fprintln(a.Err, "there are no reviews on these relays")
	}
	return a.columns("NODE\tREVIEWS\tTRUSTED\tRANK", func(w io.Writer) {
		for _, node := range nodes {
			x, rank := all[node], "-"
			if x.Trust.Said > 0 {
				rank = fmt.Sprintf("%.0f of 100", 100*x.Trust.Rank)
			}
			fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", cutKey(string(node)), x.All, x.Trust.Said, rank)
		}
	})
}

// trust reads the keys that the settings trust.
func (a *app) trust() (keys []events.PubKey, err error) {
	for _, raw := range a.settings.list("run.trust") {
		key, err := publicKey(raw)
		if err != nil {
			return nil, a.settings.mend("run.trust", usage("run.trust (from %s): %w", a.settings.source["run.trust"], err))
		}
		keys = append(keys, key)
	}
	return keys, nil
}
