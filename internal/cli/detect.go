package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"infernet/engine"
)

// engineHelp says how an engine is named.
const engineHelp = "The engine is found by itself: an OpenAI-compatible server that runs here, else llama.cpp with a model of the cache. To\n" +
	"name one: --engine ollama://127.0.0.1:11434 (Ollama), openai+http://127.0.0.1:8000/v1 (vLLM, or any server that\n" +
	"speaks OpenAI's API; ?key_file=/path for its key), llamacpp:///home/you/model.gguf (starts llama-server),\n" +
	"llamacpp+http://127.0.0.1:8080 (one that runs), container:///var/lib/infernet/images (runs the programs that customers send,\n" +
	"in images that you put there, apart from everything), or echo: (says its input back)."

// cacheDir is where scripts put what they fetch.
func (a *app) cacheDir() string {
	return or(a.Env("INFERNET_CACHE"), filepath.Join(or(a.Env("XDG_CACHE_HOME"), filepath.Join(a.Env("HOME"), ".cache")), "infernet"))
}

// findEngine says which engine to use: the one set, one that runs here already, or llama.cpp with a model in the cache.
func (a *app) findEngine(ctx context.Context) (url, found string, err error) {
	if set := a.settings.text("provide.engine"); set != "" {
		return set, "as set", nil
	}
	probes := a.settings.list("provide.probe")
	if i := a.probe(ctx, probes); i >= 0 {
		if root := strings.TrimSuffix(probes[i], "/v1"); isOllama(ctx, root) { // its own API says more
			return "ollama+" + root, "runs here already", nil
		}
		return "openai+" + probes[i], "runs here already", nil
	}
	models, err := a.models()
	if err != nil {
		return "", "", err
	}
	if len(models) == 0 {
		return "", "", withHint(fmt.Errorf("%w: none runs on this machine, and there is no model in %s", engine.ErrUnavailable, filepath.Join(a.cacheDir(), "models")),
			"%s", a.getEngine())
	}
	return "llamacpp://" + models[0], "found in the cache", nil
}

// models are the models in the cache.
func (a *app) models() ([]string, error) {
	models, err := filepath.Glob(filepath.Join(a.cacheDir(), "models", "*.gguf"))
	sort.Strings(models)
	return models, err
}

// probe asks all at once whether an OpenAI-compatible server answers there, and gives the first that does; -1 if none.
func (a *app) probe(ctx context.Context, urls []string) int {
	there := make([]bool, len(urls))
	var asked sync.WaitGroup
	for i, url := range urls {
		asked.Go(func() { there[i] = answers(ctx, url+"/models") })
	}
	asked.Wait()
	return slices.Index(there, true)
}

// answers says whether a list of models is there.
func answers(ctx context.Context, url string) bool {
	var list struct {
		Data []any `json:"data"`
	}
	return ask(ctx, url, &list) && len(list.Data) > 0
}

// isOllama says whether a server is Ollama.
func isOllama(ctx context.Context, root string) bool {
	var is struct {
		Version string `json:"version"`
	}
	return ask(ctx, root+"/api/version", &is) && is.Version != ""
}

// ask reads a page of JSON, if it comes soon.
func ask(ctx context.Context, url string, into any) bool {
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
	defer resp.Body.Close()
	body := io.LimitReader(resp.Body, 1<<20)
	return resp.StatusCode == http.StatusOK && json.NewDecoder(body).Decode(into) == nil
}

// openEngine opens the engine to sell.
func (a *app) openEngine(ctx context.Context) (engine.Engine, string, error) {
	url, found, err := a.findEngine(ctx)
	if err != nil {
		return nil, "", err
	}
	e, err := engines.Open(ctx, url, a.log)
	if err != nil {
		return nil, "", a.engineError(url, err)
	}
	return e, fmt.Sprintf("%s (%s)", hide(url), found), nil
}
