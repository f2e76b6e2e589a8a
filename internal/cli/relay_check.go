package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	conformance "infernet/relay/check"
)

func (a *app) relayCheckCommand() *cobra.Command {
	var c conformance.Config
	cmd := &cobra.Command{
		Use:   "check [URL]",
		Short: "Find out what a relay does as the NIPs ask",
		Long: "Checks any Nostr relay, one of the setting relays if no URL is given: over a hundred checks of NIP-01, 09, 11, 40, 42, 45, 50,\n" +
			"70 and 77, each pass, fail or skip (what the relay does not claim, or does not let a stranger do). It publishes a few hundred\n" +
			"small events with fresh keys, and asks the relay to delete them afterwards. It ends with 1 if a check fails.",
		Example:     "infernet relay check $INFERNET_RELAYS\ninfernet relay check --nip 45 --nip 50",
		Annotations: says("nip, check, state (pass, fail or skip), why"),
		Args:        cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.URL = strings.Join(args, "")
			if len(args) == 0 {
				c.URL = a.settings.list("relays")[0]
			}
			if c.Patience <= 0 {
				return usage("--patience %s: how long an answer is waited for is more than nothing", c.Patience)
			}
			if !strings.HasPrefix(c.URL, "ws://") && !strings.HasPrefix(c.URL, "wss://") {
				return withHint(usage("%q is no address of a relay, ws://… or wss://…", c.URL), "infernet relay check wss://%s", strings.TrimPrefix(c.URL, "https://"))
			}
			results, err := conformance.Run(cmd.Context(), c, nil)
			if err != nil {
				if cmd.Context().Err() == nil {
					err = fmt.Errorf("%w: %w", errNoRelay, err)
				}
				return err
			}
			if err := a.showChecks(results); err != nil {
				return err
			}
			ok, n := conformance.Passed(results)
			switch {
			case n[conformance.Fail] > 0:
				return fmt.Errorf("%s: %d of %d checks failed", c.URL, n[conformance.Fail], len(results))
			case !ok:
				return fmt.Errorf("%s: nothing could be found out; is it open to strangers?", c.URL)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&c.Patience, "patience", 10*time.Second, "how long an answer is waited for")
	cmd.Flags().IntVar(&c.Parallel, "parallel", 4, "checks at once, each with connections of its own")
	cmd.Flags().StringArrayVar(&c.NIPs, "nip", nil, "only the checks of this NIP; may be given again")
	cmd.Flags().BoolVar(&c.Hostile, "hostile", false, "also what has crashed relays; only for your own")
	cmd.Flags().BoolVar(&c.Keep, "keep", false, "do not ask the relay to delete what was published")
	return cmd
}

func (a *app) showChecks(results []conformance.Result) error {
	if a.json {
		for _, r := range results {
			a.object(a.Out, r)
		}
		return nil
	}
	_, n := conformance.Passed(results)
	a.tell("relay  ", "%d checks: %d pass, %d fail, %d skip", len(results), n[conformance.Pass], n[conformance.Fail], n[conformance.Skip])
	return a.columns("NIP\tSTATE\tCHECK\tWHY", func(w io.Writer) {
		for _, r := range results {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.NIP, r.State, r.Name, cell(short(r.Why, 120)))
		}
	})
}
