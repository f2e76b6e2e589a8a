package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"infernet/consumer"
	"infernet/events"
)

// turn is one message of a conversation, as jobs carry it.
type turn struct {
	Role     string          `json:"role"`
	Content  string          `json:"content"`
	Calls    json.RawMessage `json:"tool_calls,omitempty"`
	CallID   string          `json:"tool_call_id,omitempty"`
	pictures []string        // addresses: data: or http(s)
}

// maxTalk is how many bytes of a conversation travel in one job: events are small. The rest of one is left for the
// parameters and for what JSON and encryption add.
const maxTalk = events.MaxEncrypted - 4_000

// readTurn reads a message of OpenAI's API.
func readTurn(i int, raw json.RawMessage) (t turn, err error) {
	at := fmt.Sprintf("messages[%d]", i)
	var m struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
		Calls   json.RawMessage `json:"tool_calls"`
		CallID  string          `json:"tool_call_id"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return t, invalid(at, "%s is no message with role and content", at)
	}
	calls := bytes.HasPrefix(m.Calls, []byte("[")) && string(m.Calls) != "[]"
	switch m.Role {
	case "system", "user":
		t.Role = m.Role
	case "assistant":
		if t.Role = m.Role; calls {
			t.Calls = m.Calls
		}
	case "developer":
		t.Role = "system"
	case "tool":
		if t.Role, t.CallID = m.Role, m.CallID; t.CallID == "" {
			return t, invalid(at+".tool_call_id", "%s answers no call: it has no tool_call_id", at)
		}
	case "function":
		return t, notCarried(at, "functions have another name by now; tools are carried")
	default:
		return t, invalid(at+".role", "%s has role %.40q; there are system, developer, user, assistant, tool", at, m.Role)
	}
	if t.Calls != nil && (len(m.Content) == 0 || string(m.Content) == "null") {
		return t, nil
	}
	t.Content, t.pictures, err = readParts(at+".content", m.Content)
	if err == nil && len(t.pictures) > 0 && t.Role != "user" {
		err = notCarried(at+".content", "only the user shows pictures")
	}
	return t, err
}

// readContent reads a message's content: text, or parts that are text.
func readContent(at string, raw json.RawMessage) (text string, err error) {
	text, pictures, err := readParts(at, raw)
	if err == nil && len(pictures) > 0 {
		err = notCarried(at, "a picture; this is of text")
	}
	return text, err
}

// readParts reads a message's content: text, or parts that are text or pictures.
func readParts(at string, raw json.RawMessage) (text string, pictures []string, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil, invalid(at, "%s is missing", at)
	}
	if json.Unmarshal(raw, &text) == nil {
		return text, nil, nil
	}
	var parts []struct {
		Type  string          `json:"type"`
		Text  string          `json:"text"`
		Image json.RawMessage `json:"image_url"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", nil, invalid(at, "%s is neither a text nor an array of parts", at)
	}
	var all []string
	for i, p := range parts {
		here := fmt.Sprintf("%s[%d]", at, i)
		switch p.Type {
		case "text", "input_text":
			all = append(all, p.Text)
		case "image_url":
			var image struct {
				URL string `json:"url"`
			}
			if json.Unmarshal(p.Image, &image) != nil {
				json.Unmarshal(p.Image, &image.URL)
			}
			if events.IsDataURL(image.URL) {
				if mime, _, err := events.ParseDataURL(image.URL); err != nil || !strings.HasPrefix(mime, "image/") {
					return "", nil, invalid(here, "image_url is no picture in base64: data:image/png;base64,…")
				}
			} else if !strings.HasPrefix(image.URL, "https://") && !strings.HasPrefix(image.URL, "http://") {
				return "", nil, invalid(here, "image_url names no picture: want https://… or data:image/png;base64,…")
			}
			pictures = append(pictures, image.URL)
		default:
			return "", nil, notCarried(here, fmt.Sprintf("a part of type %.40q; chats are of text and pictures", p.Type))
		}
	}
	return joined(all), pictures, nil
}

