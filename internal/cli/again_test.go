package cli

import (
	"strings"
	"testing"
)

// TestHintRepeatsTheCommand: what a hint tells to type is what was typed, with one flag mended, and shows no secret.
func TestHintRepeatsTheCommand(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"run", "hi"}, "infernet run hi --max-cost 41"},
		{[]string{"run", "--max-cost", "1", "it's dear"}, `infernet run --max-cost 41 'it'\''s dear'`},
		{[]string{"run", "--max-cost=1", "a b"}, "infernet run --max-cost=41 'a b'"},
		{[]string{"job", "submit", "--json", "--", "--max-cost"}, "infernet job submit --json --max-cost 41 -- --max-cost"},
		{[]string{"run", "--relay", "wss://me:hunter2@relay.example", "$HOME"}, "infernet run --relay wss://me:hidden@relay.example '$HOME' --max-cost 41"},
		{[]string{"run", strings.Repeat("long ", 500)}, "infernet run - --max-cost 41  # and the prompt on stdin"},
		{[]string{"run", "two\nlines, it's\tall\x01"}, `infernet run $'two\nlines, it\'s\tall\x01' --max-cost 41`},
		{[]string{"run", ""}, "infernet run '' --max-cost 41"},
	} {
		if got := again(c.args, "--max-cost", "41"); got != c.want {
			t.Errorf("%q: %s; want %s", c.args, got, c.want)
		}
	}
}
