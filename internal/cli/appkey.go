package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/consumer/gateway"
	"infernet/internal/httpd"
)

// scopes are what app keys can be for.
var scopes = []string{historyScope, steerScope, gateway.Scope, gateway.Admin}

// appKeys are this data folder's app keys. The daemons see what a command changes at once.
func (a *app) appKeys() (*httpd.Keys, error) { return httpd.OpenKeys(a.settings.path("appkeys.json")) }

func (a *app) appkeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "appkey",
		Short: "Keys for apps that ask this machine's daemons over HTTP",
		Long: "An app shows its key as 'Authorization: Bearer …' to the door of a node or of 'infernet up'. A key is shown once, when it is\n" +
			"made; kept is its hash, in appkeys.json in the data folder. What is made or removed counts at once, also for daemons that\n" +
			"run.",
	}
	cmd.AddCommand(a.appkeyNewCommand(), a.appkeyListCommand(), a.appkeyRmCommand())
	return cmd
}

func (a *app) appkeyNewCommand() *cobra.Command {
	var only []string
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Make a key for an app, and print it, this once",
		Long: "NAME is for people: which app the key is for. Without --scope the key is for everything, also for what later versions add,\n" +
			"but not for admin: issuing keys and changing budgets over HTTP has to be named.",
		Example:     "infernet appkey new dashboard --scope history",
		Annotations: says("id, key, name, scopes, expires (unix seconds, 0 for never)"),
		Args:        cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			for _, scope := range only {
				if !slices.Contains(scopes, scope) {
					return usage("--scope %s: there are %s", scope, strings.Join(scopes, ", "))
				}
			}
			name := strings.TrimSpace(args[0])
			if name == "" || len(name) > 100 || cell(name) != name {
				return usage("%q is no name of 1 to 100 characters", args[0])
			}
			if life < 0 {
				return usage("--expires %s: want a time from now", life)
			}
			if err := a.settings.makeDataDir(); err != nil {
				return err
			}
			all, err := a.appKeys()
			if err != nil {
				return err
			}
			now, wish := time.Now(), httpd.AppKey{Name: name, Scopes: only}
			if life > 0 {
				wish.Expires = now.Add(life).UTC().Truncate(time.Second)
			}
			secret, key, err := all.Issue(wish, now)
			if err != nil {
				return err
			}
			if a.json {
				fields := keyFields(key)
				delete(fields, "issued")
				fields["key"] = secret
				a.object(a.Out, fields)
				return nil
			}
			fmt.Fprintln(a.Out, secret)
			fmt.Fprintf(a.Err, "key %s for %s; it is not shown again\n", key.ID, key.Name)
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&only, "scope", nil, "what it is for, may be repeated: "+strings.Join(scopes, ", "))
	cmd.Flags().DurationVar(&life, "expires", 0, "how long it is good; for ever if 0")
	return cmd
}

// keyFields is a key as --json says it.
func keyFields(key httpd.AppKey) map[string]any {
	fields := map[string]any{"id": key.ID, "name": key.Name, "scopes": append([]string{}, key.Scopes...), "issued": key.Issued.Unix(), "expires": 0}
	if !key.Expires.IsZero() {
		fields["expires"] = key.Expires.Unix()
	}
	return fields
}

func (a *app) appkeyListCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "list",
		Short:       "The keys there are, without what makes them keys",
		Example:     "infernet appkey list",
		Annotations: says("id, name, scopes, issued (unix seconds), expires (unix seconds, 0 for never)"),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			keys, err := a.appKeys()
			if err != nil {
				return err
			}
			all, err := keys.List()
			if err != nil {
				return err
			}
			if a.json {
				for _, key := range all {
					a.object(a.Out, keyFields(key))
				}
				return nil
			}
			return a.columns("ID\tNAME\tFOR\tISSUED\tUNTIL", func(w io.Writer) {
				for _, key := range all {
					until := "-"
					if !key.Expires.IsZero() {
						until = minute(key.Expires)
					}
					fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", key.ID, key.Name, or(strings.Join(key.Scopes, ","), "everything"), minute(key.Issued), until)
				}
			})
		},
	}
}

// minute is a moment as tables show it.
func minute(at time.Time) string { return at.UTC().Format("2006-01-02 15:04") }

func (a *app) appkeyRmCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "rm ID",
		Short:       "End a key; daemons that run take it no more",
		Example:     "infernet appkey rm $ID",
		Annotations: says("id"),
		Args:        cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			keys, err := a.appKeys()
			if err != nil {
				return err
			}
			if err := keys.Revoke(args[0]); errors.Is(err, httpd.ErrNoKey) {
				return withHint(err, "infernet appkey list")
			} else if err != nil {
				return err
			}
			if a.json {
				a.object(a.Out, map[string]any{"id": args[0]})
				return nil
			}
			fmt.Fprintf(a.Out, "%s ended\n", args[0])
			return nil
		},
	}
}
