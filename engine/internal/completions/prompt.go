package completions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"infernet/engine"
	"infernet/events"
)

// maxInput bounds a job's inputs together, in bytes. Far above any model's context; below what hurts.
const maxInput = 16 << 20

// Prompt writes a text job (5050, 5001, 5002) as a conversation. The job's parameters have been checked.
func Prompt(job engine.Job) (*Chat, error) {
	texts, err := Texts(job)
	if err != nil {
		return nil, err
	}
	chat := &Chat{Model: job.Model}
	input := strings.Join(texts, "\n\n")
	switch job.Kind {
	case events.KindText:
		if system := job.Params.Text("system"); system != "" {
			chat.Messages = append(chat.Messages, Message{"system", system})
		}
		before, err := conversation(job.Params.Text("messages"))
		if err != nil {
			return nil, err
		}
		chat.Messages = append(chat.Messages, before...)
	case events.KindSummary:
		length := "a few sentences"
		if l := clip(job.Params.Text("length"), 256); l != "" {
			length = l
		}
		input = fmt.Sprintf("Summarize the text below in %s. Answer with the summary only.\n\n%s", length, input)
	case events.KindTranslation:
		input = fmt.Sprintf("Translate the text below into %s. Answer with the translation only.\n\n%s", language(job.Params.Text("language")), input)
	default:
		return nil, &engine.InvalidError{Param: "kind", Reason: fmt.Sprintf("%d is no kind of text job that a chat model serves", job.Kind)}
	}
	if input != "" {
		chat.Messages = append(chat.Messages, Message{"user", input})
	}
	if len(chat.Messages) == 0 {
		return nil, &engine.InvalidError{Param: "i", Reason: "a text job needs an input"}
	}
	chat.sample(job)
	return chat, nil
}

// sample copies the parameters that steer the choice of tokens. What the job does not say is the server's default, but for
// max_tokens: the kind's OutUnit was quoted, so it binds.
func (chat *Chat) sample(job engine.Job) {
	p := job.Params
	chat.MaxTokens = MostOut(job)
	float := func(name string) *float64 {
		if f, ok := p.Float(name); ok {
			return &f
		}
		return nil
	}
	chat.Temperature, chat.TopP = float("temperature"), float("top_p")
	chat.FrequencyPenalty, chat.PresencePenalty = float("frequency_penalty"), float("presence_penalty")
	if k, ok := p.Int("top_k"); ok {
		chat.TopK = &k
	}
	if seed, ok := p.Int("seed"); ok && seed >= 0 { // -1 is any
		chat.Seed = &seed
	}
	for _, param := range p {
		if param.Name == "stop" {
			chat.Stop = append(chat.Stop, param.Values...)
		}
	}
}

// MostOut is the most units out of a job: its max_tokens, else its kind's OutUnit.
func MostOut(job engine.Job) int64 {
	if n, ok := job.Params.Int("max_tokens"); ok {
		return n
	}
	return events.Kinds[job.Kind].OutUnit
}

// Texts reads a job's inputs; files must be text. A file's offset is left alone: a job is estimated, then run.
func Texts(job engine.Job) ([]string, error) {
	var texts []string
	left := int64(maxInput)
	for i, in := range job.Inputs {
		text := in.Text
		if in.File != nil {
			data, err := io.ReadAll(io.NewSectionReader(in.File, 0, left+1))
			if err != nil {
				return nil, fmt.Errorf("read input %d: %w", i+1, err)
			}
			text = string(data)
		}
		if left -= int64(len(text)); left < 0 {
			return nil, fmt.Errorf("%w: inputs above %d bytes", engine.ErrTooLarge, maxInput)
		}
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return nil, &engine.InvalidError{Param: "i", Reason: fmt.Sprintf("input %d is no text (UTF-8)", i+1)}
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// conversation reads the messages parameter. Content is text, or an array of text parts; parts that name something to
// fetch (pictures by URL) are refused, since the server would fetch it.
func conversation(param string) ([]Message, error) {
	if param == "" {
		return nil, nil
	}
	invalid := func(format string, a ...any) error {
		return &engine.InvalidError{Param: "messages", Reason: fmt.Sprintf(format, a...)}
	}
	var said []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	}
	in := json.NewDecoder(strings.NewReader(param))
	if err := in.Decode(&said); err != nil {
		return nil, invalid("no JSON array of {role, content}: %s", clip(err.Error(), 200))
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, invalid("more than one JSON value")
	}
	out := make([]Message, 0, len(said)+1)
	for i, m := range said {
		switch m.Role {
		case "system", "user", "assistant":
		default:
			return nil, invalid("message %d has role %q; there are system, user, assistant", i+1, clip(m.Role, 40))
		}
		text, err := content(m.Content)
		if err != nil {
			return nil, invalid("message %d: %s", i+1, err)
		}
		out = append(out, Message{m.Role, text})
	}
	return out, nil
}

// content reads one message's content.
func content(raw json.RawMessage) (text string, err error) {
	if bytes.HasPrefix(raw, []byte(`"`)) {
		err = json.Unmarshal(raw, &text)
		return text, err
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil || len(parts) == 0 {
		return "", errors.New("content is neither text nor an array of text parts")
	}
	var all strings.Builder
	for _, p := range parts {
		if p.Type != "text" {
			return "", fmt.Errorf("content of type %q; only text is served", clip(p.Type, 40))
		}
		all.WriteString(p.Text)
	}
	return all.String(), nil
}
