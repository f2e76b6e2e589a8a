package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/relay/sync"
)

func (a *app) relaySyncCommand() *cobra.Command {
	var down, up, both, dry bool
	var filter, key string
	var c sync.Config
	cmd := &cobra.Command{
		Use:   "sync URL",
		Short: "Bring two relays to the same events",
		Long: "Holds your relay, the first of the setting relays, against another one, and carries over what is missing (NIP-77). What both\n" +
			"have is not sent. A sync that was cut goes on where it was: run it again.\n\n" +
			"Events that a relay does not take, such as expired ones, are counted by its reason.",
		Example:     "infernet relay sync $OTHER\n" + `infernet relay sync $OTHER --down --filter '{"kinds":[31990]}'`,
		Annotations: says("ours, theirs, down, up (events carried over), missing (that differ still), gone (not given out any more), refused (by reason)"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.Ours, c.Theirs = a.settings.list("relays")[0], args[0]
			if !strings.HasPrefix(c.Theirs, "ws://") && !strings.HasPrefix(c.Theirs, "wss://") {
				return withHint(usage("%q is no address of a relay, ws://… or wss://…", c.Theirs), "infernet relay sync wss://%s", strings.TrimPrefix(c.Theirs, "https://"))
			}
			if c.Ours == c.Theirs {
				return withHint(usage("%s is your own relay, the first of the setting relays", c.Ours), "infernet config")
			}
			decoder := json.NewDecoder(strings.NewReader(filter))
			if err := decoder.Decode(&c.Filter); err != nil {
				return withHint(usage("--filter is no filter of NIP-01: %w", err), `infernet relay sync %s --filter '{"kinds":[31990]}'`, quoted(c.Theirs))
			}
			if c.Filter.Search != "" {
				return usage("--filter: a search is not compared")
			}
			c.Down, c.Up = down || both || !up, up || both || !down
			if dry {
				c.Down, c.Up = false, false
			}
			if key != "" {
				signer, done, err := a.signer(cmd.Context(), key)
				if err != nil {
					return err
				}
				defer done()
				c.Signer = signer
			}
			told := time.Now()
			c.Tell = func(p sync.Progress) {
				if time.Since(told) > 5*time.Second {
					told = time.Now()
					a.tell("sync   ", "%d down, %d up so far", p.Down, p.Up)
				}
			}
			p, err := sync.Run(cmd.Context(), c)
			a.showSync(c, p)
			switch {
			case err == nil, cmd.Context().Err() != nil:
				return err
			case errors.Is(err, sync.ErrNoSync):
				return err
			case p.Down+p.Up > 0:
				return withHint(err, "%s", remark(line(a.args), "goes on where this ended"))
			}
			return fmt.Errorf("%w: %w", errNoRelay, err)
		},
	}
	cmd.Flags().BoolVar(&down, "down", false, "only from the other relay to yours")
	cmd.Flags().BoolVar(&up, "up", false, "only from yours to the other relay")
	cmd.Flags().BoolVar(&both, "both", false, "both ways, as without --down and --up")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "carry nothing over; say how many differ")
	cmd.Flags().StringVar(&filter, "filter", "{}", "which events, a filter of NIP-01")
	cmd.Flags().StringVar(&key, "key", "", "file of the key that is shown to a relay which asks who one is")
	cmd.Flags().DurationVar(&c.Patience, "patience", 30*time.Second, "how long an answer is waited for")
	return cmd
}

func (a *app) showSync(c sync.Config, p sync.Progress) {
	if a.json {
		a.object(a.Out, struct {
			Ours   string `json:"ours"`
			Theirs string `json:"theirs"`
			sync.Progress
		}{c.Ours, c.Theirs, p})
		return
	}
	fmt.Fprintf(a.Out, "%d down, %d up, %d differ still\n", p.Down, p.Up, p.Missing)
	if p.Gone > 0 {
		fmt.Fprintf(a.Out, "%d are not given out any more\n", p.Gone)
	}
	var reasons []string
	for reason := range p.Refused {
		reasons = append(reasons, reason)
	}
	slices.SortFunc(reasons, func(x, y string) int { return cmp.Or(p.Refused[y]-p.Refused[x], strings.Compare(x, y)) })
	for _, reason := range reasons {
		fmt.Fprintf(a.Out, "%d refused: %s\n", p.Refused[reason], cell(reason))
	}
}
