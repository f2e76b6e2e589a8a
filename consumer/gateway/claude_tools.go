package gateway

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Tools and pictures as Anthropic's API writes them.

// block is one piece of a message's content there.
type block struct {
	Type    string          `json:"type"`
	Text    string          `json:"text"`
	ID      string          `json:"id"` // tool_use
	Name    string          `json:"name"`
	Input   json.RawMessage `json:"input"`
	Call    string          `json:"tool_use_id"` // tool_result
	Content json.RawMessage `json:"content"`
	Source  struct {
		Type string `json:"type"`
		Mime string `json:"media_type"`
		Data string `json:"data"`
		URL  string `json:"url"`
	} `json:"source"` // image
}

// readClaude reads a message: results of tools become turns of their own, before what the user says beside them.
func readClaude(i int, raw json.RawMessage) (turns []turn, err error) {
	at := fmt.Sprintf("messages[%d]", i)
	var m struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, invalid(at, "%s is no message with role and content", at)
	}
	var blocks []block
	if m.Role != "user" && m.Role != "assistant" || json.Unmarshal(m.Content, &blocks) != nil {
		t, err := readTurn(i, raw)
		return []turn{t}, err
	}
	own := turn{Role: m.Role}
	var texts []string
	var calls []call
	for k, b := range blocks {
		here := fmt.Sprintf("%s.content[%d]", at, k)
		switch b.Type {
		case "text":
			texts = append(texts, b.Text)
		case "thinking", "redacted_thinking": // of another model's own
		case "image":
			address := b.Source.URL
			if b.Source.Type == "base64" {
				address = "data:" + b.Source.Mime + ";base64," + b.Source.Data
			}
			part, err := json.Marshal([]object{{"type": "image_url", "image_url": object{"url": address}}})
			if err != nil {
				return nil, err
			}
			_, pictures, err := readParts(here, part)
			if err != nil {
				return nil, err
			}
			own.pictures = append(own.pictures, pictures...)
		case "tool_use":
			c := call{ID: b.ID, Type: "function"}
			if c.Function.Name, c.Function.Arguments = b.Name, string(b.Input); c.Function.Arguments == "" {
				c.Function.Arguments = "{}"
			}
			calls = append(calls, c)
		case "tool_result":
			if b.Call == "" {
				return nil, invalid(here, "%s answers no call: it has no tool_use_id", here)
			}
			text := ""
			if len(b.Content) > 0 && string(b.Content) != "null" {
				if text, err = readContent(here+".content", b.Content); err != nil {
					return nil, err
				}
			}
			turns = append(turns, turn{Role: "tool", Content: text, CallID: b.Call})
		default:
			return nil, notCarried(here, fmt.Sprintf("a block of type %.40q; chats are of text, pictures and tools", b.Type))
		}
	}
	if len(calls) > 0 {
		if own.Calls, err = json.Marshal(calls); err != nil {
			return nil, err
		}
	}
	if own.Content = strings.Join(texts, "\n"); own.Content != "" || own.Calls != nil || len(own.pictures) > 0 || len(turns) == 0 {
		turns = append(turns, own)
	}
	return turns, nil
}

// claudeTools writes the fields tools and tool_choice as OpenAI's API has them.
func (b body) claudeTools() error {
	var tools []struct {
		Type        string          `json:"type"`
		Name        string          `json:"name"`
		Description string          `json:"description,omitempty"`
		Schema      json.RawMessage `json:"input_schema"`
	}
	if ok, err := b.read("tools", &tools); err != nil {
		return err
	} else if ok && len(tools) > 0 {
		all := make([]object, len(tools))
		for i, t := range tools {
			if t.Type != "" && t.Type != "custom" {
				return notCarried(fmt.Sprintf("tools[%d]", i), fmt.Sprintf("%.60q runs on the service itself; tools of the caller's own are carried", t.Type))
			}
			f := object{"name": t.Name, "parameters": t.Schema}
			if t.Schema == nil {
				f["parameters"] = object{"type": "object"}
			}
			if t.Description != "" {
				f["description"] = t.Description
			}
			all[i] = object{"type": "function", "function": f}
		}
		raw, err := json.Marshal(all)
		if err != nil {
			return err
		}
		b["tools"] = raw
	}
	var choice struct {
		Type string `json:"type"`
		Name string `json:"name"`
	}
	ok, err := b.read("tool_choice", &choice)
	if err != nil || !ok {
		return err
	}
	switch choice.Type {
	case "auto", "none":
		b["tool_choice"] = json.RawMessage(`"` + choice.Type + `"`)
	case "any":
		b["tool_choice"] = json.RawMessage(`"required"`)
	case "tool":
		b["tool_choice"], err = json.Marshal(object{"type": "function", "function": object{"name": choice.Name}})
	default:
		err = invalid("tool_choice", "tool_choice.type %.40q is none of auto, any, tool, none", choice.Type)
	}
	return err
}

// input is a call's arguments as an object; what a model wrote that is none is shown as a text.
func (c call) input() json.RawMessage {
	var object map[string]any
	if json.Unmarshal([]byte(c.Function.Arguments), &object) == nil {
		return json.RawMessage(c.Function.Arguments)
	}
	raw, err := json.Marshal(map[string]string{"arguments": c.Function.Arguments})
	if err != nil {
		panic(err) // texts
	}
	return raw
}

// claudeContent is an answer's content.
func claudeContent(said reply) []object {
	content := []object{}
	if said.Content != "" || len(said.Calls) == 0 {
		content = append(content, object{"type": "text", "text": said.Content})
	}
	for _, c := range said.Calls {
		content = append(content, object{"type": "tool_use", "id": c.ID, "name": c.Function.Name, "input": c.input()})
	}
	return content
}
