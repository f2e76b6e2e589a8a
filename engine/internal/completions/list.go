package completions

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"infernet/engine"
	"infernet/events"
)

// List reads /models, and what a llama-server adds to it.
func (c *Client) List(ctx context.Context, o Options) ([]Entry, error) {
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
	if err := c.Call(ctx, c.base+"/models", nil, &got); err != nil {
		var invalid *engine.InvalidError
		if errors.As(err, &invalid) || errors.Is(err, engine.ErrUnknownModel) {
			err = fmt.Errorf("%w: %w", engine.ErrUnavailable, err) // no request of a customer's is at fault here
		}
		return nil, fmt.Errorf("list models: %w", err)
	}
	list := []Entry{}
	for _, m := range got.Data {
		e := Entry{Model: engine.Model{ID: Name(m.ID), Context: max(m.Len, m.Ctx, m.Meta.Ctx), Slots: o.Slots}, Server: m.ID}
		if m.Owner == "llamacpp" {
			if props, err := c.Props(ctx); err == nil {
				e.Context = max(props.Context, 0)
				if e.Slots == 0 {
					e.Slots = props.Slots
				}
			}
		}
		e.Slots = max(e.Slots, 1)
		if e.Kinds = o.Kinds; e.Kinds == nil {
			e.Kinds = KindsOf(e.ID)
			if m.Owner == "llamacpp" && !slices.Contains(e.Kinds, events.KindEmbeddings) && c.gives(ctx, m.ID) {
				e.Kinds = append(e.Kinds, events.KindEmbeddings)
			}
		}
		if len(e.Kinds) > 0 && !slices.ContainsFunc(list, func(other Entry) bool { return other.ID == e.ID }) {
			list = append(list, e)
		}
	}
	return list, nil
}

// gives tries once whether a llama-server makes vectors: only one started for it does, and its list does not say.
func (c *Client) gives(ctx context.Context, id string) bool {
	c.asked.Lock()
	can, known := c.embeds[id]
	c.asked.Unlock()
	if known {
		return can
	}
	_, _, err := c.Embed(ctx, id, []string{"a"}, 0)
	if ctx.Err() != nil {
		return false
	}
	c.asked.Lock()
	defer c.asked.Unlock()
	if c.embeds == nil {
		c.embeds = map[string]bool{}
	}
	c.embeds[id] = err == nil
	return err == nil
}
