package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/events"
	"infernet/fleet"
)

func (a *app) nodesModelsCommand() *cobra.Command {
	var only []string
	var all bool
	cmd := a.asksNode("models NODE", "What a node's engine runs, and which of it is sold", "infernet nodes models attic",
		"id, kinds, digest, context, slots, price (msat for 1000 units), sold", cobra.ExactArgs(1), a.there,
		func(_ context.Context, _ *cobra.Command, call func(string, any, any) error) error {
			var r fleet.Run
			if err := call(fleet.Models, fleet.ModelsAsked{Only: only, All: all}, &r); err != nil {
				return err
			}
			return a.showRun(&r)
		})
	cmd.Flags().StringSliceVar(&only, "only", nil, "sell only these")
	cmd.Flags().BoolVar(&all, "all", false, "sell all of them")
	return cmd
}

func (a *app) showRun(r *fleet.Run) error {
	if a.json {
		for _, m := range r.Models {
			a.object(a.Out, m)
		}
		return nil
	}
	return a.columns("MODEL\tSOLD\tKINDS\tSLOTS\tBASE\tIN/1000\tOUT/1000\tDIGEST", func(w io.Writer) {
		for _, m := range r.Models {
			digest := strings.TrimPrefix(m.Digest, "sha256:")
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", m.ID, map[bool]string{true: "yes", false: "no"}[m.Sold], strings.Trim(fmt.Sprint(m.Kinds), "[]"), m.Slots,
				m.Price.Base.Human(), m.Price.In.Human(), m.Price.Out.Human(), or(digest[:min(12, len(digest))], "-"))
		}
	})
}

func (a *app) nodesSettingsCommand() *cobra.Command {
	return a.asksNode("settings NODE", "What may be changed at a node while it runs, as it is in force there", "infernet nodes settings attic", "name, value, source",
		cobra.ExactArgs(1), a.there, func(_ context.Context, _ *cobra.Command, call func(string, any, any) error) error {
			var in fleet.InForce
			if err := call(fleet.Settings, nil, &in); err != nil {
				return err
			}
			if a.json {
				for _, s := range in.Settings {
					a.object(a.Out, s)
				}
				return nil
			}
			return a.columns("SETTING\tVALUE\tFROM", func(w io.Writer) {
				for _, s := range in.Settings {
					fmt.Fprintf(w, "%s\t%s\t%s\n", strings.TrimPrefix(s.Name, "provide."), or(s.Value, "-"), s.Source)
				}
			})
		})
}

func (a *app) nodesSetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "set NODE NAME VALUE",
		Short: "Change how a node deals, now or when it comes back",
		Long: "Changes one of the settings that 'infernet nodes settings NODE' lists; the forms are those of 'infernet provide set'. The\n" +
			"change lies encrypted on the relays: a node that is away takes it when it is back. What is wrong is not taken.",
		Example:     "infernet nodes set attic hours '22:00-06:00'",
		Annotations: says("node, name, value, rev, taken (false if the node is away and takes it when it is back)"),
		Args:        cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.lasting(cmd, args[0], args[1], args[2])
		},
	}
}

// takenIn is how long a node that is there may take for a change.
const takenIn = 15 * time.Second

// lasting leaves a changed setting at the relays, and waits until the node has taken or refused it, or is found to be away.
func (a *app) lasting(cmd *cobra.Command, name, setting, value string) error {
	full := "provide." + strings.TrimPrefix(setting, "provide.")
	if _, err := a.settings.changed(nil).take(map[string]string{full: value}); err != nil { // before it travels
		return err
	}
	c, node, done, err := a.there(cmd, []string{name})
	if err != nil {
		return err
	}
	defer done()
	o := c.(*fleet.Owner)
	ctx, cancel := context.WithTimeout(cmd.Context(), takenIn)
	defer cancel()
	rev, err := o.Lasting(ctx, node, map[string]string{full: value})
	if err != nil {
		return err
	}
	taken, err := a.taken(ctx, o, node, rev)
	if err != nil {
		return err
	}
	if a.json {
		a.object(a.Out, map[string]any{"node": node, "name": full, "value": value, "rev": rev, "taken": taken})
		return nil
	}
	if !taken {
		fmt.Fprintf(a.Out, "%s does not answer: it takes %s when it is back\n", name, full)
		return nil
	}
	fmt.Fprintf(a.Out, "%s is %s at %s\n", full, or(value, "the default"), name)
	return nil
}

// taken waits until a node has taken a rev.
func (a *app) taken(ctx context.Context, o *fleet.Owner, node events.PubKey, rev int64) (bool, error) {
	for {
		asking, cancel := context.WithTimeout(ctx, takenIn/3)
		var r fleet.Report
		err := o.Call(asking, node, fleet.Status, nil, &r)
		cancel()
		switch {
		case errors.Is(err, fleet.ErrSilent):
			return false, nil
		case err != nil:
			return false, err
		case r.Rev >= rev:
			return true, nil
		case r.Refused != "":
			return false, fmt.Errorf("the node refuses it: %s", r.Refused)
		}
		select {
		case <-ctx.Done():
			return false, nil
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (a *app) nodesPauseCommand(use, short, value string) *cobra.Command {
	return &cobra.Command{
		Use: use + " NODE", Short: short, Example: "infernet nodes " + use + " attic", Annotations: says("node, paused, taken (false if it takes it when it is back)"), Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, node, done, err := a.there(cmd, args)
			if err != nil {
				return err
			}
			defer done()
			ctx, cancel := context.WithTimeout(cmd.Context(), takenIn/2)
			err = c.Call(ctx, node, use, nil, nil)
			cancel()
			taken := err == nil
			if errors.Is(err, fleet.ErrSilent) {
				_, err = c.(*fleet.Owner).Lasting(cmd.Context(), node, map[string]string{"provide.paused": value})
			}
			if err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, map[string]any{"node": node, "paused": value == "true", "taken": taken})
				return nil
			}
			state := map[string]string{"true": "takes no new jobs", "false": "takes jobs"}[value]
			if !taken {
				state = "does not answer: it hears it when it is back"
			}
			fmt.Fprintf(a.Out, "%s %s\n", args[0], state)
			return nil
		},
	}
}

func (a *app) alertsOf(use, example string, args cobra.PositionalArgs, who asker) *cobra.Command {
	var limit int
	cmd := a.asksNode(use, "What happened at a node that its owner should know, newest first", example, "notices (as of 'infernet notices'), open (incidents that are not over)", args, who,
		func(_ context.Context, _ *cobra.Command, call func(string, any, any) error) error {
			var t fleet.Told
			if err := call(fleet.Alerts, fleet.AlertsAsked{Limit: limit}, &t); err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, t)
				return nil
			}
			return a.columns("AT\tLEVEL\tNOTICE", func(w io.Writer) {
				for _, n := range t.Notices {
					level := string(n.Level)
					if n.Over {
						level = "over"
					}
					fmt.Fprintf(w, "%s\t%s\t%s\n", n.At.Time().Local().Format(time.DateTime), level, n.Title)
				}
			})
		})
	cmd.Flags().IntVar(&limit, "limit", 20, "how many, at most 50")
	return cmd
}
