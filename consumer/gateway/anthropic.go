package gateway

import (
	"encoding/json"
	"net/http"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/httpd"
)

// The same chats in the shape of Anthropic's API, for tools that speak only that.

// claudeTypes are the types of its errors by status.
var claudeTypes = map[int]string{
	http.StatusBadRequest: "invalid_request_error", http.StatusUnauthorized: "authentication_error", http.StatusPaymentRequired: "billing_error",
	http.StatusForbidden: "permission_error", http.StatusNotFound: "not_found_error", http.StatusRequestEntityTooLarge: "request_too_large",
	http.StatusTooManyRequests: "rate_limit_error", http.StatusServiceUnavailable: "overloaded_error", http.StatusGatewayTimeout: "timeout_error",
}

// claudeError is a failure in its shape.
func claudeError(f *failure) object {
	kind := claudeTypes[f.Status]
	if kind == "" {
		kind = "api_error"
	}
	detail := object{"type": kind, "message": f.Message}
	if f.Code != "" {
		detail["code"] = f.Code
	}
	if f.Market != nil {
		detail["infernet"] = f.Market
	}
	return object{"type": "error", "error": detail}
}

type object = map[string]any

func refuseClaude(w http.ResponseWriter, _ *http.Request, no *httpd.Refusal) {
	writeJSON(w, no.Status, claudeError(&failure{Status: no.Status, Message: no.Detail}))
}

func (g *Gateway) failClaude(w http.ResponseWriter, r *http.Request, err error) {
	f := g.failed(r, err)
	f.heads(w.Header())
	writeJSON(w, f.Status, claudeError(f))
}

// serveMessages is POST /v1/messages.
func (g *Gateway) serveMessages(rw http.ResponseWriter, r *http.Request) {
	b, err := readBody(r)
	if err != nil {
		g.failClaude(rw, r, err)
		return
	}
	w, stream, err := g.readMessages(r, b)
	if err != nil {
		g.failClaude(rw, r, err)
		return
	}
	if stream {
		g.streamMessage(rw, r, w)
		return
	}
	got, err := g.buy(r.Context(), w, func(consumer.Step) {})
	if err != nil {
		g.failClaude(rw, r, err)
		return
	}
	bill := billOf(got)
	bill.heads(rw.Header())
	writeJSON(rw, http.StatusOK, object{
		"id": "msg_" + string(got.Job), "type": "message", "role": "assistant", "model": got.Model, "content": claudeContent(w.reply(got.Text)),
		"stop_reason": claudeEnding(w, w.reply(got.Text), got.Usage), "stop_sequence": nil, "infernet": bill,
		"usage": object{"input_tokens": got.Usage.In, "output_tokens": got.Usage.Out},
	})
}

func claudeEnding(w *wish, said reply, u events.Usage) string {
	switch {
	case len(said.Calls) > 0:
		return "tool_use"
	case ending(w, u) == "length":
		return "max_tokens"
	}
	return "end_turn"
}

// readMessages reads a request: the system's text, the turns, and what it names otherwise than OpenAI does.
func (g *Gateway) readMessages(r *http.Request, b body) (w *wish, stream bool, err error) {
	if _, ok := b["max_tokens"]; !ok {
		return nil, false, invalid("max_tokens", "max_tokens is missing")
	}
	if stops, ok := b["stop_sequences"]; ok {
		b["stop"] = stops
		delete(b, "stop_sequences")
	}
	var thinking struct {
		Type string `json:"type"`
	}
	if ok, err := b.read("thinking", &thinking); err != nil {
		return nil, false, err
	} else if ok && thinking.Type != "disabled" {
		return nil, false, notCarried("thinking", "nodes give text, and not what came before it")
	}
	for _, name := range []string{"container", "context_management", "mcp_servers", "cache_control", "inference_geo"} { // of its own service
		delete(b, name)
	}
	var turns []turn
	if raw, ok := b["system"]; ok {
		delete(b, "system")
		text, err := readContent("system", raw)
		if err != nil {
			return nil, false, err
		}
		if text != "" {
			turns = append(turns, turn{Role: "system", Content: text})
		}
	}
	w, stream, _, err = g.textWish(r, b)
	if err != nil {
		return nil, false, err
	}
	var raw []json.RawMessage
	if _, err := b.read("messages", &raw); err != nil {
		return nil, false, err
	}
	for i, m := range raw {
		said, err := readClaude(i, m)
		if err != nil {
			return nil, false, err
		}
		turns = append(turns, said...)
	}
	if err := b.claudeTools(); err != nil {
		return nil, false, err
	}
	if err := b.readTools(w); err != nil {
		return nil, false, err
	}
	if err := b.refuseWhatIsNotCarried(); err != nil {
		return nil, false, err
	}
	if err := b.params(w); err != nil {
		return nil, false, err
	}
	return w, stream, w.talk(turns)
}

// streamMessage writes an answer while it is made.
func (g *Gateway) streamMessage(rw http.ResponseWriter, r *http.Request, w *wish) {
	var to *sse
	send := func(kind string, more object) error {
		more["type"] = kind
		return to.send(kind, more)
	}
	var said reply
	got, err := g.follow(r.Context(), w).play(func(job events.ID, node events.PubKey) {
		setMarket(rw.Header(), job, node)
		to = newSSE(rw, "text/event-stream")
		send("message_start", object{"message": object{
			"id": "msg_" + string(job), "type": "message", "role": "assistant", "model": w.name(), "content": []object{}, "stop_reason": nil, "stop_sequence": nil,
			"usage": object{"input_tokens": 0, "output_tokens": 0}, // known at the end only
		}})
		send("content_block_start", object{"index": 0, "content_block": object{"type": "text", "text": ""}})
	}, func(text string) error {
		if w.tools { // it comes in one piece
			said = w.reply(text)
			text = said.Content
		}
		if text == "" {
			return nil
		}
		return send("content_block_delta", object{"index": 0, "delta": object{"type": "text_delta", "text": text}})
	})
	switch {
	case err != nil && to == nil:
		g.failClaude(rw, r, err)
	case err != nil:
		to.send("error", claudeError(g.failed(r, err)))
	default:
		if send("content_block_stop", object{"index": 0}) == nil {
			for i, c := range said.Calls {
				send("content_block_start", object{"index": i + 1, "content_block": object{"type": "tool_use", "id": c.ID, "name": c.Function.Name, "input": object{}}})
				send("content_block_delta", object{"index": i + 1, "delta": object{"type": "input_json_delta", "partial_json": string(c.input())}})
				send("content_block_stop", object{"index": i + 1})
			}
			send("message_delta", object{
				"delta": object{"stop_reason": claudeEnding(w, said, got.Usage), "stop_sequence": nil}, "infernet": billOf(got),
				"usage": object{"input_tokens": got.Usage.In, "output_tokens": got.Usage.Out},
			})
			send("message_stop", object{})
		}
	}
}

// serveCount is POST /v1/messages/count_tokens: a guess, since every node counts with its model's own tokens.
func (g *Gateway) serveCount(rw http.ResponseWriter, r *http.Request) {
	b, err := readBody(r)
	if err != nil {
		g.failClaude(rw, r, err)
		return
	}
	b["max_tokens"] = json.RawMessage("1")
	w, _, err := g.readMessages(r, b)
	if err != nil {
		g.failClaude(rw, r, err)
		return
	}
	writeJSON(rw, http.StatusOK, object{"input_tokens": (len(w.order.Inputs[0].Value)+len(w.order.Params.Text("messages")))/3 + 10})
}
