package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// says documents the object that a command answers with, for --json.
func says(object string) map[string]string { return map[string]string{"json": object} }

// evenBroken is for a command that works with settings that cannot be read, besides what it says with --json.
func evenBroken(object string) map[string]string {
	return map[string]string{"json": object, "broken": "yes"}
}

// docsCommand prints docs/cli.md.
func (a *app) docsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "docs", Short: "Print docs/cli.md", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fmt.Fprintf(a.Out, "# Commands\n\nWritten by `make docs`.\n")
			a.document(cmd.Root())
			a.documentSettings()
			return nil
		},
	}
}

func (a *app) document(cmd *cobra.Command) {
	if cmd.Hidden || cmd.Name() == "help" {
		return
	}
	fmt.Fprintf(a.Out, "\n## %s\n", cmd.CommandPath())
	if short := cmd.Short + "."; !strings.HasPrefix(cmd.Long, short) {
		fmt.Fprintf(a.Out, "\n%s\n", short)
	}
	if cmd.Long != "" {
		fmt.Fprintf(a.Out, "\n%s\n", cmd.Long)
	}
	if cmd.Example != "" {
		fmt.Fprintf(a.Out, "\n```\n%s\n```\n", cmd.Example)
	}
	if flags := cmd.NonInheritedFlags(); flags.HasAvailableFlags() {
		fmt.Fprintf(a.Out, "\n| flag | meaning |\n|---|---|\n")
		flags.VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && f.Name != "version" && !f.Hidden {
				takes, about := pflag.UnquoteUsage(f)
				fmt.Fprintf(a.Out, "| `%s` | %s |\n", strings.TrimSpace("--"+f.Name+" "+takes), about)
			}
		})
	}
	for _, sub := range cmd.Commands() {
		a.document(sub)
	}
}

func (a *app) documentSettings() {
	fmt.Fprintf(a.Out, "\n## Settings\n\nIn the config file by name, in the environment as `INFERNET_` and the name in capitals with `_` for a dot.\n\n| setting | default | meaning |\n|---|---|---|\n")
	for _, k := range table {
		fmt.Fprintf(a.Out, "| `%s` | %s | %s |\n", k.name, k.standard, k.about)
	}
	fmt.Fprintf(a.Out, "\nPrices of single models: `[provide.prices.\"model\"]` with `base`, `in`, `out`, `ms`.\n")
}
