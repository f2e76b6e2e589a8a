package completions

import (
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
	whole, job, err := wholeChat(job)
	if err != nil {
		return nil, err
	}
	pictures, job, err := picturesOf(job)
	if err != nil {
		return nil, err
	}
	texts, err := Texts(job)
	if err != nil {
		return nil, err
	}
	chat := &Chat{Model: job.Model}
	input := strings.Join(texts, "\n\n")
	switch job.Kind {
	case events.KindText:
		if system := job.Params.Text("system"); system != "" {
			chat.Messages = append(chat.Messages, Message{Role: "system", Content: system})
		}
		before, err := conversation(job.Params.Text("messages"))
		if err != nil {
			return nil, err
		}
		chat.Messages = append(chat.Messages, before...)
		if err := chat.extend(job, whole); err != nil {
			return nil, err
		}
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
	switch id := job.Params.Text("tool_call_id"); {
	case len(pictures) > 0:
		if input != "" {
			pictures = append([]Part{{Type: "text", Text: input}}, pictures...)
		}
		chat.Messages = append(chat.Messages, Message{Role: "user", Parts: pictures})
	case id != "" && job.Kind == events.KindText:
		chat.Messages = append(chat.Messages, Message{Role: "tool", Content: input, CallID: id})
	case input != "":
		chat.Messages = append(chat.Messages, Message{Role: "user", Content: input})
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
