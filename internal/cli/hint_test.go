package cli

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/engine"
	"infernet/events"
	"infernet/wallet"
)

// hintable are errors that meaning has a hint for.
func hintable() []error {
	return []error{
		syscall.EADDRINUSE, usage("wrong"), &events.ParamError{}, &heldError{"relay", "/data", "ws://127.0.0.1:3000"}, &heldError{"node", "/data dir", ""}, &dataDirError{syscall.EACCES, "/a home"},
		&consumer.NoOffersError{}, &consumer.NoOffersError{Near: []string{"tiny"}}, &consumer.NoOffersError{About: 32 * events.Sat}, &consumer.NoOffersError{Quiet: "00ff", Window: time.Second},
		&consumer.NoOffersError{Dear: []*events.Offer{{Cap: 2 * events.Sat}}},
		wallet.ErrInsufficient, wallet.ErrRejected, wallet.ErrExpired, wallet.ErrInFlight, wallet.ErrUnavailable,
		&consumer.RefusedError{Refusal: &events.Refusal{}}, &consumer.RefusedError{Refusal: &events.Refusal{Code: events.CodeUnderbid}},
		&consumer.VanishedError{Job: "00ff"}, &consumer.VanishedError{Job: "00ff", Paid: events.Sat}, &consumer.CancelledError{Job: "00ff"},
		&consumer.LeftError{Job: "00ff"}, &consumer.BadInvoiceError{}, &consumer.BadResultError{}, errNoRelay, engine.ErrUnavailable,
	}
}

// TestHintsPaste goes through every hint: those that meaning makes of errors and of what was typed, those of the doctor, and
// those that the sources write down, in Go and in the scripts. Each is a whole command: a shell parses it, its program is
// one that there is, and a command of infernet knows its flags.
func TestHintsPaste(t *testing.T) {
	hints := map[string]string{} // the hint, and where it is from
	buyers := [][]string{
		{"run", "hi"}, {"run", "--max-cost", "1", "--model", "x", "it's\n(two) lines"}, {"run", strings.Repeat("long ", 1000)}, {"job", "submit", "--", "--hi"},
	}
	sellers := [][]string{{"up"}, {"relay", "--listen", "127.0.0.1:3000"}, {"up", "--data-dir", "/a b"}}
	for _, args := range append(buyers, sellers...) {
		for _, err := range hintable() {
			none := (*consumer.NoOffersError)(nil)
			if args[0] == "run" && errors.Is(err, syscall.EADDRINUSE) || args[0] == "job" && errors.Is(err, syscall.EADDRINUSE) || args[0] != "run" && args[0] != "job" && errors.As(err, &none) {
				continue // who buys does not listen, who sells wants no offers
			}
			if _, hint := meaning(err, args); hint != "" {
				hints[hint] = fmt.Sprintf("%T: %v", err, err)
			}
		}
	}
	a := &app{IO: IO{Env: func(string) string { return "" }}, settings: &settings{values: map[string]string{"data_dir": "/a b"}}}
	for _, c := range a.checks() {
		if c.hint != "" {
			hints[c.hint] = "doctor: " + c.name
		}
	}
	written(t, hints)
	if len(hints) < 40 {
		t.Fatalf("only %d hints were found", len(hints))
	}
	for hint, from := range hints {
		if err := pastes(hint); err != nil {
			t.Errorf("%s: hint %q: %v", from, hint, err)
		}
	}
	for _, wrong := range []string{"infernet up   (or not)", "add --data-dir x", "infernet up --engin x", "infernet upp", "infernet run hi --max-cost", "infernet doctor x"} {
		if pastes(wrong) == nil {
			t.Errorf("%q passes for a hint", wrong)
		}
	}
}

// written collects the hints in the sources: what withHint is told, and what follows "hint: " in a text.
func written(t *testing.T, hints map[string]string) {
	root := "../.."
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || d.Name() == "shared") {
			return filepath.SkipDir
		}
		switch {
		case filepath.Ext(path) == ".sh":
			body, err := os.ReadFile(path)
			for _, m := range regexp.MustCompile(`; hint: ([^"]*)"`).FindAllStringSubmatch(string(body), -1) {
				said := regexp.MustCompile(`\$(\w+|\{[^}]*\})`).ReplaceAllString(m[1], "x")
				hints[said] = path
			}
			return err
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if name, ok := n.Fun.(*ast.Ident); ok && name.Name == "withHint" && len(n.Args) > 1 {
					if text := literal(n.Args[1]); text != "" && text != "%s" { // else it is made by again or its like
						hints[filled(text)] = path
					}
				}
			case *ast.BasicLit:
				if _, hint, ok := strings.Cut(literal(n), "; hint: "); ok && hint != "%s" && hint != "" {
					hints[filled(hint)] = path
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// literal is the text of an expression that is one, or several added up.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(e.Value)
		return text
	case *ast.BinaryExpr:
		return literal(e.X) + literal(e.Y)
	}
	return ""
}

// filled puts something in for the verbs of a format.
func filled(format string) string {
	return regexp.MustCompile(`%(\[\d\])?[a-z]`).ReplaceAllString(format, "9")
}

// programs are what a hint may begin with, besides infernet.
var programs = []string{"make", "brew", "apt-get", "rm", "cd", "npm", "echo", "ffmpeg", "pip-compile", "chmod", "mkdir", "mv", "ls", "head", "unset", "getent", "iconv", "timedatectl", "lncli", "nvidia-smi", "docker", "${EDITOR:-vi}", "9", "x"}

// pastes says why a hint is no command that can be pasted.
func pastes(hint string) error {
	if strings.Contains(hint, "\n") || strings.Contains(hint, "…") {
		return errors.New("it is not one line, or not whole")
	}
	if chat := regexp.MustCompile(`^/[a-z]+$`); chat.MatchString(hint) { // a conversation takes it
		return nil
	}
	if out, err := exec.Command("bash", "-n", "-c", hint).CombinedOutput(); err != nil {
		return fmt.Errorf("bash: %s", out)
	}
	// what the shell makes of it: words, each on a line
	command, _, _ := strings.Cut(hint, "  # ")
	for part := range strings.SplitSeq(command, " | ") {
		for one := range strings.SplitSeq(part, "; ") {
			if err := known(one); err != nil {
				return err
			}
		}
	}
	return nil
}

// known says why a simple command is none that there is.
func known(command string) error {
	command = regexp.MustCompile(`^([A-Z_]+=\S+ )+|( > \S+)$`).ReplaceAllString(command, "")
	first, _, _ := strings.Cut(command, " ")
	if slices.Contains(programs, first) || strings.HasPrefix(first, "scripts/") {
		return nil
	}
	if first != "infernet" {
		return fmt.Errorf("%q is no program that hints use", first)
	}
	shell := exec.Command("bash", "-c", `exec 3>&1; infernet() { printf '%s\0' "$@" >&3; }; `+command)
	shell.Dir = os.TempDir()
	out, err := shell.Output()
	if err != nil {
		return err
	}
	words := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	cmd, rest, err := (&app{}).root().Find(words)
	if err != nil {
		return err
	}
	if slices.Contains(rest, "--help") || cmd.Name() == "help" {
		return nil
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
		return fmt.Errorf("no command %q", cmd.Flags().Args())
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}
