package completions

import (
	"context"
	"errors"
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
	client *Client
	kinds  []int // serve these instead of what the names say; nil for the names
	slots  int   // 0: ask llama-server, else 1

	asking sync.Mutex // one question at a time

	mu      sync.Mutex
	entries []entry
	at      time.Time
	embeds  map[string]bool // what a llama-server said about vectors, by server id
}

// entry is one model under the id that customers use and the one that the server uses.
type entry struct {
	engine.Model
	server string
}

// find gives a model by id, from the list at hand if it is in there.
func (c *catalog) find(ctx context.Context, id string) (entry, error) {
	id = strings.ToLower(id)
	c.mu.Lock()
	e, ok := pick(c.entries, id)
	c.mu.Unlock()
	if ok {
		return e, nil
	}
	list, err := c.list(ctx)
	if err != nil {
		return entry{}, err
	}
	if e, ok := pick(list, id); ok {
		return e, nil
	}
	return entry{}, Unknown(id, plain(list))
}

// pick finds an id; the empty id is any model that serves text, as a job that names none wants.
func pick(list []entry, id string) (entry, bool) {
	for _, e := range list {
		if e.ID == id || (id == "" && slices.Contains(e.Kinds, events.KindText)) {
			return e, true
		}
	}
	return entry{}, false
}

func plain(list []entry) []engine.Model {
	out := make([]engine.Model, len(list))
	for i, e := range list {
		out[i] = e.Model
	}
	return out
}

// list gives the models: the list at hand while it is young, or while the server is slow; else a new one.
func (c *catalog) list(ctx context.Context) ([]entry, error) {
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
	limited, cancel := context.WithTimeoutCause(ctx, wait, fmt.Errorf("%w: %s gave no list of models in %s", engine.ErrUnavailable, c.client.name, wait))
	defer cancel()
	list, err := c.ask(limited)
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

// ask reads /models, and what a llama-server adds to it.
func (c *catalog) ask(ctx context.Context) ([]entry, error) {
	var got struct {
		Data []struct {
			ID    string `json:"id"`
			Owner string `json:"owned_by"`
			Len   int    `json:"max_model_len"`  // vLLM, SGLang
			Ctx   int    `json:"context_length"` // LM Studio and routers
			Meta  struct {
				Ctx int `json:"n_ctx"`
			} `json:"meta"` // llama-server
		} `json:"data"`
	}
	if err := c.client.call(ctx, c.client.base+"/models", nil, &got); err != nil {
		var invalid *engine.InvalidError
		if errors.As(err, &invalid) || errors.Is(err, engine.ErrUnknownModel) {
			err = fmt.Errorf("%w: %w", engine.ErrUnavailable, err) // no request of a customer's is at fault here
		}
		return nil, fmt.Errorf("list models: %w", err)
	}
	list := []entry{}
	for _, m := range got.Data {
		e := entry{Model: engine.Model{ID: name(m.ID), Context: max(m.Len, m.Ctx, m.Meta.Ctx), Slots: c.slots}, server: m.ID}
		if m.Owner == "llamacpp" {
			if props, err := c.client.Props(ctx); err == nil {
				e.Context = props.Context
				if e.Slots == 0 {
					e.Slots = props.Slots
				}
			}
		}
		e.Slots = max(e.Slots, 1)
		if e.Kinds = c.kinds; e.Kinds == nil {
			e.Kinds = KindsOf(e.ID)
			if m.Owner == "llamacpp" && !slices.Contains(e.Kinds, events.KindEmbeddings) && c.gives(ctx, m.ID) {
				e.Kinds = append(e.Kinds, events.KindEmbeddings)
			}
		}
		if len(e.Kinds) > 0 && !slices.ContainsFunc(list, func(o entry) bool { return o.ID == e.ID }) {
			list = append(list, e)
		}
	}
	return list, nil
}

// gives tries once whether a llama-server makes vectors: only one started for it does, and its list does not say.
func (c *catalog) gives(ctx context.Context, id string) bool {
	c.mu.Lock()
	can, known := c.embeds[id]
	c.mu.Unlock()
	if known {
		return can
	}
	_, _, err := c.client.Embed(ctx, id, []string{"a"}, 0)
	if ctx.Err() != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.embeds == nil {
		c.embeds = map[string]bool{}
	}
	c.embeds[id] = err == nil
	return err == nil
}

// name is a server's id as customers use it: lower case, and a file's name without its folder and ending.
func name(id string) string {
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
	case has("whisper", "tts", "dall-e", "image", "moderation", "rerank", "transcribe", "realtime", "audio", "sora", "stable-diffusion", "flux"):
		return nil
	}
	return []int{events.KindText, events.KindSummary, events.KindTranslation}
}
