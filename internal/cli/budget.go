package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/consumer/gateway"
	"infernet/events"
)

func (a *app) budgetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "budget",
		Short: "What apps may spend over the gateway, and have spent",
		Long: "The gateway takes what a job can cost at most off its caller's budget before it orders, and gives back what it did not cost.\n" +
			"Days are UTC. KEY is the id of an app key, 'all' for all callers together, 'none' for those without a key. What is set counts at\n" +
			"once.",
	}
	cmd.AddCommand(a.budgetListCommand(), a.budgetSetCommand())
	return cmd
}

// callers are the names of those that are no app key.
var callers = map[string]string{"all": gateway.Everybody, "none": ""}

func callerName(who string) string {
	for name, caller := range callers {
		if caller == who {
			return name
		}
	}
	return who
}

func (a *app) openBudget() (*gateway.Budget, error) {
	if err := a.settings.makeDataDir(); err != nil {
		return nil, err
	}
	return gateway.OpenBudget(a.settings.path("gateway.db"))
}

func (a *app) budgetListCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "list",
		Short:       "Budgets, and what was spent today and ever",
		Example:     "infernet budget list",
		Annotations: says("key, day_msat, total_msat (null without a limit), models, spent_day_msat, spent_total_msat"),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b, err := a.openBudget()
			if err != nil {
				return err
			}
			defer b.Close()
			whose, err := b.Callers()
			if err != nil {
				return err
			}
			type row struct {
				who string
				gateway.Limit
				gateway.Spent
			}
			var rows []row
			for _, who := range whose {
				r := row{who: who}
				if r.Limit, err = b.Limit(who); err == nil {
					r.Spent, err = b.Spent(who, time.Now())
				}
				if err != nil {
					return err
				}
				if who == gateway.Everybody && r.Limit.Day == nil && a.settings.number("gateway.max_day") > 0 {
					day := events.Msat(a.settings.number("gateway.max_day")) * events.Sat
					r.Limit.Day = &day
				}
				rows = append(rows, r)
			}
			if a.json {
				for _, r := range rows {
					a.object(a.Out, map[string]any{
						"key": callerName(r.who), "day_msat": r.Limit.Day, "total_msat": r.Limit.Total, "models": append([]string{}, r.Models...),
						"spent_day_msat": r.Spent.Day, "spent_total_msat": r.Spent.Total,
					})
				}
				return nil
			}
			return a.columns("KEY\tTODAY\tOF\tEVER\tOF\tMODELS", func(w io.Writer) {
				for _, r := range rows {
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", callerName(r.who), r.Spent.Day.Human(), bound(r.Limit.Day), r.Spent.Total.Human(), bound(r.Limit.Total), or(strings.Join(r.Models, ","), "all"))
				}
			})
		},
	}
}

func bound(m *events.Msat) string {
	if m == nil {
		return "-"
	}
	return m.Human()
}

func (a *app) budgetSetCommand() *cobra.Command {
	var day, total int64
	var models []string
	cmd := &cobra.Command{
		Use:         "set KEY",
		Short:       "Bound what an app may spend, and on which models; what no flag names is not bounded",
		Example:     "infernet budget set all --day 500\ninfernet budget set none --day 100 --model echo",
		Annotations: says("key, day_msat, total_msat (null without a limit), models"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			who, ok := callers[args[0]]
			if !ok {
				who = strings.ToLower(args[0])
				if len(who) != 12 || strings.Trim(who, "0123456789abcdef") != "" {
					return usage("%q is no id of an app key, which has 12 characters, nor all or none", args[0])
				}
			}
			var l gateway.Limit
			for flag, x := range map[string]struct {
				sat int64
				to  **events.Msat
			}{"day": {day, &l.Day}, "total": {total, &l.Total}} {
				if !cmd.Flags().Changed(flag) {
					continue
				}
				if x.sat < 0 || x.sat > int64(events.MaxMsat/events.Sat) {
					return usage("--%s: %d satoshi", flag, x.sat)
				}
				amount := events.Msat(x.sat) * events.Sat
				*x.to = &amount
			}
			for _, m := range models {
				l.Models = append(l.Models, strings.ToLower(m))
			}
			b, err := a.openBudget()
			if err != nil {
				return err
			}
			defer b.Close()
			if err := b.Set(who, l); err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, map[string]any{"key": callerName(who), "day_msat": l.Day, "total_msat": l.Total, "models": append([]string{}, l.Models...)})
				return nil
			}
			fmt.Fprintf(a.Out, "%s: %s a day, %s in all, models %s\n", callerName(who), bound(l.Day), bound(l.Total), or(strings.Join(l.Models, ","), "all"))
			return nil
		},
	}
	cmd.Flags().Int64Var(&day, "day", 0, "most satoshi a day")
	cmd.Flags().Int64Var(&total, "total", 0, "most satoshi ever")
	cmd.Flags().StringSliceVar(&models, "model", nil, "only this model, may be repeated")
	return cmd
}
