package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"infernet/internal/ledger"
	"infernet/internal/store"
)

// provideSettingsCommand shows and changes what a node's owner may change while it runs.
func (a *app) provideSettingsCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "settings",
		Short:       "What may be changed while the node runs, as it is in force",
		Long:        "Lists the settings that 'infernet provide set' changes, and where each comes from.",
		Example:     "infernet provide settings",
		Annotations: says("name, value, source"),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.withLedger(func(l *ledger.Ledger) error {
				s, _, err := a.inForce(l)
				if err != nil {
					return err
				}
				if a.json {
					for _, name := range live {
						a.object(a.Out, map[string]string{"name": name, "value": s.text(name), "source": s.source[name]})
					}
					return nil
				}
				return a.columns("SETTING\tVALUE\tFROM", func(w io.Writer) {
					for _, name := range live {
						fmt.Fprintf(w, "%s\t%s\t%s\n", strings.TrimPrefix(name, "provide."), or(s.text(name), "-"), s.source[name])
					}
				})
			})
		},
	}
}

func (a *app) provideSetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "set NAME VALUE",
		Short: "Change how the node deals, also while it runs",
		Long: "Changes one of the settings that 'infernet provide settings' lists. It holds from the next second on, over restarts too, and\n" +
			"comes before the config file. What the node has promised stays as it was. An empty VALUE is the default.\n\n" +
			"Hours are windows with semicolons between them: 22:00-06:00, mon-fri 09:00-17:00, or a cron expression and a\n" +
			"duration, 0 22 * * mon-fri 8h; of price.hours each with a percentage.",
		Example:     "infernet provide set hours 'mon-fri 18:00-08:00; sat,sun 00:00-24:00'\ninfernet provide set price.hours '22:00-06:00 50'",
		Annotations: says("name, value"),
		Args:        cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.change(args[0], args[1])
		},
	}
}

// change writes a changed setting down, if the policy that it makes is one.
func (a *app) change(name, value string) error {
	full := "provide." + strings.TrimPrefix(name, "provide.")
	if !slices.Contains(live, full) {
		var short []string
		for _, k := range live {
			short = append(short, strings.TrimPrefix(k, "provide."))
		}
		return withHint(usage("%q cannot be changed while a node runs%s", name, meant(strings.TrimPrefix(name, "provide."), short)), "infernet provide settings")
	}
	if value == "" {
		value = settingOf(full).standard
	}
	return a.withLedger(func(l *ledger.Ledger) error {
		s, _, err := a.inForce(l)
		if err != nil {
			return err
		}
		s.put(full, value, "the command")
		if err := s.checkOne(settingOf(full)); err != nil {
			return err
		}
		if _, err := s.policy(); err != nil {
			return err
		}
		if err := l.Record(store.Topic, full, []byte(value)); err != nil {
			return err
		}
		if a.json {
			a.object(a.Out, map[string]string{"name": full, "value": value})
			return nil
		}
		fmt.Fprintf(a.Out, "%s is %s\n", full, or(value, "empty"))
		return nil
	})
}

// withLedger opens the node's ledger for a moment.
func (a *app) withLedger(call func(*ledger.Ledger) error) error {
	if err := a.settings.makeDataDir(); err != nil {
		return err
	}
	l, err := ledger.Open(a.settings.path("node.db"))
	if err != nil {
		return err
	}
	defer l.Close()
	return call(l)
}

// providePauseCommand is pause, and resume.
func (a *app) providePauseCommand(use, short, value string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Example: "infernet provide " + use, Annotations: says("name, value"), Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.change("paused", value) },
	}
}
