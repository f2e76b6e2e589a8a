package completions

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"infernet/engine"
	"infernet/events"
)

// ChatType is the MIME type of an input that is a whole conversation: JSON of messages, tools, tool_choice and response_format, as
// in OpenAI's API. Conversations that are larger than an event travel so.
const ChatType = "application/vnd.infernet.chat+json"

// maxChat and maxPicture bound such an input, and the pictures of a job together, in bytes.
const (
	maxChat    = 4 << 20
	maxPicture = 12 << 20
)

// talk is a conversation as it travels in an input.
type talk struct {
	Messages   json.RawMessage `json:"messages"`
	Tools      json.RawMessage `json:"tools"`
	ToolChoice json.RawMessage `json:"tool_choice"`
	Format     json.RawMessage `json:"response_format"`
}

// wholeChat takes the input that is a conversation out of a job; nil if it has none.
func wholeChat(job engine.Job) (*talk, engine.Job, error) {
	var rest []engine.Input
	var found *talk
	for i, in := range job.Inputs {
		if in.File == nil || in.Mime != ChatType || job.Kind != events.KindText {
			rest = append(rest, in)
			continue
		}
		body, err := io.ReadAll(io.NewSectionReader(in.File, 0, maxChat+1))
		switch {
		case err != nil:
			return nil, job, fmt.Errorf("read input %d: %w", i+1, err)
		case len(body) > maxChat:
			return nil, job, fmt.Errorf("%w: a conversation above %d bytes", engine.ErrTooLarge, maxChat)
		case found != nil:
			return nil, job, &engine.InvalidError{Param: "i", Reason: "two conversations"}
		}
		found = &talk{}
		if err := json.Unmarshal(body, found); err != nil {
			return nil, job, &engine.InvalidError{Param: "i", Reason: "the conversation is no JSON: " + clip(err.Error(), 200)}
		}
	}
	job.Inputs = rest
	return found, job, nil
}

// picturesOf takes the inputs that are pictures out of a text job.
func picturesOf(job engine.Job) (all []Part, _ engine.Job, err error) {
	var rest []engine.Input
	left := int64(maxPicture)
	for i, in := range job.Inputs {
		if in.File == nil || !strings.HasPrefix(in.Mime, "image/") || job.Kind != events.KindText {
			rest = append(rest, in)
			continue
		}
		body, err := io.ReadAll(io.NewSectionReader(in.File, 0, left+1))
		if err != nil {
			return nil, job, fmt.Errorf("read input %d: %w", i+1, err)
		}
		if left -= int64(len(body)); left < 0 {
			return nil, job, fmt.Errorf("%w: pictures above %d bytes together", engine.ErrTooLarge, maxPicture)
		}
		all = append(all, Part{Type: "image_url", Image: &picture{"data:" + in.Mime + ";base64," + base64.StdEncoding.EncodeToString(body)}})
	}
	job.Inputs = rest
	return all, job, nil
}

// extend adds what a job says of tools and of the answer's form, in its parameters or in its conversation.
func (chat *Chat) extend(job engine.Job, whole *talk) error {
	given := talk{Tools: raw(job, "tools"), ToolChoice: raw(job, "tool_choice"), Format: raw(job, "response_format")}
	if whole != nil {
		given.Tools, given.ToolChoice, given.Format = whole.Tools, whole.ToolChoice, whole.Format
		said, err := conversation(string(whole.Messages))
		if err != nil {
			return err
		}
		chat.Messages = append(chat.Messages, said...)
	}
	for _, p := range []struct {
		name  string
		value json.RawMessage
		to    *json.RawMessage
		first string
	}{{"tools", given.Tools, &chat.Tools, "["}, {"tool_choice", given.ToolChoice, &chat.ToolChoice, `"{`}, {"response_format", given.Format, &chat.Format, "{"}} {
		if len(p.value) == 0 || string(p.value) == "null" {
			continue
		}
		if !json.Valid(p.value) || !strings.ContainsAny(string(p.value[:1]), p.first) {
			return &engine.InvalidError{Param: p.name, Reason: "not as OpenAI's API has it"}
		}
		*p.to = p.value
	}
	return nil
}

func raw(job engine.Job, name string) json.RawMessage {
	if text := strings.TrimSpace(job.Params.Text(name)); text != "" {
		return json.RawMessage(text)
	}
	return nil
}

// conversation reads the messages parameter. Content is text, or an array of parts: text, and pictures that are there
// themselves. What would have to be fetched is refused, since the server would fetch it.
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
		Calls   json.RawMessage `json:"tool_calls"`
		CallID  string          `json:"tool_call_id"`
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
		turn := Message{Role: m.Role, CallID: m.CallID}
		calls := bytes.HasPrefix(m.Calls, []byte("["))
		switch m.Role {
		case "system", "user":
		case "tool":
			if m.CallID == "" {
				return nil, invalid("message %d answers no call: it has no tool_call_id", i+1)
			}
		case "assistant":
			if calls {
				turn.Calls = m.Calls
			}
		default:
			return nil, invalid("message %d has role %q; there are system, user, assistant, tool", i+1, clip(m.Role, 40))
		}
		if turn.Calls == nil || len(m.Content) > 0 && string(m.Content) != "null" {
			var err error
			if turn.Content, turn.Parts, err = content(m.Content); err != nil {
				return nil, invalid("message %d: %s", i+1, err)
			}
		}
		out = append(out, turn)
	}
	return out, nil
}

// content reads one message's content: text, or parts where there are pictures among them.
func content(raw json.RawMessage) (text string, parts []Part, err error) {
	if bytes.HasPrefix(raw, []byte(`"`)) {
		err = json.Unmarshal(raw, &text)
		return text, nil, err
	}
	if err := json.Unmarshal(raw, &parts); err != nil || len(parts) == 0 {
		return "", nil, errors.New("content is neither text nor an array of parts")
	}
	var all strings.Builder
	pictures := false
	for _, p := range parts {
		switch {
		case p.Type == "text" && p.Image == nil:
			all.WriteString(p.Text)
		case p.Type == "image_url" && p.Image != nil && strings.HasPrefix(p.Image.URL, "data:image/"):
			pictures = true
		case p.Type == "image_url":
			return "", nil, errors.New("a picture that would have to be fetched; only data: addresses are served")
		default:
			return "", nil, fmt.Errorf("content of type %q; only text and image_url are served", clip(p.Type, 40))
		}
	}
	if !pictures {
		return all.String(), nil, nil
	}
	return "", parts, nil
}
