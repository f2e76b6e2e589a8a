package completions

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"infernet/engine"
)

// Message is one turn of a conversation.
type Message struct {
	Role    string
	Content string
	Parts   []Part          // instead of Content: text and pictures
	Calls   json.RawMessage // tools that the assistant called
	CallID  string          // of a tool's turn: the call that it answers
}

// Part is one piece of a turn that is not only text.
type Part struct {
	Type  string   `json:"type"`
	Text  string   `json:"text,omitempty"`
	Image *picture `json:"image_url,omitempty"`
}

type picture struct {
	URL string `json:"url"` // data: only; a server would fetch others
}

// MarshalJSON writes a turn as the API reads it.
func (m Message) MarshalJSON() ([]byte, error) {
	var content any = m.Content
	switch {
	case m.Parts != nil:
		content = m.Parts
	case m.Content == "" && m.Calls != nil:
		content = nil
	}
	return json.Marshal(struct {
		Role    string          `json:"role"`
		Content any             `json:"content"`
		Calls   json.RawMessage `json:"tool_calls,omitempty"`
		CallID  string          `json:"tool_call_id,omitempty"`
	}{m.Role, content, m.Calls, m.CallID})
}

// Chat is a request to /chat/completions. Nil fields are left to the server.
type Chat struct {
	Model            string          `json:"model"`
	Messages         []Message       `json:"messages"`
	MaxTokens        int64           `json:"max_tokens,omitempty"`
	Temperature      *float64        `json:"temperature,omitempty"`
	TopK             *int64          `json:"top_k,omitempty"` // not OpenAI's own; llama.cpp, vLLM and Ollama take it
	TopP             *float64        `json:"top_p,omitempty"`
	FrequencyPenalty *float64        `json:"frequency_penalty,omitempty"`
	PresencePenalty  *float64        `json:"presence_penalty,omitempty"`
	Seed             *int64          `json:"seed,omitempty"`
	Stop             []string        `json:"stop,omitempty"`
	Tools            json.RawMessage `json:"tools,omitempty"` // with them the answer is one JSON object, as Reply
	ToolChoice       json.RawMessage `json:"tool_choice,omitempty"`
	Format           json.RawMessage `json:"response_format,omitempty"`
	Stream           bool            `json:"stream"`
	StreamOptions    *streamOptions  `json:"stream_options,omitempty"`
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
			Calls   []struct {
				Index    int    `json:"index"`
				ID       string `json:"id"`
				Function struct {
					Name      string `json:"name"`
					Arguments string `json:"arguments"`
				} `json:"function"`
			} `json:"tool_calls"`
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
	if chat.Tools != nil {
		reply := &Reply{Role: "assistant"}
		give, said := emit, &strings.Builder{}
		emit = func(text string) error { said.WriteString(text); return nil }
		a, err = c.read(ctx, resp.Body, emit, reply)
		if err != nil {
			return a, err
		}
		reply.Content = said.String()
		body, err := json.Marshal(reply)
		if err != nil {
			return a, err
		}
		a.Deltas = max(a.Deltas, 1)
		return a, give(string(body))
	}
	return c.read(ctx, resp.Body, emit, nil)
}

// Reply is an assistant's turn where it may call tools: the result of a job with the parameter tools.
type Reply struct {
	Role    string     `json:"role"`
	Content string     `json:"content"`
	Calls   []ToolCall `json:"tool_calls,omitempty"`
}

// ToolCall is one call of a tool.
type ToolCall struct {
	ID       string       `json:"id"`
	Type     string       `json:"type"`
	Function calledByName `json:"function"`
}

type calledByName struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"` // JSON, as the model wrote it
}

// maxCalls bounds the calls of one turn.
const maxCalls = 128

// read reads a stream to its end. Calls of tools go into reply; without one they are left out.
func (c *Client) read(ctx context.Context, from io.Reader, emit func(text string) error, reply *Reply) (a Answer, err error) {
	stream := newStream(from)
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
		for _, call := range part.Choices[0].Delta.Calls {
			if reply == nil {
				break
			}
			if call.Index < 0 || call.Index > len(reply.Calls) || call.Index >= maxCalls {
				return a, fmt.Errorf("%w: %s called tools in no order", engine.ErrUnavailable, c.name)
			}
			if call.Index == len(reply.Calls) {
				reply.Calls = append(reply.Calls, ToolCall{Type: "function"})
			}
			to := &reply.Calls[call.Index]
			to.ID += call.ID
			to.Function.Name += call.Function.Name
			to.Function.Arguments += call.Function.Arguments
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
