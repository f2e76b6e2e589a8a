package testnet

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"infernet/engine/enginetest"
	"infernet/events"
	"infernet/provider"
)

// weather is a tool, as OpenAI's API has it.
var weather = object{"type": "function", "function": object{
	"name": "weather", "description": "the weather of a place",
	"parameters": object{"type": "object", "properties": object{"unit": object{"type": "string", "enum": []string{"c", "f"}}}, "required": []string{"unit"}, "additionalProperties": false},
}}

// called reads the calls of an answer.
func called(t testing.TB, got said) (name, arguments, id, finish string) {
	t.Helper()
	var v struct {
		Choices []struct {
			Finish  string `json:"finish_reason"`
			Message struct {
				Calls []struct {
					ID       string
					Type     string
					Function struct{ Name, Arguments string }
				} `json:"tool_calls"`
			}
		}
	}
	if err := json.Unmarshal([]byte(got.text), &v); err != nil || got.code != 200 || len(v.Choices) != 1 || len(v.Choices[0].Message.Calls) != 2 {
		t.Fatalf("%d %s", got.code, got.text)
	}
	c := v.Choices[0].Message.Calls[0]
	return c.Function.Name, c.Function.Arguments, c.ID, v.Choices[0].Finish
}

// TestToolsOnARealEngine has a real, if tiny, model on a real server read tools and the answers of tools, and keep to a schema:
// the server's grammar makes it. That model calls no tool by itself. Pictures reach the engine, which says that this model has
// no eyes.
func TestToolsOnARealEngine(t *testing.T) {
	t.Parallel()
	n := Start(t)
	template, err := filepath.Abs("testdata/tools.jinja") // the tiny model's own knows no tools
	if err != nil {
		t.Fatal(err)
	}
	server := enginetest.LlamaServer(t, "--jinja", "--chat-template-file", template, "--parallel", "1", "-c", "2048", "--override-kv", "llama.context_length=int:2048")
	n.Provider("tiny", "openai+"+server+"/v1", func(c *provider.Config) { c.Slots = 1 })
	d := n.gateway(t, nil)
	ask := func(more ...any) object {
		return chatOf("Count to 3", append([]any{"model", "tiny", "temperature", 0, "seed", 1, "max_tokens", 48}, more...)...)
	}
	plain := d.post("/v1/chat/completions", ask()).object(t)
	with := d.post("/v1/chat/completions", ask("tools", []object{weather})).object(t)
	if with.Usage == nil || with.Usage.Prompt < plain.Usage.Prompt+200 { // the template writes them out
		t.Errorf("%+v with tools, %+v without", with.Usage, plain.Usage)
	}
	turns := []object{
		{"role": "user", "content": "Count to 3"},
		{"role": "assistant", "content": nil, "tool_calls": []object{{"id": "c1", "type": "function", "function": object{"name": "weather", "arguments": `{"unit":"c"}`}}}},
		{"role": "tool", "tool_call_id": "c1", "content": "sunny"},
	}
	after := d.post("/v1/chat/completions", ask("messages", turns, "tools", []object{weather}))
	if v := after.object(t); after.code != 200 || v.Choices[0].Message.Content == "" || v.Usage.Prompt < with.Usage.Prompt+20 {
		t.Errorf("%d %s", after.code, after.text)
	}
	schema := object{"type": "object", "properties": object{"ok": object{"type": "boolean"}}, "required": []string{"ok"}, "additionalProperties": false}
	form := object{"type": "json_schema", "json_schema": object{"name": "answer", "schema": schema, "strict": true}}
	for _, stream := range []bool{false, true} {
		got := d.post("/v1/chat/completions", ask("response_format", form, "stream", stream))
		text := ""
		if !stream {
			text = got.object(t).Choices[0].Message.Content
		}
		for line := range strings.Lines(got.text) {
			if data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: {"); ok {
				if v := (said{text: "{" + data}).object(t); len(v.Choices) > 0 {
					text += v.Choices[0].Delta.Content
				}
			}
		}
		var kept map[string]bool
		if err := json.Unmarshal([]byte(text), &kept); err != nil || len(kept) != 1 {
			t.Errorf("%v: %s", err, got.text)
		}
	}
	seen := d.post("/v1/chat/completions", ask("messages", []object{{"role": "user", "content": []object{{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": object{"url": dot}}}}}))
	if seen.code == 200 || !strings.Contains(seen.text, "image") {
		t.Errorf("a picture for a model without eyes: %d %s", seen.code, seen.text)
	}
}

// callsOf are the pieces in which a server streams two calls.
const callsOf = `data: {"choices":[{"delta":{"content":"let me see"}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"un"}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"it\":\"c\"}"}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":1,"id":"call_2","type":"function","function":{"name":"weather","arguments":"{}"}}]}}]}

data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}

data: [DONE]

`

// TestCallsOfTools has a server whose model calls tools: the calls come in OpenAI's and in Anthropic's shape, streamed or not, and
// are paid for as any other text.
func TestCallsOfTools(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[{"id":"tiny"}]}`) })
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, callsOf)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	n := Start(t)
	n.Provider("tools", "openai+"+server.URL+"/v1", func(c *provider.Config) { c.Price = events.Price{Base: events.Sat} })
	d := n.gateway(t, nil)
	ask := func(more ...any) object {
		return chatOf("how is it outside?", append([]any{"model", "tiny", "tools", []object{weather}, "tool_choice", "required"}, more...)...)
	}
	got := d.post("/v1/chat/completions", ask())
	if name, arguments, id, finish := called(t, got); name != "weather" || arguments != `{"unit":"c"}` || id != "call_1" || finish != "tool_calls" || got.object(t).Choices[0].Message.Content != "let me see" || got.head.Get("X-Infernet-Receipt") == "" {
		t.Errorf("%s", got.text)
	}
	streamed := d.post("/v1/chat/completions", ask("stream", true))
	if !strings.Contains(streamed.text, `"tool_calls":[{"index":0,"id":"call_1"`) || !strings.Contains(streamed.text, `{"index":1,"id":"call_2"`) || !strings.Contains(streamed.text, `"content":"let me see"`) ||
		!strings.Contains(streamed.text, `"finish_reason":"tool_calls"`) || !strings.HasSuffix(streamed.text, "data: [DONE]\n\n") {
		t.Errorf("%d %s", streamed.code, streamed.text)
	}
	claude := object{"model": "tiny", "max_tokens": 96, "messages": []object{
		{"role": "user", "content": "how is it?"}, {"role": "assistant", "content": []object{{"type": "text", "text": "hm"}, {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": object{"unit": "c"}}}},
		{"role": "user", "content": []object{{"type": "tool_result", "tool_use_id": "toolu_1", "content": []object{{"type": "text", "text": "sunny"}}}}},
	}, "tools": []object{{"name": "weather", "description": "the weather", "input_schema": weather["function"].(object)["parameters"]}}, "tool_choice": object{"type": "any"}}
	var message struct {
		Content []struct {
			Type, Text, ID, Name string
			Input                map[string]string
		}
		Stop string `json:"stop_reason"`
	}
	got = d.post("/v1/messages", claude)
	if err := json.Unmarshal([]byte(got.text), &message); err != nil || got.code != 200 || message.Stop != "tool_use" || len(message.Content) != 3 || message.Content[0].Text != "let me see" ||
		message.Content[1].Name != "weather" || message.Content[1].Input["unit"] != "c" || message.Content[2].ID != "call_2" {
		t.Errorf("%v: %d %s", err, got.code, got.text)
	}
	claude["stream"] = true
	if got := d.post("/v1/messages", claude); strings.Count(got.text, `"type":"tool_use"`) != 2 || !strings.Contains(got.text, "input_json_delta") || !strings.Contains(got.text, `"stop_reason":"tool_use"`) {
		t.Errorf("%d %s", got.code, got.text)
	}
}

// dot is a picture of one pixel.
const dot = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

// TestWhatAChatCarries holds what an engine's server is asked against what the app sent: tools, their calls and answers, the
// schema, pictures of any size, and a conversation many times larger than an event.
func TestWhatAChatCarries(t *testing.T) {
	t.Parallel()
	var asked atomic.Value
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"data":[{"id":"eyes"}]}`) })
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked.Store(string(body))
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: {\"choices\":[{\"delta\":{\"content\":\"seen\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	n := Start(t)
	n.Provider("eyes", "openai+"+server.URL+"/v1", func(c *provider.Config) { c.Price = events.Price{Base: events.Sat} })
	d := n.gateway(t, nil)
	chat := func(body object) (v struct {
		Messages []struct {
			Role    string
			Content json.RawMessage
			Calls   json.RawMessage `json:"tool_calls"`
			CallID  string          `json:"tool_call_id"`
		}
		Tools  json.RawMessage
		Choice json.RawMessage `json:"tool_choice"`
		Format json.RawMessage `json:"response_format"`
	}) {
		t.Helper()
		body["model"] = "eyes"
		if got := d.post("/v1/chat/completions", body); got.code != 200 || got.object(t).Choices[0].Message.Content != "seen" {
			t.Fatalf("%d %s", got.code, got.text)
		}
		text, _ := asked.Load().(string)
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	user := func(content any) object { return object{"role": "user", "content": content} }
	calls := []object{{"id": "c1", "type": "function", "function": object{"name": "weather", "arguments": `{"unit":"c"}`}}}
	v := chat(object{"tools": []object{weather}, "tool_choice": object{"type": "function", "function": object{"name": "weather"}}, "response_format": object{"type": "json_object"},
		"messages": []object{{"role": "system", "content": "be brief"}, user("hm"), {"role": "assistant", "tool_calls": calls}, {"role": "tool", "tool_call_id": "c1", "content": "sunny"}}})
	if len(v.Messages) != 4 || v.Messages[2].CallID != "" || !strings.Contains(string(v.Messages[2].Calls), `"id":"c1"`) || v.Messages[3].CallID != "c1" || string(v.Messages[3].Content) != `"sunny"` ||
		!strings.Contains(string(v.Tools), `"the weather of a place"`) || !strings.Contains(string(v.Choice), "weather") || !strings.Contains(string(v.Format), "json_object") {
		t.Errorf("%s", asked.Load())
	}
	picture := func(url string) object { return object{"type": "image_url", "image_url": object{"url": url}} }
	large := "data:image/png;base64," + base64.StdEncoding.EncodeToString(append(pixel(t), make([]byte, 300_000)...))
	for name, url := range map[string]string{"small": dot, "larger than an event": large} {
		v := chat(object{"messages": []object{user("before"), {"role": "assistant", "content": "yes"}, user([]object{{"type": "text", "text": "what is it?"}, picture(url)})}})
		if last := v.Messages[len(v.Messages)-1]; len(v.Messages) != 3 || !strings.Contains(string(last.Content), "what is it?") || !strings.Contains(string(last.Content), url) {
			t.Errorf("%s: %.300s", name, asked.Load())
		}
	}
	v = chat(object{"messages": []object{user([]object{{"type": "text", "text": "what was it?"}, picture(large)}), {"role": "assistant", "content": "a dot"}, user("are you sure?")}})
	if len(v.Messages) != 3 || !strings.Contains(string(v.Messages[0].Content), large) || string(v.Messages[2].Content) != `"are you sure?"` {
		t.Errorf("an earlier picture: %.300s", asked.Load())
	}
	long := strings.Repeat("a long story ", 20_000) // 260 kB
	v = chat(object{"tools": []object{weather}, "max_tokens": 7, "messages": []object{user(long), {"role": "assistant", "content": "oh"}, user("go on")}})
	if len(v.Messages) != 3 || string(v.Messages[0].Content) != `"`+long+`"` || !strings.Contains(string(v.Tools), "weather") {
		t.Errorf("a long one: %d messages, tools %s", len(v.Messages), v.Tools)
	}
	for name, body := range map[string]object{
		"no picture":         {"messages": []object{user([]object{picture("data:image/png;base64,!")})}},
		"no name":            {"messages": []object{user("hi")}, "tools": []object{{"type": "function"}}},
		"an answer to none":  {"messages": []object{user("hi"), {"role": "tool", "content": "x"}}},
		"another form":       {"messages": []object{user("hi")}, "response_format": object{"type": "xml"}},
		"a file of the disk": {"messages": []object{user([]object{picture("file:///etc/passwd")})}},
	} {
		body["model"] = "eyes"
		if got := d.post("/v1/chat/completions", body); got.code != 400 || got.object(t).Error == nil {
			t.Errorf("%s: %d %s", name, got.code, got.text)
		}
	}
}

// pixel is the picture's file.
func pixel(t *testing.T) []byte {
	t.Helper()
	_, body, err := events.ParseDataURL(dot)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
