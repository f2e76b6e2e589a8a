package testnet

import (
	"os/exec"
	"strings"
	"testing"

	"infernet/consumer/gateway"
	"infernet/engine/enginetest"
	"infernet/events"
	"infernet/internal/httpd"
	"infernet/internal/testnet/peers"
	"infernet/provider"
)

// appNet is a market with a real, if tiny, model on a real server, a slow echo for free, and a gateway.
func appNet(t *testing.T) (*Net, *door) {
	t.Helper()
	n := Start(t)
	n.Provider("tiny", "openai+"+enginetest.LlamaServer(t, "--embeddings", "--pooling", "mean")+"/v1", func(c *provider.Config) { c.Slots = 4 })
	n.Provider("echo", "echo:?tokens=400&delay=30ms", func(c *provider.Config) { c.Price, c.Wallet = events.Price{}, nil })
	return n, n.gateway(t, nil)
}

// app runs an app against the gateway, and fails for each thing that does not work. It has to say at least so many work.
func (n *Net) app(t *testing.T, d *door, cmd *exec.Cmd, least int) {
	t.Helper()
	key, _ := d.key(httpd.AppKey{Name: "app"})
	poor, id := d.key(httpd.AppKey{Name: "poor"})
	one := events.Sat
	if err := d.Budgets().Set(id, gateway.Limit{Day: &one}); err != nil {
		t.Fatal(err)
	}
	app := n.peer(t, cmd, map[string]any{
		"url": d.URL, "key": key, "poor": poor, "voice": enginetest.Speaks, "ear": enginetest.Hears, "painter": enginetest.Paints,
	})
	works := 0
	for line := range app.lines {
		t.Log(line[:min(len(line), 1000)])
		word, rest, _ := strings.Cut(line, ": ")
		switch word {
		case "ok":
			works++
		case "failed":
			t.Error(rest[:min(len(rest), 2000)])
		case "cancelled":
			job := events.ID(strings.Trim(rest, `"`))
			Eventually(t, "the job is cancelled", func() bool { return len(n.stored(t, job, events.KindCancel)) > 0 })
		case "end":
			if works < least {
				t.Errorf("%d things work, want %d", works, least)
			}
			return
		}
	}
	t.Error("it ended before its end")
}

// TestOpenAIForNode has OpenAI's client of npm buy over the gateway.
func TestOpenAIForNode(t *testing.T) {
	t.Parallel()
	n, d := appNet(t)
	n.app(t, d, peers.Node(t, "apps/openai.mjs"), 14)
}

// TestOpenAIForPython has OpenAI's client of PyPI buy over the gateway.
func TestOpenAIForPython(t *testing.T) {
	t.Parallel()
	n, d := appNet(t)
	n.app(t, d, peers.Python(t, "apps/openai_app.py"), 14)
}

// TestAnthropicForPython has Anthropic's client of PyPI buy over the gateway.
func TestAnthropicForPython(t *testing.T) {
	t.Parallel()
	n, d := appNet(t)
	n.app(t, d, peers.Python(t, "apps/anthropic_app.py"), 12)
}

// TestOllamaForPython has Ollama's client of PyPI buy over the gateway, as it would ask a server of its own.
func TestOllamaForPython(t *testing.T) {
	t.Parallel()
	n, d := appNet(t)
	n.app(t, d, peers.Python(t, "apps/ollama_app.py"), 8)
}

// TestMediaForPython has OpenAI's client of PyPI speak, hear and paint over the gateway: real voice, real ear; what is too large
// for an event goes over the file server.
func TestMediaForPython(t *testing.T) {
	t.Parallel()
	base := enginetest.MediaServer(t)
	n := Start(t)
	n.Provider("media", "openai+"+base, nil)
	d := n.gateway(t, func(c *gateway.Config) { c.MaxCost = 1000 * events.Sat })
	n.app(t, d, peers.Python(t, "apps/media_app.py"), 4)
}
