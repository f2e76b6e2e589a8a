package cli

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestHelpFits: the help of every command is at most 80 wide, but for an example in one line, has no blanks at the ends of
// lines, says what a flag takes, and begins flags' texts as they are written.
func TestHelpFits(t *testing.T) {
	a := &app{}
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		var out bytes.Buffer
		cmd.SetOut(&out)
		cmd.InitDefaultHelpFlag()
		help(cmd, nil)
		for line := range strings.Lines(out.String()) {
			line = strings.TrimSuffix(line, "\n")
			if wide := len([]rune(line)); wide > helpWidth && strings.Contains(strings.TrimSpace(line), " ") && !strings.HasPrefix(line, "  infernet ") {
				t.Errorf("%s: %d wide: %s", cmd.CommandPath(), wide, line)
			}
			if strings.TrimRight(line, " ") != line {
				t.Errorf("%s: blanks at the end: %q", cmd.CommandPath(), line)
			}
		}
		if cmd.Name() == "run" && !regexp.MustCompile(`--model \S+ +model to ask for`).MatchString(out.String()) {
			t.Errorf("a flag does not say what it takes:\n%s", &out)
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(a.root())
}
