package ollama

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"infernet/engine"
	"infernet/engine/internal/completions"
)

var _ completions.Wire = (*wire)(nil)

// wire speaks Ollama's API.
type wire struct {
	client  *completions.Client
	base    string // the server's root
	context int    // num_ctx of each request; 0: the server's own
	keep    string // keep_alive of each request; "": the server's own
}

func (w *wire) String() string { return w.client.String() }

func (w *wire) Close() { w.client.Close() }

// options are what Ollama calls the parameters of sampling. Nil fields are left to the model.
type options struct {
	Context          int      `json:"num_ctx,omitempty"`
	MaxTokens        int64    `json:"num_predict,omitempty"`
	Temperature      *float64 `json:"temperature,omitempty"`
	TopK             *int64   `json:"top_k,omitempty"`
	TopP             *float64 `json:"top_p,omitempty"`
	FrequencyPenalty *float64 `json:"frequency_penalty,omitempty"`
	PresencePenalty  *float64 `json:"presence_penalty,omitempty"`
	Seed             *int64   `json:"seed,omitempty"`
	Stop             []string `json:"stop,omitempty"`
}

// chat is a request to /api/chat. A prompt that does not fit is to be refused, not cut: the customer pays for all of it.
type chat struct {
	Model    string                `json:"model"`
	Messages []completions.Message `json:"messages"`
	Options  options               `json:"options"`
	Truncate bool                  `json:"truncate"`
	Shift    bool                  `json:"shift"`
	Keep     string                `json:"keep_alive,omitempty"`
}

// line is one line of a chat's stream.
type line struct {
	Message struct {
		Content string `json:"content"` // what a model thinks before it answers comes apart, and is no result
	} `json:"message"`
	Done       bool   `json:"done"`
	DoneReason string `json:"done_reason"`
	In         int64  `json:"prompt_eval_count"`
	Out        int64  `json:"eval_count"`
	Error      string `json:"error"`
}

// maxLine bounds one line of a stream, in bytes.
const maxLine = 1 << 20

// Chat streams a conversation's next turn.
func (w *wire) Chat(ctx context.Context, c *completions.Chat, emit func(text string) error) (completions.Answer, error) {
	if c.Tools != nil || c.Format != nil || slices.ContainsFunc(c.Messages, func(m completions.Message) bool { return m.Parts != nil || m.Calls != nil }) {
		// its server has them behind the common API, where a prompt that does not fit is cut silently
		return completions.Answer{}, &engine.InvalidError{Param: "tools", Reason: "nodes on Ollama take chats of text only"}
	}
	resp, err := w.client.Send(ctx, w.base+"/api/chat", chat{
		Model: c.Model, Messages: c.Messages, Keep: w.keep,
		Options: options{
			Context: w.context, MaxTokens: c.MaxTokens, Temperature: c.Temperature, TopK: c.TopK, TopP: c.TopP,
			FrequencyPenalty: c.FrequencyPenalty, PresencePenalty: c.PresencePenalty, Seed: c.Seed, Stop: c.Stop,
		},
	})
	if err != nil {
		return completions.Answer{}, err
	}
	defer resp.Body.Close()
	var a completions.Answer
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 16<<10), maxLine)
	for lines.Scan() {
		var said line
		if err := json.Unmarshal(lines.Bytes(), &said); err != nil {
			return a, fmt.Errorf("%w: %s streamed no JSON: %w", engine.ErrUnavailable, w, err)
		}
		if said.Error != "" {
			return a, w.client.Failed(said.Error)
		}
		if said.Message.Content != "" {
			if err := context.Cause(ctx); err != nil {
				return a, err // what is still buffered belongs to nobody
			}
			a.Deltas++
			if err := emit(said.Message.Content); err != nil {
				return a, err
			}
		}
		if said.Done {
			a.In, a.Out, a.Finish = said.In, said.Out, said.DoneReason
			return a, nil
		}
	}
	err = lines.Err()
	if err == nil || errors.Is(err, bufio.ErrTooLong) {
		err = errors.Join(err, io.ErrUnexpectedEOF)
	}
	return a, w.client.Lost(ctx, "stream broke off at", err)
}

// Embed gives one vector for each text. A text above the model's context is refused, not cut.
func (w *wire) Embed(ctx context.Context, model string, texts []string, dimensions int64) ([]json.RawMessage, int64, error) {
	ask := struct {
		Model      string   `json:"model"`
		Input      []string `json:"input"`
		Truncate   bool     `json:"truncate"`
		Dimensions int64    `json:"dimensions,omitempty"`
		Keep       string   `json:"keep_alive,omitempty"`
		Options    options  `json:"options"`
	}{model, texts, false, dimensions, w.keep, options{Context: w.context}}
	var got struct {
		Vectors []json.RawMessage `json:"embeddings"` // the server's own digits, not reprinted
		Tokens  int64             `json:"prompt_eval_count"`
	}
	if err := w.client.Call(ctx, w.base+"/api/embed", ask, &got); err != nil {
		return nil, 0, err
	}
	if len(got.Vectors) != len(texts) {
		return nil, 0, fmt.Errorf("%w: %s gave %d vectors for %d inputs", engine.ErrUnavailable, w, len(got.Vectors), len(texts))
	}
	for i, v := range got.Vectors {
		if !bytes.HasPrefix(v, []byte("[")) {
			return nil, 0, fmt.Errorf("%w: %s gave no vector for input %d", engine.ErrUnavailable, w, i+1)
		}
	}
	return got.Vectors, max(got.Tokens, 0), nil
}
