package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"infernet/consumer"
	"infernet/events"
)

// turn is one message of a conversation, as jobs carry it.
type turn struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// maxTalk is how many bytes of a conversation travel in one job: events are small. The rest of one is left for the
// parameters and for what JSON and encryption add.
const maxTalk = events.MaxEncrypted - 4_000

// readTurn reads a message of OpenAI's API.
func readTurn(i int, raw json.RawMessage) (t turn, err error) {
	at := fmt.Sprintf("messages[%d]", i)
	var m struct {
		Role      string          `json:"role"`
		Content   json.RawMessage `json:"content"`
		ToolCalls json.RawMessage `json:"tool_calls"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return t, invalid(at, "%s is no message with role and content", at)
	}
	switch m.Role {
	case "system", "user", "assistant":
		t.Role = m.Role
	case "developer":
		t.Role = "system"
	case "tool", "function":
		return t, notCarried(at, "nodes give text, and no calls of tools")
	default:
		return t, invalid(at+".role", "%s has role %.40q; there are system, developer, user, assistant", at, m.Role)
	}
	if len(m.ToolCalls) > 0 && string(m.ToolCalls) != "null" && string(m.ToolCalls) != "[]" {
		return t, notCarried(at+".tool_calls", "nodes give text, and no calls of tools")
	}
	t.Content, err = readContent(at+".content", m.Content)
	return t, err
}

// readContent reads a message's content: text, or parts that are text.
func readContent(at string, raw json.RawMessage) (text string, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", invalid(at, "%s is missing", at)
	}
	if json.Unmarshal(raw, &text) == nil {
		return text, nil
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", invalid(at, "%s is neither a text nor an array of parts", at)
	}
	var all []string
	for i, p := range parts {
		if p.Type != "text" && p.Type != "input_text" {
			return "", notCarried(fmt.Sprintf("%s[%d]", at, i), fmt.Sprintf("a part of type %.40q; chats are of text", p.Type))
		}
		all = append(all, p.Text)
	}
	return joined(all), nil
}

// talk puts a conversation into a job: what was said before as a parameter, the last turn as the input.
func (w *wish) talk(turns []turn) error {
	if len(turns) == 0 {
		return invalid("messages", "messages is empty; the least is one of role user")
	}
	last := turns[len(turns)-1]
	if last.Role != "user" {
		return notCarried("messages", "the last message has to be of role user, not "+last.Role)
	}
	if last.Content == "" {
		return invalid("messages", "the last message is empty")
	}
	before := ""
	if turns = turns[:len(turns)-1]; len(turns) > 0 {
		body, err := json.Marshal(turns)
		if err != nil {
			return err
		}
		before = string(body)
		w.set("messages", before)
	}
	quoted, err := json.Marshal([]string{before, last.Content}) // as it will be written in the event
	if err != nil {
		return err
	}
	if len(quoted) > maxTalk {
		return tooLong(len(quoted))
	}
	w.order.Inputs = []events.Input{{Value: last.Content, Type: "text"}}
	return nil
}

func tooLong(size int) *failure {
	param := "messages"
	return &failure{Status: http.StatusBadRequest, Type: invalidRequest, Code: "context_length_exceeded", Param: &param,
		Message: fmt.Sprintf("the conversation takes %d bytes of a job, at most %d travel; leave its first messages out", size, maxTalk)}
}

// textWish reads what all requests for text have in common; the text itself is the caller's to read.
func (g *Gateway) textWish(r *http.Request, b body) (w *wish, stream, usage bool, err error) {
	var model string
	if _, err := b.read("model", &model); err != nil {
		return nil, false, false, err
	}
	options, err := b.options(r.Header)
	if err != nil {
		return nil, false, false, err
	}
	if w, err = g.wish(r, events.KindText, model, options); err != nil {
		return nil, false, false, err
	}
	if _, err := b.read("stream", &stream); err != nil {
		return nil, false, false, err
	}
	var streamed struct {
		Usage bool `json:"include_usage"`
	}
	if _, err := b.read("stream_options", &streamed); err != nil {
		return nil, false, false, err
	}
	var most int64
	for _, name := range []string{"max_tokens", "max_completion_tokens"} { // the newer name counts
		ok, err := b.read(name, &most)
		if err != nil {
			return nil, false, false, err
		}
		if ok && most < 1 {
			return nil, false, false, invalid(name, "%s: %d is below 1", name, most)
		}
	}
	if most > 0 {
		w.set("max_tokens", strconv.FormatInt(most, 10))
	}
	stops, err := b.stops()
	if err != nil {
		return nil, false, false, err
	}
	if len(stops) > 0 {
		w.set("stop", stops...)
	}
	sealed := len(w.order.Pay) > 0 && w.order.Pay[0] == events.PaySealed // nothing of it is seen before it is paid
	if stream && !sealed {
		w.set("stream", "true")
	}
	return w, stream, streamed.Usage, nil
}

type usage struct {
	Prompt     int64 `json:"prompt_tokens"`
	Completion int64 `json:"completion_tokens"`
	Total      int64 `json:"total_tokens"`
	Cost       *bill `json:"infernet,omitempty"`
}

func usageOf(d *consumer.Delivery) *usage {
	return &usage{d.Usage.In, d.Usage.Out, d.Usage.In + d.Usage.Out, billOf(d)}
}

type chatMessage struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
	Refusal *string `json:"refusal,omitempty"`
}

type choice struct {
	Index    int          `json:"index"`
	Message  *chatMessage `json:"message,omitempty"`
	Delta    *chatMessage `json:"delta,omitempty"`
	Text     *string      `json:"text,omitempty"`
	Logprobs *struct{}    `json:"logprobs"`
	Finish   *string      `json:"finish_reason"`
}

// completion is an answer, or a chunk of one.
type completion struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
	Bill    *bill    `json:"infernet,omitempty"`
}

// form is how an answer is written: as chats or as completions are.
type form struct {
	prefix, whole, chunk string
	answer               func(text, finish string) choice
	first                *choice // before the first piece
	piece                func(text string) choice
	last                 func(finish string) choice
}

var chatForm = form{
	prefix: "chatcmpl-", whole: "chat.completion", chunk: "chat.completion.chunk",
	answer: func(text, finish string) choice {
		return choice{Message: &chatMessage{Role: "assistant", Content: &text}, Finish: &finish}
	},
	first: &choice{Delta: &chatMessage{Role: "assistant", Content: new(string)}},
	piece: func(text string) choice { return choice{Delta: &chatMessage{Content: &text}} },
	last:  func(finish string) choice { return choice{Delta: &chatMessage{}, Finish: &finish} },
}

var textForm = form{
	prefix: "cmpl-", whole: "text_completion", chunk: "text_completion",
	answer: func(text, finish string) choice { return choice{Text: &text, Finish: &finish} },
	piece:  func(text string) choice { return choice{Text: &text} },
	last:   func(finish string) choice { return choice{Text: new(string), Finish: &finish} },
}

// serveChat is POST /v1/chat/completions.
func (g *Gateway) serveChat(rw http.ResponseWriter, r *http.Request) {
	b, err := readBody(r)
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	w, stream, withUsage, err := g.textWish(r, b)
	if err == nil {
		err = g.readChat(b, w)
	}
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	g.answer(rw, r, w, chatForm, stream, withUsage)
}

func (g *Gateway) readChat(b body, w *wish) error {
	var raw []json.RawMessage
	if _, err := b.read("messages", &raw); err != nil {
		return err
	}
	turns := make([]turn, len(raw))
	for i, m := range raw {
		var err error
		if turns[i], err = readTurn(i, m); err != nil {
			return err
		}
	}
	if err := b.refuseWhatIsNotCarried(); err != nil {
		return err
	}
	if err := b.readFormat(); err != nil {
		return err
	}
	if err := w.talk(turns); err != nil {
		return err
	}
	return b.params(w)
}

// readFormat takes response_format where it asks for text.
func (b body) readFormat() error {
	var format struct {
		Type string `json:"type"`
	}
	ok, err := b.read("response_format", &format)
	if err != nil || !ok || format.Type == "text" {
		return err
	}
	return notCarried("response_format", fmt.Sprintf("type %.40q; nodes give text", format.Type))
}

// serveCompletion is POST /v1/completions: the prompt is a chat's only turn.
func (g *Gateway) serveCompletion(rw http.ResponseWriter, r *http.Request) {
	b, err := readBody(r)
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	w, stream, withUsage, err := g.textWish(r, b)
	if err == nil {
		err = g.readPrompt(b, w)
	}
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	g.answer(rw, r, w, textForm, stream, withUsage)
}

func (g *Gateway) readPrompt(b body, w *wish) error {
	raw := b["prompt"]
	delete(b, "prompt")
	var prompt string
	if err := json.Unmarshal(raw, &prompt); err != nil {
		var several []string
		switch err := json.Unmarshal(raw, &several); {
		case err != nil:
			return invalid("prompt", "prompt is neither a text nor an array with one; tokens are not taken")
		case len(several) != 1:
			return notCarried("prompt", fmt.Sprintf("%d prompts at once; each job has one", len(several)))
		}
		prompt = several[0]
	}
	if prompt == "" {
		return invalid("prompt", "prompt is missing or empty")
	}
	if err := b.refuseWhatIsNotCarried(); err != nil {
		return err
	}
	if err := w.talk([]turn{{"user", prompt}}); err != nil {
		return err
	}
	return b.params(w)
}

// answer buys a text and writes it, whole or while it is made.
func (g *Gateway) answer(rw http.ResponseWriter, r *http.Request, w *wish, f form, stream, withUsage bool) {
	created := g.Now().Unix()
	if !stream {
		got, err := g.buy(r.Context(), w, func(consumer.Step) {})
		if err != nil {
			g.fail(rw, r, err)
			return
		}
		bill := billOf(got)
		bill.heads(rw.Header())
		writeJSON(rw, http.StatusOK, completion{
			ID: f.prefix + string(got.Job), Object: f.whole, Created: created, Model: got.Model, Bill: bill,
			Choices: []choice{f.answer(got.Text, ending(w, got.Usage))}, Usage: usageOf(got),
		})
		return
	}
	var to *sse
	chunk := completion{Object: f.chunk, Created: created, Model: w.name()}
	send := func(c choice) error {
		chunk.Choices = []choice{c}
		return to.send("", chunk)
	}
	got, err := g.follow(r.Context(), w).play(func(job events.ID, node events.PubKey) {
		chunk.ID = f.prefix + string(job)
		setMarket(rw.Header(), job, node)
		to = newSSE(rw, "text/event-stream")
		if f.first != nil {
			send(*f.first) // what fails fails again with the first piece
		}
	}, func(text string) error { return send(f.piece(text)) })
	switch {
	case err != nil && to == nil:
		g.fail(rw, r, err)
	case err != nil:
		to.send("", map[string]any{"error": g.failed(r, err)})
	default:
		chunk.Bill, chunk.Model = billOf(got), got.Model
		if send(f.last(ending(w, got.Usage))) != nil {
			return
		}
		if withUsage {
			chunk.Choices, chunk.Usage, chunk.Bill = []choice{}, usageOf(got), nil
			to.send("", chunk)
		}
		to.raw([]byte("data: [DONE]\n\n"))
	}
}
