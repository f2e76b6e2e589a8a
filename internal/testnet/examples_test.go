package testnet

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"infernet/internal/testnet/peers"
)

// TestExamples runs the examples in JavaScript and Python as they stand; that for a shell is run by a script of cmd/infernet.
func TestExamples(t *testing.T) {
	t.Parallel()
	n := Start(t)
	n.Provider("node", "echo:", nil)
	d := n.gateway(t, nil)
	wants := regexp.MustCompile(`Write one sentence about the sea\.\npaid [0-9.]+ sat to [0-9a-f]{8}`)
	t.Run("chat.mjs", func(t *testing.T) {
		dir := peers.SDK(t)
		text, err := os.ReadFile("../../examples/chat.mjs")
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, "example-chat.mjs"), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		out, err := peers.Run(t, dir, []string{"INFERNET_URL=" + d.URL}, "example-chat.mjs", "echo")
		if err != nil || !wants.MatchString(out) {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("chat.py", func(t *testing.T) {
		cmd := peers.Python(t, "apps/openai_app.py") // whose folder names the client
		example, err := filepath.Abs("../../examples/chat.py")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Args[len(cmd.Args)-1] = example
		cmd.Env = append(os.Environ(), "OPENAI_BASE_URL="+d.URL+"/v1", "OPENAI_API_KEY=infernet", "PYTHONDONTWRITEBYTECODE=1")
		out, err := cmd.CombinedOutput()
		if err != nil || !wants.Match(out) {
			t.Errorf("%v: %s", err, out)
		}
	})
}
