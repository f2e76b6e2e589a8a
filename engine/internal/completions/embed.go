package completions

import (
	"context"
	"encoding/json"
	"fmt"

	"infernet/engine"
)

// Embed turns texts into vectors: one for each, in their order, as JSON. dimensions 0 is the model's own. tokens is 0 if
// the server did not count.
func (c *Client) Embed(ctx context.Context, model string, texts []string, dimensions int64) (vectors []json.RawMessage, tokens int64, err error) {
	ask := struct {
		Model      string   `json:"model"`
		Input      []string `json:"input"`
		Dimensions int64    `json:"dimensions,omitempty"`
		Encoding   string   `json:"encoding_format"`
	}{model, texts, dimensions, "float"}
	var got struct {
		Data []struct {
			Index     int             `json:"index"`
			Embedding json.RawMessage `json:"embedding"` // the server's own digits, not reprinted
		} `json:"data"`
		Usage struct {
			PromptTokens int64 `json:"prompt_tokens"`
		} `json:"usage"`
	}
	if err := c.Call(ctx, c.base+"/embeddings", ask, &got); err != nil {
		return nil, 0, err
	}
	vectors = make([]json.RawMessage, len(texts))
	for _, d := range got.Data {
		if d.Index < 0 || d.Index >= len(vectors) || len(d.Embedding) == 0 || d.Embedding[0] != '[' {
			return nil, 0, fmt.Errorf("%w: %s gave a vector that fits no input", engine.ErrUnavailable, c.name)
		}
		vectors[d.Index] = d.Embedding
	}
	for i, v := range vectors {
		if v == nil {
			return nil, 0, fmt.Errorf("%w: %s gave no vector for input %d", engine.ErrUnavailable, c.name, i+1)
		}
	}
	return vectors, got.Usage.PromptTokens, nil
}
