package completions

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"infernet/engine"
	"infernet/events"
)

const (
	listFresh = 5 * time.Second // how long a list of models is taken as it is
	listWait  = 3 * time.Second // how long a new list may take while an old one is at hand
	firstWait = 20 * time.Second
)

// catalog is the list of a server's models, asked for now and then.
type catalog struct {
	wire Wire
	opts Options

	asking sync.Mutex // one question at a time

	mu      sync.Mutex
	entries []Entry
	at      time.Time
}

// Entry is one model under the id that customers use and the one that the server uses.
type Entry struct {
	engine.Model
	Server string
}

// find gives a model by id, from the list at hand if it is in there.
func (c *catalog) find(ctx context.Context, id string, kind int) (Entry, error) {
	id = strings.ToLower(id)
	c.mu.Lock()
	e, ok := pick(c.entries, id, kind)
	c.mu.Unlock()
	if ok {
		return e, nil
	}
	list, err := c.list(ctx)
	if err != nil {
		return Entry{}, err
	}
	if e, ok := pick(list, id, kind); ok {
		return e, nil
	}
	return Entry{}, Unknown(id, plain(list))
}

// pick finds an id; the empty id is any model that serves the kind, as a job that names none wants.
func pick(list []Entry, id string, kind int) (Entry, bool) {
	for _, e := range list {
		if e.ID == id || (id == "" && slices.Contains(e.Kinds, kind)) {
			return e, true
		}
	}
	return Entry{}, false
}

func plain(list []Entry) []engine.Model {
	out := make([]engine.Model, len(list))
	for i, e := range list {
		out[i] = e.Model
	}
	return out
}

// list gives the models: the list at hand while it is young, or while the server is slow; else a new one.
func (c *catalog) list(ctx context.Context) ([]Entry, error) {
	c.asking.Lock()
	defer c.asking.Unlock()
	c.mu.Lock()
	old, age := c.entries, time.Since(c.at)
	c.mu.Unlock()
	if old != nil && age < listFresh {
		return old, nil
	}
	wait := firstWait
	if old != nil {
		wait = listWait
	}
	limited, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("%w: %s gave no list of models in %s", engine.ErrUnavailable, c.wire, wait))
	defer cancel()
	list, err := c.wire.List(limited, c.opts)
	if err != nil {
		if ctx.Err() == nil && limited.Err() != nil && old != nil {
			return old, nil // slow is not gone
		}
		return nil, err
	}
	c.mu.Lock()
	c.entries, c.at = list, time.Now()
	c.mu.Unlock()
	return list, nil
}

// Name is a server's id as customers use it: lower case, and a file's name without its folder and ending.
func Name(id string) string {
	id = strings.ToLower(id)
	if base, ok := strings.CutSuffix(id, ".gguf"); ok {
		id = path.Base(strings.ReplaceAll(base, `\`, "/"))
	}
	return id
}

// KindsOf guesses from a model's name which jobs it serves; none for what is no language model.
func KindsOf(id string) []int {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(id, w) })
	}
	switch {
	case has("embed", "minilm", "bge-", "gte-", "e5-"):
		return []int{events.KindEmbeddings}
	case has("moderation", "rerank", "realtime", "sora"):
		return nil
	case has("whisper", "transcribe", "parakeet"):
		return []int{events.KindTranscription}
	case has("tts", "piper", "kokoro"):
		return []int{events.KindSpeech}
	case has("dall-e", "image", "stable-diffusion", "sdxl", "flux", "painter"):
		return []int{events.KindImage}
	case has("audio"):
		return nil
	}
	return []int{events.KindText, events.KindSummary, events.KindTranslation}
}
