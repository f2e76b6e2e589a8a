// Package cli is the command line: one file for each command, the settings, output, exit codes, and the lists of engines
// and wallets that are in the program (parts.go).
//
// stdout is the answer, stderr the conversation; with --json each answer is one object a line. Begin with Main.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os/signal"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/events"
)

// IO is what a command reads, writes and asks the environment.
type IO struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer
	Env func(name string) string

	Environ func() []string // all that Env knows, as NAME=value; not asked for mistyped names if unset
	Self    string          // how the program is called in what people are told to type; infernet if unset
}

// app is one invocation.
type app struct {
	IO
	args     []string
	settings *settings
	broken   error // what is wrong with the settings, for a command that works all the same
	json     bool
	log      *slog.Logger
	node     atomic.Pointer[events.PubKey] // the node that runs in this process, once its key is known
	talk     atomic.Pointer[waiting]       // what a job's conversation goes through, once there is one
	level    slog.LevelVar                 // of the log
	again    func() (*settings, error)     // reads the settings anew
}

// Main runs one command and returns its exit code.
func Main(ctx context.Context, to IO, args []string) int {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	out := &answer{to: to.Out}
	to.Out = out
	a := &app{IO: to, args: args}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(to.In)
	root.SetOut(to.Out)
	root.SetErr(to.Err)
	err := root.ExecuteContext(ctx)
	if err == nil && out.err != nil {
		err = fmt.Errorf("the answer could not be written: %w", out.err)
		if buys(args) {
			err = withHint(err, "infernet job watch last")
		}
	}
	if err == nil {
		return 0
	}
	var left *consumer.LeftError
	if ctx.Err() != nil && errors.Is(err, context.Canceled) && !errors.As(err, &left) {
		err = errInterrupted
	}
	code, message, hint := explain(err, args)
	hint = a.callable(hint)
	if a.json || slices.Contains(args, "--json") { // a wrong flag ends the reading of flags
		a.object(a.Err, map[string]any{"error": message, "hint": hint, "code": code})
		return code
	}
	fmt.Fprintf(to.Err, "infernet: %s\n", message)
	if hint != "" {
		fmt.Fprintf(to.Err, "hint: %s\n", hint)
	}
	return code
}

// answer is stdout, and remembers that it failed: an answer that was paid for is not to be lost in silence.
type answer struct {
	to  io.Writer
	err error
}

// Write tries no more once it failed.
func (w *answer) Write(p []byte) (n int, err error) {
	if w.err != nil {
		return 0, w.err
	}
	n, w.err = w.to.Write(p)
	return n, w.err
}

// buys says whether a command's answer is a job's.
func buys(args []string) bool {
	path := strings.TrimSuffix(helpOf(args), " --help")
	return slices.Contains([]string{"infernet run", "infernet job submit", "infernet job watch"}, path)
}

// callable is a hint that begins as this program was called, where a shell would not find it otherwise.
func (a *app) callable(hint string) string {
	if m := ours.FindStringSubmatch(hint); m != nil && a.Self != "" {
		return m[1] + quoted(a.Self) + " " + hint[len(m[0]):]
	}
	return hint
}

// ours is how a hint begins that is a command of this program, perhaps with variables before it.
var ours = regexp.MustCompile(`^((?:[A-Z_]+=\S+ )*)infernet `)

func (a *app) root() *cobra.Command {
	var flags globalFlags
	root := &cobra.Command{
		Use:   "infernet",
		Short: "A marketplace for compute on Nostr relays, paid over Lightning",
		Long: "infernet sells and buys compute. Jobs, offers, results and receipts are signed Nostr events.\n\n" +
			"Settings come from flags, then INFERNET_… variables, then the config file, then defaults; see 'infernet config'.\n" +
			"stdout is the answer, stderr the conversation. With --json each answer is one object a line on stdout, and an error\n" +
			"is one on stderr: error, hint, code.\n\n" + exitCodes,
		Example:       "infernet up\ninfernet run '" + tryPrompt + "'",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.prepare(cmd, &flags)
		},
	}
	f := root.PersistentFlags()
	f.StringVar(&flags.config, "config", "", "config file (default ~/.config/infernet/config.toml)")
	f.BoolVar(&a.json, "json", false, "answer with one JSON object a line")
	f.String("data-dir", "", "folder for keys, ledgers and events")
	f.String("password-file", "", "file that holds the password of encrypted keys")
	f.StringSlice("relay", nil, "relay to use, may be repeated")
	f.String("log-level", "", "debug, info, warn or error")
	f.Bool("log-json", false, "log one JSON object a line")
	root.SetHelpFunc(help)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withHint(usage("%s", flagError(cmd, err)), "%s --help", cmd.CommandPath())
	})
	root.AddCommand(
		a.upCommand(), a.relayCommand(), a.provideCommand(), a.runCommand(), a.chatCommand(), a.jobCommand(), a.batchCommand(), a.receiptCommand(), a.fileCommand(), a.noticesCommand(), a.storeCommand(),
		a.marketCommand(), a.walletCommand(), a.gatewayCommand(), a.connectCommand(), a.budgetCommand(), a.costsCommand(), a.nodesCommand(), a.topCommand(), a.openCommand(),
		a.keyCommand(), a.appkeyCommand(), a.doctorCommand(), a.configCommand(), a.completionCommand(), a.versionCommand(), a.docsCommand(),
	)
	a.complete(root, &flags)
	strict(root)
	root.InitDefaultHelpCmd() // after strict: its arguments are names of commands
	for _, sub := range root.Commands() {
		if sub.Name() == "help" {
			sub.Args = func(_ *cobra.Command, args []string) error {
				cmd, rest, _ := root.Find(args)
				if cmd == nil || len(rest) == 0 {
					return nil
				}
				return cmd.RunE(cmd, rest) // it says which command is meant
			}
		}
	}
	return root
}

