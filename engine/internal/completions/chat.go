package completions

import (
	"context"
	"encoding/json"
	"fmt"

	"infernet/engine"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Chat is a request to /chat/completions. Nil fields are left to the server.
type Chat struct {
	Model            string         `json:"model"`
	Messages         []Message      `json:"messages"`
	MaxTokens        int64          `json:"max_tokens,omitempty"`
	Temperature      *float64       `json:"temperature,omitempty"`
	TopK             *int64         `json:"top_k,omitempty"` // not OpenAI's own; llama.cpp, vLLM and Ollama take it
	TopP             *float64       `json:"top_p,omitempty"`
	FrequencyPenalty *float64       `json:"frequency_penalty,omitempty"`
	PresencePenalty  *float64       `json:"presence_penalty,omitempty"`
	Seed             *int64         `json:"seed,omitempty"`
	Stop             []string       `json:"stop,omitempty"`
	Stream           bool           `json:"stream"`
	StreamOptions    *streamOptions `json:"stream_options,omitempty"`
}

type streamOptions struct {
	IncludeUsage bool `json:"include_usage"`
}

// Answer is what a chat gave besides its text.
type Answer struct {
	In, Out int64  // tokens as the server counted them; 0 if it did not say
	Deltas  int64  // pieces of text that came
	Finish  string // stop, length, …
}

// chunk is one event of a chat's stream, as far as it matters here.
type chunk struct {
	Choices []struct {
		Delta struct {
			Content string `json:"content"`
		} `json:"delta"`
		FinishReason string `json:"finish_reason"`
	} `json:"choices"`
	Usage *struct {
		PromptTokens     int64 `json:"prompt_tokens"`
		CompletionTokens int64 `json:"completion_tokens"`
	} `json:"usage"`
	Error *failure `json:"error"`
}

// Chat streams a conversation's next turn. Each piece of text goes to emit as it comes; emit's error ends the request. A
// stream that breaks off before the server said that it is finished is engine.ErrUnavailable.
func (c *Client) Chat(ctx context.Context, chat *Chat, emit func(text string) error) (Answer, error) {
	chat.Stream, chat.StreamOptions = true, &streamOptions{IncludeUsage: true}
	resp, err := c.Send(ctx, c.base+"/chat/completions", chat)
	if err != nil {
		return Answer{}, err
	}
	defer resp.Body.Close()
	var a Answer
	stream := newStream(resp.Body)
	for {
		data, err := stream.next()
		if err != nil {
			if a.Finish != "" && ctx.Err() == nil {
				return a, nil // some servers never say [DONE]
			}
			return a, c.Lost(ctx, "stream broke off at", err)
		}
		if string(data) == "[DONE]" {
			return a, nil
		}
		var part chunk
		if err := json.Unmarshal(data, &part); err != nil {
			return a, fmt.Errorf("%w: %s streamed no JSON: %w", engine.ErrUnavailable, c.name, err)
		}
		if part.Error != nil {
			return a, c.failed(codeOf(part.Error), *part.Error)
		}
		if part.Usage != nil {
			a.In, a.Out = part.Usage.PromptTokens, part.Usage.CompletionTokens
		}
		if len(part.Choices) == 0 {
			continue
		}
		if text := part.Choices[0].Delta.Content; text != "" {
			if err := context.Cause(ctx); err != nil {
				return a, err // what is still buffered belongs to nobody
			}
			a.Deltas++
			if err := emit(text); err != nil {
				return a, err
			}
		}
		if reason := part.Choices[0].FinishReason; reason != "" {
			a.Finish = reason
		}
	}
}

// codeOf is the status that an error inside a stream would have had.
func codeOf(f *failure) int {
	if code, ok := f.Code.(float64); ok && code >= 400 && code < 600 {
		return int(code)
	}
	return 500
}
