package ollama

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"infernet/engine"
	"infernet/engine/internal/completions"
	"infernet/events"
)

// standardContext is what Ollama gives a model when nobody says, unless it has much graphics memory.
const standardContext = 4096

// listed is a model as /api/tags shows it.
type listed struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
	Remote string `json:"remote_host"`
}

// shown is what /api/show says of one model, as far as it matters here.
type shown struct {
	Parameters   string         `json:"parameters"` // of the Modelfile: a name and a value in each line
	Info         map[string]any `json:"model_info"`
	Capabilities []string       `json:"capabilities"` // none before Ollama 0.6.4
}

// List gives the models that are on the server's disk. One that the server only passes on to somebody else's machine is
// left out: the customer bought this node.
func (w *wire) List(ctx context.Context, o completions.Options) ([]completions.Entry, error) {
	var tags struct {
		Models []listed `json:"models"`
	}
	if err := w.client.Call(ctx, w.base+"/api/tags", nil, &tags); err != nil {
		return nil, w.ours("list models", err)
	}
	loaded, err := w.loaded(ctx)
	if err != nil {
		return nil, w.ours("list loaded models", err)
	}
	list := []completions.Entry{}
	for _, m := range tags.Models {
		if m.Remote != "" {
			continue
		}
		var show shown
		ask := struct {
			Model string `json:"model"`
		}{m.Name}
		if err := w.client.Call(ctx, w.base+"/api/show", ask, &show); err != nil {
			if errors.Is(err, engine.ErrUnknownModel) {
				continue // removed just now
			}
			return nil, w.ours("look at model "+m.Name, err)
		}
		e := completions.Entry{
			Model: engine.Model{
				ID: strings.TrimSuffix(completions.Name(m.Name), ":latest"), Kinds: o.Kinds, Slots: max(o.Slots, 1),
				Context: w.contextOf(show, loaded[m.Name]),
			},
			Server: m.Name,
		}
		if m.Digest != "" {
			e.Digest = "sha256:" + strings.TrimPrefix(m.Digest, "sha256:")
		}
		if e.Kinds == nil {
			e.Kinds = kindsOf(e.ID, show.Capabilities)
		}
		if len(e.Kinds) > 0 {
			list = append(list, e)
		}
	}
	return list, nil
}

// loaded is the context of each model that is in memory.
func (w *wire) loaded(ctx context.Context) (map[string]int, error) {
	var running struct {
		Models []struct {
			Name    string `json:"name"`
			Context int    `json:"context_length"`
		} `json:"models"`
	}
	err := w.client.Call(ctx, w.base+"/api/ps", nil, &running)
	contexts := map[string]int{}
	for _, m := range running.Models {
		contexts[m.Name] = m.Context
	}
	return contexts, err
}

// ours is an error of a list, where no customer's request is at fault.
func (w *wire) ours(doing string, err error) error {
	var invalid *engine.InvalidError
	if errors.As(err, &invalid) || errors.Is(err, engine.ErrUnknownModel) {
		err = fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// contextOf is how many tokens a model takes: what it has been loaded with, else what will be asked for, and never more
// than it was trained for.
func (w *wire) contextOf(show shown, loaded int) int {
	n := standardContext
	for _, parameter := range strings.Split(show.Parameters, "\n") {
		if name, value, ok := strings.Cut(strings.TrimSpace(parameter), " "); ok && name == "num_ctx" {
			if set, err := strconv.Atoi(strings.TrimSpace(value)); err == nil && set > 0 {
				n = set
			}
		}
	}
	switch {
	case w.context > 0:
		n = w.context
	case loaded > 0:
		n = loaded
	}
	for name, value := range show.Info {
		if trained, ok := value.(float64); ok && strings.HasSuffix(name, ".context_length") && trained >= 1 {
			n = int(min(float64(n), trained))
		}
	}
	return n
}

// kindsOf is which jobs a model serves: what the server says it can, else what its name says.
func kindsOf(id string, can []string) (kinds []int) {
	if len(can) == 0 {
		return completions.KindsOf(id)
	}
	if slices.Contains(can, "completion") {
		kinds = append(kinds, events.KindText, events.KindSummary, events.KindTranslation)
	}
	if slices.Contains(can, "embedding") {
		kinds = append(kinds, events.KindEmbeddings)
	}
	return kinds
}