// talk puts a conversation into a job: what was said before as a parameter, the last turn as the input. One that is larger
// than an event travels as a file, encrypted.
func (w *wish) talk(turns []turn) error {
	if len(turns) == 0 {
		return invalid("messages", "messages is empty; the least is one of role user")
	}
	last := turns[len(turns)-1]
	switch {
	case last.Role != "user" && last.Role != "tool":
		return notCarried("messages", "the last message has to be of role user or tool, not "+last.Role)
	case last.Content == "" && last.Role == "tool":
		last.Content = "(it gave nothing)"
	case last.Content == "" && len(last.pictures) == 0:
		return invalid("messages", "the last message is empty")
	}
	before, err := json.Marshal(turns[:len(turns)-1])
	if err != nil {
		return err
	}
	quoted, err := json.Marshal([]string{string(before), last.Content}) // as it will be written in the event
	if err != nil {
		return err
	}
	size := len(quoted)
	for _, p := range w.order.Params {
		size += len(p.Values[0])
	}
	earlier := slices.ContainsFunc(turns[:len(turns)-1], func(t turn) bool { return len(t.pictures) > 0 })
	if size > maxTalk || earlier {
		if w.order.Way != consumer.Direct {
			return tooLong(size)
		}
		return w.talkFile(turns)
	}
	if len(turns) > 1 {
		w.set("messages", string(before))
	}
	if last.Role == "tool" {
		w.set("tool_call_id", last.CallID)
	}
	if last.Content != "" {
		w.order.Inputs = []events.Input{{Value: last.Content, Type: "text"}}
	}
	for _, address := range last.pictures {
		if err := w.picture(address, maxTalk-size); err != nil {
			return err
		}
		if events.IsDataURL(address) {
			size += len(address)
		}
	}
	return nil
}

// picture puts a picture into the job: one that is small as it is, a larger one as a file, one elsewhere by its address.
func (w *wish) picture(address string, room int) error {
	if !events.IsDataURL(address) || len(address) <= room {
		w.order.Inputs = append(w.order.Inputs, events.Input{Value: address, Type: "url"})
		return nil
	}
	if w.order.Way != consumer.Direct {
		return tooLong(len(address))
	}
	mime, body, err := events.ParseDataURL(address)
	if err != nil {
		return err
	}
	return w.file(mime, body)
}

// chatType is the MIME type of an input that is a whole conversation.
const chatType = "application/vnd.infernet.chat+json"

// maxFile is how large a conversation may be that travels as a file, in bytes.
const maxFile = 900 << 10

// talkFile puts a whole conversation into a file of the job, with its tools.
func (w *wish) talkFile(turns []turn) error {
	chat := object{}
	all := make([]object, len(turns))
	for i, t := range turns {
		all[i] = object{"role": t.Role, "content": t.Content}
		if t.Calls != nil {
			all[i]["tool_calls"] = t.Calls
		}
		if t.CallID != "" {
			all[i]["tool_call_id"] = t.CallID
		}
		if len(t.pictures) > 0 {
			parts := []object{{"type": "text", "text": t.Content}}
			for _, address := range t.pictures {
				if !events.IsDataURL(address) {
					return notCarried("messages", "a picture by its address in an earlier message; send it as data:image/…;base64,…")
				}
				parts = append(parts, object{"type": "image_url", "image_url": object{"url": address}})
			}
			all[i]["content"] = parts
		}
	}
	chat["messages"] = all
	w.order.Params = slices.DeleteFunc(w.order.Params, func(p events.Param) bool {
		if !slices.Contains([]string{"tools", "tool_choice", "response_format"}, p.Name) {
			return false
		}
		chat[p.Name] = json.RawMessage(p.Values[0])
		return true
	})
	body, err := json.Marshal(chat)
	if err != nil {
		return err
	}
	if len(body) > maxFile {
		f := tooLong(len(body))
		f.Message = fmt.Sprintf("the conversation has %d bytes, at most %d travel; leave its first messages out", len(body), maxFile)
		return f
	}
	w.chat = len(body)
	w.order.SizeIn = sizeOf(body, len(turns))
	return w.file(chatType, body)
}

// sizeOf is how many tokens a conversation has at most, but for very odd ones: of ASCII no token is shorter than three bytes on
// average, of other scripts than two.
func sizeOf(body []byte, turns int) int64 {
	other := 0
	for _, c := range body {
		if c >= 0x80 {
			other++
		}
	}
	return int64(len(body)-other)/3 + int64(other)/2 + 16*int64(turns) + 512
}