// strict makes wrong arguments wrong usage, everywhere: a group of commands asks for one of them, and names the near ones.
// It also writes into the help what --json answers.
func strict(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
	if object := cmd.Annotations["json"]; object != "" {
		cmd.Long = strings.TrimSpace(or(cmd.Long, cmd.Short+".") + "\n\nWith --json: " + object + ".")
	}
	hint := cmd.CommandPath() + " --help"
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			var own *hinted
			if err == nil || errors.As(err, &own) {
				return err
			}
			return withHint(usage("%s", argsError(cmd, args, err)), "%s", hint)
		}
		return
	}
	cmd.Args = cobra.ArbitraryArgs // RunE says it better
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		var names []string
		for _, sub := range cmd.Commands() {
			names = append(names, sub.Name())
		}
		of := strings.TrimPrefix(cmd.CommandPath()+": ", "infernet: ")
		return withHint(usage("%sno command %q%s", of, args[0], meant(args[0], names)), "%s", hint)
	}
}

// argsError says what is wrong with a command's arguments, without the words of the library that counts them.
func argsError(cmd *cobra.Command, args []string, err error) string {
	_, wanted, _ := strings.Cut(cmd.Use, " ")
	switch want := len(strings.Fields(wanted)); {
	case len(args) < want:
		return fmt.Sprintf("%s: %s is missing", cmd.CommandPath(), strings.Fields(wanted)[len(args)])
	case len(args) > want:
		return fmt.Sprintf("%s: %q is one argument too many", cmd.CommandPath(), args[want])
	}
	return err.Error()
}

// flagError says what is wrong with a flag, without the words of the library that read it.
func flagError(cmd *cobra.Command, err error) string {
	said, _, _ := strings.Cut(err.Error(), ": strconv.")
	if name, unknown := strings.CutPrefix(said, "unknown flag: --"); unknown {
		var have []string
		collect := func(f *flagType) { have = append(have, f.Name) }
		cmd.LocalFlags().VisitAll(collect)
		cmd.InheritedFlags().VisitAll(collect)
		near := events.Near(name, have)
		for i := range near {
			near[i] = "--" + near[i]
		}
		if near = slices.Compact(near); len(near) > 0 {
			said += "; is " + strings.Join(near, " or ") + " meant?"
		}
	}
	return said
}

type globalFlags struct{ config string }

// flagNames says which setting a flag sets, where the names differ.
var flagNames = map[string]string{"relay": "relays", "log-level": "log.level", "log-json": "log.json"}

// prepare reads the settings for a command.
func (a *app) prepare(cmd *cobra.Command, flags *globalFlags) error {
	var err error
	a.again = func() (*settings, error) {
		s, err := loadSettings(a.Env, flags.config)
		applyFlags(s, cmd)
		return s, err
	}
	a.settings, err = a.again()
	if errors.Is(err, fs.ErrNotExist) {
		err = withHint(err, "%s", without(a.args, "--config"))
	}
	if err == nil && a.Environ != nil {
		err = checkEnviron(a.Environ())
	}
	if err != nil && cmd.Annotations["broken"] == "" {
		return err
	}
	if err == nil {
		err = a.settings.check()
	}
	level, wrong := a.settings.logLevel()
	if wrong != nil && err == nil {
		err = wrong
	}
	a.level.Set(level)
	if a.broken = err; err != nil && cmd.Annotations["broken"] == "" {
		return err
	}
	options := &slog.HandlerOptions{Level: &a.level, ReplaceAttr: hideAttr}
	if a.log = slog.New(slog.NewTextHandler(a.Err, options)); a.settings.yes("log.json") {
		a.log = slog.New(slog.NewJSONHandler(a.Err, options))
	}
	slog.SetDefault(a.log) // libraries that write to the standard log end up here too
	return nil
}

// applyFlags lets the flags of a command set what they are for.
func applyFlags(s *settings, cmd *cobra.Command) {
	cmd.Flags().Visit(func(f *flagType) {
		name := flagNames[f.Name]
		if name == "" {
			name = strings.ReplaceAll(f.Name, "-", "_")
		}
		if section := f.Annotations["setting"]; len(section) > 0 {
			name = section[0]
		}
		if values, ok := f.Value.(interface{ GetSlice() []string }); ok {
			s.flag(name, strings.Join(values.GetSlice(), ","))
			return
		}
		s.flag(name, f.Value.String())
	})
}

// hideAttr hides what is secret in an address that is logged.
func hideAttr(_ []string, attr slog.Attr) slog.Attr {
	switch attr.Value.Kind() {
	case slog.KindString, slog.KindAny:
		if text := attr.Value.String(); text != hide(text) {
			attr.Value = slog.StringValue(hide(text))
		}
	}
	return attr
}

// object writes one JSON object as a line.
func (a *app) object(to io.Writer, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		fmt.Fprintf(a.Err, "infernet: cannot write JSON: %v\n", err)
		return
	}
	fmt.Fprintf(to, "%s\n", body)
}
