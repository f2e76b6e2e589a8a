package completions

import "context"

// Props is what llama-server says of itself beyond the common API.
type Props struct {
	Slots   int // jobs at once
	Context int // tokens of one slot
}

// Props asks llama-server about itself.
func (c *Client) Props(ctx context.Context) (Props, error) {
	var got struct {
		Slots    int `json:"total_slots"`
		Settings struct {
			Context int `json:"n_ctx"`
		} `json:"default_generation_settings"`
	}
	err := c.Call(ctx, c.root+"/props", nil, &got)
	return Props{Slots: got.Slots, Context: got.Settings.Context}, err
}

// Health asks llama-server whether it is ready. Any error means not yet.
func (c *Client) Health(ctx context.Context) error {
	var got struct{}
	return c.Call(ctx, c.root+"/health", nil, &got)
}

// Count gives the exact number of tokens that llama-server will read for a conversation: its template, then its tokenizer.
func (c *Client) Count(ctx context.Context, messages []Message) (int64, error) {
	var page struct {
		Prompt string `json:"prompt"`
	}
	ask := struct {
		Messages []Message `json:"messages"`
	}{messages}
	if err := c.Call(ctx, c.root+"/apply-template", ask, &page); err != nil {
		return 0, err
	}
	return c.CountText(ctx, page.Prompt)
}

// CountText gives the number of tokens of one text, with the model's opening token.
func (c *Client) CountText(ctx context.Context, text string) (int64, error) {
	ask := struct {
		Content string `json:"content"`
		Special bool   `json:"add_special"`
		Parse   bool   `json:"parse_special"`
	}{text, true, true}
	var got struct {
		Tokens []int `json:"tokens"`
	}
	err := c.Call(ctx, c.root+"/tokenize", ask, &got)
	return int64(len(got.Tokens)), err
}