// file writes a file beside, for the job to take along; it is removed once the job was bought.
func (w *wish) file(mime string, body []byte) error {
	if w.dir == "" {
		dir, err := os.MkdirTemp("", "infernet-gateway-")
		if err != nil {
			return err
		}
		w.dir = dir
	}
	path := filepath.Join(w.dir, fmt.Sprint("input-", len(w.order.Files)))
	if err := os.WriteFile(path, body, 0o600); err != nil {
		return err
	}
	w.order.Files = append(w.order.Files, consumer.InFile{Path: path, Mime: mime})
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
	Calls   []call  `json:"tool_calls,omitempty"`
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
	if err := b.readTools(w); err != nil {
		return err
	}
	if err := b.refuseWhatIsNotCarried(); err != nil {
		return err
	}
	if err := b.readFormat(w); err != nil {
		return err
	}
	if err := b.params(w); err != nil {
		return err
	}
	return w.talk(turns)
}

// readTools takes tools as they are. An answer that may call tools comes whole: its node says it in one piece.
func (b body) readTools(w *wish) error {
	raw, ok := b["tools"]
	if !ok || string(raw) == "[]" || string(b["tool_choice"]) == `"none"` {
		delete(b, "tools")
		delete(b, "tool_choice")
		return nil
	}
	var tools []json.RawMessage
	if _, err := b.read("tools", &tools); err != nil {
		return err
	}
	for i, tool := range tools {
		var t struct {
			Type     string
			Function struct{ Name string }
		}
		if json.Unmarshal(tool, &t) != nil || t.Type != "function" || t.Function.Name == "" {
			return invalid(fmt.Sprintf("tools[%d]", i), "tools[%d] is no function with a name; there are no other tools", i)
		}
	}
	w.set("tools", compact(raw))
	if choice, ok := b["tool_choice"]; ok {
		delete(b, "tool_choice")
		w.set("tool_choice", compact(choice))
	}
	w.tools = true
	w.order.Params = slices.DeleteFunc(w.order.Params, func(p events.Param) bool { return p.Name == "stream" })
	return nil
}

func compact(raw json.RawMessage) string {
	var to bytes.Buffer
	if json.Compact(&to, raw) != nil {
		return string(raw)
	}
	return to.String()
}

// readFormat takes response_format as it is.
func (b body) readFormat(w *wish) error {
	var format struct {
		Type string `json:"type"`
	}
	raw := b["response_format"]
	ok, err := b.read("response_format", &format)
	if err != nil || !ok || format.Type == "text" {
		return err
	}
	if format.Type != "json_object" && format.Type != "json_schema" {
		return invalid("response_format", "response_format.type %.40q is none of text, json_object, json_schema", format.Type)
	}
	w.set("response_format", compact(raw))
	return nil
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
	if err := w.talk([]turn{{Role: "user", Content: prompt}}); err != nil {
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
		said := w.reply(got.Text)
		c := f.answer(said.Content, said.ending(w, got.Usage))
		if len(said.Calls) > 0 {
			c.Message.Calls = said.Calls
		}
		writeJSON(rw, http.StatusOK, completion{
			ID: f.prefix + string(got.Job), Object: f.whole, Created: created, Model: got.Model, Bill: bill, Choices: []choice{c}, Usage: usageOf(got),
		})
		return
	}
	var to *sse
	chunk := completion{Object: f.chunk, Created: created, Model: w.name()}
	send := func(c choice) error {
		chunk.Choices = []choice{c}
		return to.send("", chunk)
	}
	var said reply
	got, err := g.follow(r.Context(), w).play(func(job events.ID, node events.PubKey) {
		chunk.ID = f.prefix + string(job)
		setMarket(rw.Header(), job, node)
		to = newSSE(rw, "text/event-stream")
		if f.first != nil {
			send(*f.first) // what fails fails again with the first piece
		}
	}, func(text string) error {
		if !w.tools {
			return send(f.piece(text))
		}
		if said = w.reply(text); said.Content != "" { // it comes in one piece
			if err := send(f.piece(said.Content)); err != nil {
				return err
			}
		}
		for i := range said.Calls {
			at := i
			said.Calls[i].Index = &at
		}
		if len(said.Calls) == 0 {
			return nil
		}
		return send(choice{Delta: &chatMessage{Calls: said.Calls}})
	})
	switch {
	case err != nil && to == nil:
		g.fail(rw, r, err)
	case err != nil:
		to.send("", map[string]any{"error": g.failed(r, err)})
	default:
		chunk.Bill, chunk.Model = billOf(got), got.Model
		if send(f.last(said.ending(w, got.Usage))) != nil {
			return
		}
		if withUsage {
			chunk.Choices, chunk.Usage, chunk.Bill = []choice{}, usageOf(got), nil
			to.send("", chunk)
		}
		to.raw([]byte("data: [DONE]\n\n"))
	}
}
