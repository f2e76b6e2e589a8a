package gateway

import (
	"encoding/json"
	"strings"

	"infernet/events"
)

// call is one call of a tool, as OpenAI's API writes it.
type call struct {
	Index    *int   `json:"index,omitempty"` // in streams
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// reply is what an answer says: text, and calls of tools.
type reply struct {
	Role    string `json:"role"`
	Content string `json:"content"`
	Calls   []call `json:"tool_calls"`
}

// reply reads a result: with tools it is the turn as one JSON object, from nodes that know tools; else it is text.
func (w *wish) reply(text string) reply {
	if w.tools && strings.HasPrefix(text, "{") {
		var r reply
		if err := json.Unmarshal([]byte(text), &r); err == nil && r.Role == "assistant" {
			for i := range r.Calls {
				if r.Calls[i].Type = "function"; r.Calls[i].ID == "" {
					r.Calls[i].ID = "call_" + string(rune('a'+i%26))
				}
			}
			return r
		}
	}
	return reply{Role: "assistant", Content: text}
}

// ending is why an answer ended.
func (r reply) ending(w *wish, u events.Usage) string {
	if len(r.Calls) > 0 {
		return "tool_calls"
	}
	return ending(w, u)
}
