package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestDocs holds docs/cli.md to what the program says of itself; make docs writes it anew.
func TestDocs(t *testing.T) {
	var out, errs bytes.Buffer
	home := t.TempDir()
	env := func(name string) string { return map[string]string{"HOME": home}[name] }
	if code := Main(context.Background(), IO{In: strings.NewReader(""), Out: &out, Err: &errs, Env: env}, []string{"docs"}); code != 0 {
		t.Fatalf("infernet docs ended with %d: %s", code, &errs)
	}
	const path = "../../docs/cli.md"
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, out.Bytes()) {
		t.Errorf("%s is stale; hint: make docs", path)
	}
}

// TestExamplesAreLinesOfScripts keeps examples true: a command's example stands in a script that runs it.
func TestExamplesAreLinesOfScripts(t *testing.T) {
	scripts, err := filepath.Glob("../../cmd/infernet/testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	var lines []string
	for _, path := range scripts {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.Split(string(body), "\n")...)
	}
	a := &app{}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if !cmd.HasSubCommands() && !cmd.Hidden && cmd.Name() != "help" && cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for example := range strings.SplitSeq(cmd.Example, "\n") {
			if example != "" && !runs(lines, example) {
				t.Errorf("no script runs the example %q of %s", example, cmd.CommandPath())
			}
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(a.root())
}

// runs says whether a script's line is the example, perhaps with more flags behind.
func runs(lines []string, example string) bool {
	for _, line := range lines {
		if line == "exec "+example || strings.HasPrefix(line, "exec "+example+" ") {
			return true
		}
	}
	return false
}
