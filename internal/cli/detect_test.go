package cli

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"infernet/engine"
)

// TestFindEngine follows the order in which an engine is looked for: the one set, one that runs, a model in the cache.
func TestFindEngine(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, `{"data":[{"id":"tiny"}]}`)
	}))
	defer server.Close()
	other := httptest.NewServer(http.NotFoundHandler()) // something else listens on the port
	defer other.Close()
	home := t.TempDir()
	env := map[string]string{"HOME": home, "INFERNET_PROVIDE_PROBE": other.URL + "/v1"}
	find := func() (string, error) {
		t.Helper()
		settings, err := loadSettings(func(name string) string { return env[name] }, "")
		if err != nil {
			t.Fatal(err)
		}
		a := &app{IO: IO{Env: func(name string) string { return env[name] }}, settings: settings}
		url, _, err := a.findEngine(context.Background())
		return url, err
	}
	if url, err := find(); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("nothing there: found %q, %v", url, err)
	}
	model := filepath.Join(home, ".cache/infernet/models/a.gguf")
	if err := os.MkdirAll(filepath.Dir(model), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(model, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if url, err := find(); url != "llamacpp://"+model || err != nil {
		t.Errorf("a model in the cache: found %q, %v", url, err)
	}
	env["INFERNET_PROVIDE_PROBE"] += "," + server.URL + "/v1"
	if url, err := find(); url != "openai+"+server.URL+"/v1" || err != nil {
		t.Errorf("a server that runs: found %q, %v", url, err)
	}
	ollama := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, map[string]string{"/v1/models": `{"data":[{"id":"tiny"}]}`, "/api/version": `{"version":"0.17.4"}`}[r.URL.Path])
	}))
	defer ollama.Close()
	env["INFERNET_PROVIDE_PROBE"] = ollama.URL + "/v1," + server.URL + "/v1"
	if url, err := find(); url != "ollama+"+ollama.URL || err != nil {
		t.Errorf("an Ollama that runs: found %q, %v", url, err)
	}
	env["INFERNET_PROVIDE_ENGINE"] = "echo:"
	if url, err := find(); url != "echo:" || err != nil {
		t.Errorf("one that is set: found %q, %v", url, err)
	}
}
