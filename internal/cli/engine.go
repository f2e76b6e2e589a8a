package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"infernet/engine"
	"infernet/engine/llamacpp"
)

// engineExamples is an address of each kind of engine, for those who mistyped theirs.
var engineExamples = map[string]string{
	"openai":    "openai+http://127.0.0.1:8000/v1",
	"ollama":    "ollama://127.0.0.1:11434",
	"llamacpp":  "llamacpp:///home/you/model.gguf",
	"container": "container:///var/lib/infernet/images",
	"echo":      "echo:",
}

// engineError says what is wrong with an engine, and with which address the same command works.
func (a *app) engineError(address string, err error) error {
	kind, rest, _ := strings.Cut(address, ":")
	kind, _, _ = strings.Cut(kind, "+")
	var model *llamacpp.ModelError
	switch _, there := engines[kind]; {
	case kind == "http" || kind == "https":
		err = withHint(fmt.Errorf("engine %q: no kind of engine is named; is openai+%[1]s meant?", address), "%s", a.withEngine("openai+"+address))
	case !there:
		examples := make([]string, 0, len(engineExamples))
		for _, example := range engineExamples {
			examples = append(examples, example)
		}
		slices.Sort(examples)
		example := engineExamples["ollama"]
		if strings.HasPrefix(rest, "//") {
			example = "openai+http:" + rest
		}
		err = withHint(fmt.Errorf("engine %q: no such kind of engine; there are %s", address, strings.Join(examples, ", ")), "%s", a.withEngine(example))
	case errors.As(err, &model):
		err = a.modelError(model)
	case errors.Is(err, llamacpp.ErrNoServer):
		err = withHint(err, "%s", a.getEngine())
	case !errors.Is(err, engine.ErrUnavailable):
		err = withHint(err, "%s", a.withEngine(engineExamples[kind]))
	}
	if !errors.Is(err, engine.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	return err
}

// modelError names the models that there are, beside the one that was meant and in the cache.
func (a *app) modelError(wrong *llamacpp.ModelError) error {
	beside, _ := filepath.Glob(filepath.Join(filepath.Dir(wrong.Path), "*.gguf"))
	cached, _ := a.models()
	there := slices.DeleteFunc(append(beside, cached...), func(path string) bool { return path == wrong.Path })
	if len(there) == 0 {
		return withHint(wrong, "%s", remark(without(a.args, "--engine"), "takes an engine that runs here already"))
	}
	return withHint(fmt.Errorf("%w; there is %s", wrong, strings.Join(slices.Compact(there), ", ")), "%s", a.withEngine("llamacpp://"+there[0]))
}

// withEngine is the command that was typed with another engine, or the one that starts a market with it.
func (a *app) withEngine(address string) string {
	if len(a.args) > 0 && (a.args[0] == "up" || a.args[0] == "provide") {
		return again(a.args, "--engine", address)
	}
	return "infernet up --engine " + quoted(address)
}

// getEngine is how to get an engine: by make, in the project's folder, else one that runs is to be named.
func (a *app) getEngine() string {
	if _, err := os.Stat("scripts/get-llama.sh"); err == nil {
		return "make engine model"
	}
	return remark(a.withEngine(engineExamples["ollama"]), "once Ollama runs, or another server that speaks OpenAI's API")
}
