package cli

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"time"

	"infernet/engine"
)

// probes are where engines listen that people already run.
var probes = []struct{ name, url string }{
	{"Ollama", "http://127.0.0.1:11434/v1"},
	{"llama-server", "http://127.0.0.1:8080/v1"},
	{"vLLM", "http://127.0.0.1:8000/v1"},
	{"LM Studio", "http://127.0.0.1:1234/v1"},
}

// cacheDir is where scripts put what they fetch.
func (a *app) cacheDir() string {
	return or(a.Env("INFERNET_CACHE"), filepath.Join(or(a.Env("XDG_CACHE_HOME"), filepath.Join(a.Env("HOME"), ".cache")), "infernet"))
}

// findEngine says which engine to use: the one set, one that runs here already, or llama.cpp with a model in the cache.
func (a *app) findEngine(ctx context.Context) (url, found string, err error) {
	if set := a.settings.text("provide.engine"); set != "" {
		return set, "as set", nil
	}
	for _, p := range probes {
		if answers(ctx, p.url+"/models") {
			return "openai+" + p.url, p.name + " runs here", nil
		}
	}
	models, err := filepath.Glob(filepath.Join(a.cacheDir(), "models", "*.gguf"))
	if err != nil {
		return "", "", err
	}
	sort.Strings(models)
	if len(models) == 0 {
		return "", "", withHint(fmt.Errorf("%w: no engine runs on this machine, and there is no model in %s", engine.ErrUnavailable, filepath.Join(a.cacheDir(), "models")),
			"make engine model   (or name one: --engine openai+http://127.0.0.1:11434/v1)")
	}
	return "llamacpp://" + models[0], "llama.cpp with " + filepath.Base(models[0]), nil
}

func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// openEngine opens the engine to sell.
func (a *app) openEngine(ctx context.Context) (engine.Engine, string, error) {
	url, found, err := a.findEngine(ctx)
	if err != nil {
		return nil, "", err
	}
	e, err := engines.Open(ctx, url, a.log)
	if err != nil {
		if _, statErr := os.Stat(a.cacheDir()); statErr != nil {
			return nil, "", withHint(err, "make engine model")
		}
		return nil, "", err
	}
	return e, fmt.Sprintf("%s (%s)", url, found), nil
}
