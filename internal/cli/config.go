package cli

import (
	"fmt"
	"regexp"
	"sort"
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:         "config",
		Short:       "All settings in force, as the config file would say them, and where each comes from",
		Long:        "Prints every setting as TOML, with its source as a comment. What is secret in an address is hidden.",
		Example:     "infernet config",
		Annotations: says("name, value, source"),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				for _, k := range table {
					a.object(a.Out, map[string]string{"name": k.name, "value": hide(a.settings.values[k.name]), "source": a.settings.source[k.name]})
				}
				return nil
			}
			fmt.Fprintf(a.Out, "# %s\n", a.settings.file)
			section := ""
			for _, k := range table {
				name := k.name
				if i := strings.LastIndex(name, "."); i >= 0 {
					if s := name[:i]; s != section {
						section = s
						fmt.Fprintf(a.Out, "\n[%s]\n", section)
					}
					name = name[i+1:]
				}
				fmt.Fprintf(a.Out, "%s = %s # %s\n", name, tomlValue(k, a.settings), a.settings.source[k.name])
			}
			var models []string
			for model := range a.settings.prices {
				models = append(models, model)
			}
			sort.Strings(models)
			for _, model := range models {
				p := a.settings.prices[model]
				fmt.Fprintf(a.Out, "\n[provide.prices.%q]\nbase = %s\nin = %s\nout = %s\nms = %s\n", model, p.Base, p.In, p.Out, p.Ms)
			}
			return nil
		},
	}
	cmd.AddCommand(&cobra.Command{
		Use:         "path",
		Short:       "Where the config file is, or would be",
		Example:     "infernet config path",
		Annotations: evenBroken("file"),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				a.object(a.Out, map[string]string{"file": a.settings.file})
				return nil
			}
			fmt.Fprintln(a.Out, a.settings.file)
			return nil
		},
	})
	return cmd
}

func tomlValue(k setting, s *settings) string {
	switch k.kind {
	case "number", "yesno":
		return s.text(k.name)
	case "list":
		items := s.list(k.name)
		for i, item := range items {
			items[i] = fmt.Sprintf("%q", hide(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprintf("%q", hide(s.text(k.name)))
}

// secretIn finds what is secret in an address: some options' values, and a password, or a name that stands alone.
var (
	secretIn   = regexp.MustCompile(`((?:secret|token|api_key|password)=)[^&,\s]+`)
	passwordIn = regexp.MustCompile(`(://(?:[^/@:,\s]*:)?)[^/@,\s]+@`)
)

// hide hides what is secret in an address.
func hide(s string) string {
	return passwordIn.ReplaceAllString(secretIn.ReplaceAllString(s, "${1}hidden"), "${1}hidden@")
}
