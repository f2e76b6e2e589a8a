package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
)

// completeIn is how long the relays may take while somebody holds the tab key.
const completeIn = time.Second

func (a *app) completionCommand() *cobra.Command {
	shells := map[string]func(root *cobra.Command, to io.Writer) error{
		"bash": func(root *cobra.Command, to io.Writer) error { return root.GenBashCompletionV2(to, true) },
		"zsh":  (*cobra.Command).GenZshCompletion,
		"fish": func(root *cobra.Command, to io.Writer) error { return root.GenFishCompletion(to, true) },
	}
	names := slices.Sorted(maps.Keys(shells))
	return &cobra.Command{
		Use:   "completion bash|fish|zsh",
		Short: "Let the shell complete commands, flags, jobs, models and nodes",
		Long: "Prints a script for the shell. Jobs are completed from the ledger here; models and nodes from the relays, if they answer\n" +
			"within a second.\n\n" +
			"bash: source <(infernet completion bash), in ~/.bashrc, once bash-completion is installed\n" +
			"zsh:  source <(infernet completion zsh), in ~/.zshrc, after compinit\n" +
			"fish: infernet completion fish > ~/.config/fish/completions/infernet.fish",
		Example:   "infernet completion bash",
		ValidArgs: names,
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		RunE:      func(cmd *cobra.Command, args []string) error { return shells[args[0]](cmd.Root(), a.Out) },
	}
}

// suggestions are what could stand where the cursor is: words, each perhaps with a tab and what it means.
type suggestions = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// complete says how arguments and flags are completed, in every command below cmd.
func (a *app) complete(cmd *cobra.Command, flags *globalFlags) {
	list := func(find func(ctx context.Context) ([]string, error)) suggestions {
		return func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			ctx, cancel := context.WithTimeout(context.Background(), completeIn)
			defer cancel()
			if err := a.prepare(cmd, flags); err != nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			a.log = slog.New(slog.DiscardHandler)
			found, err := find(ctx)
			if err != nil {
				cobra.CompDebugln(err.Error(), false)
			}
			return found, cobra.ShellCompDirectiveNoFileComp
		}
	}
	words := func(words ...string) suggestions {
		return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return words, cobra.ShellCompDirectiveNoFileComp
		}
	}
	var kinds []string
	for _, n := range events.Sold() {
		kinds = append(kinds, strconv.Itoa(n)+"\t"+events.Kinds[n].Name)
	}
	byFlag := map[string]suggestions{
		"model": list(a.knownModels), "node": list(a.knownNodes), "kind": words(kinds...),
		"way":       words(consumer.Auction, consumer.Direct, consumer.Plain),
		"pay":       words(events.PayPrepaid, events.PayHold, events.PaySealed, events.PayFree),
		"log-level": words("debug", "info", "warn", "error"),
	}
	jobs := list(a.knownJobs)
	for _, sub := range cmd.Commands() {
		a.complete(sub, flags)
	}
	for name, find := range byFlag {
		if f := cmd.Flags().Lookup(name); f != nil {
			cmd.RegisterFlagCompletionFunc(name, find)
		}
	}
	if cmd.ValidArgsFunction != nil || len(cmd.ValidArgs) > 0 {
		return
	}
	switch _, arguments, _ := strings.Cut(cmd.Use, " "); arguments {
	case "ID":
		cmd.ValidArgsFunction = first(jobs)
	case "FILE|ID":
		cmd.ValidArgsFunction = first(func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
			found, _ := jobs(cmd, args, begun)
			return found, cobra.ShellCompDirectiveDefault // and files
		})
	case "":
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
}

// first completes the first argument only.
func first(find suggestions) suggestions {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return find(cmd, args, begun)
	}
}

// knownJobs are the newest jobs of the ledger, which is not made for that.
func (a *app) knownJobs(context.Context) ([]string, error) {
	if _, err := os.Stat(a.settings.path("customer.db")); err != nil {
		return nil, nil
	}
	l, err := a.openLedger()
	if err != nil {
		return nil, err
	}
	defer l.Close()
	rows, err := l.Jobs(ledger.Customer, 50)
	if len(rows) == 0 {
		return nil, err
	}
	found := []string{"last\tthe newest"}
	for _, r := range rows {
		found = append(found, fmt.Sprintf("%s\t%s %s", r.Job, r.At.Local().Format(time.DateTime), or(r.End, "open")))
	}
	return found, nil
}

// knownModels are the models that living nodes run.
func (a *app) knownModels(ctx context.Context) ([]string, error) {
	return a.livingNodes(ctx, func(n consumer.Node) (found []string) {
		for _, m := range n.Profile.Market.Models {
			found = append(found, m.ID)
		}
		return found
	})
}

// knownNodes are the keys of living nodes.
func (a *app) knownNodes(ctx context.Context) ([]string, error) {
	return a.livingNodes(ctx, func(n consumer.Node) []string { return []string{string(n.Author) + "\t" + n.Profile.Name} })
}

func (a *app) livingNodes(ctx context.Context, say func(consumer.Node) []string) ([]string, error) {
	p, err := a.connect(ctx, nil)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	c, err := consumer.New(consumer.Config{Pool: p, Ledger: &ledger.Ledger{}}) // it only looks
	if err != nil {
		return nil, err
	}
	nodes, err := c.Nodes(ctx)
	var found []string
	for _, n := range nodes {
		if n.Alive(time.Now()) {
			found = append(found, say(n)...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found), err
}
