package gateway

import (
	"encoding/json"
	"net/http"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/httpd"
)

// The same chats in the shape of Ollama's API, for tools that look for it: one JSON object a line, streamed unless a request
// says otherwise.

func refuseOllama(w http.ResponseWriter, _ *http.Request, no *httpd.Refusal) {
	writeJSON(w, no.Status, object{"error": no.Detail})
}

func (g *Gateway) failOllama(w http.ResponseWriter, r *http.Request, err error) {
	f := g.failed(r, err)
	f.heads(w.Header())
	writeJSON(w, f.Status, object{"error": f.Message})
}

// serveTags is GET /api/tags: the models that give text or vectors.
func (g *Gateway) serveTags(w http.ResponseWriter, r *http.Request) {
	all, err := g.Models(r.Context())
	if err != nil {
		g.failOllama(w, r, err)
		return
	}
	tags := []object{}
	for _, m := range all {
		tags = append(tags, object{
			"name": m.ID, "model": m.ID, "modified_at": time.Unix(m.Created, 0).UTC().Format(time.RFC3339), "size": 0, "digest": "",
			"details": object{"format": "infernet", "family": "", "families": nil, "parameter_size": "", "quantization_level": ""},
		})
	}
	writeJSON(w, http.StatusOK, object{"models": tags})
}

// serveOllamaVersion is GET /api/version: the version of the API that is spoken.
func serveOllamaVersion(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, object{"version": "0.5.0"})
}

// ollamaForm is how an answer's pieces are written: those of a chat or of a text.
type ollamaForm struct {
	read  func(b body) ([]turn, error)
	piece func(text string) object
}

var ollamaChat = ollamaForm{
	read: func(b body) (turns []turn, err error) {
		var raw []json.RawMessage
		if _, err := b.read("messages", &raw); err != nil {
			return nil, err
		}
		for i, m := range raw {
			var images struct {
				Images []json.RawMessage `json:"images"`
			}
			if json.Unmarshal(m, &images) == nil && len(images.Images) > 0 {
				return nil, notCarried("images", "chats are of text")
			}
			t, err := readTurn(i, m)
			if err != nil {
				return nil, err
			}
			turns = append(turns, t)
		}
		return turns, nil
	},
	piece: func(text string) object { return object{"message": object{"role": "assistant", "content": text}} },
}

var ollamaText = ollamaForm{
	read: func(b body) (turns []turn, err error) {
		var system, prompt string
		if _, err := b.read("system", &system); err != nil {
			return nil, err
		}
		if _, err := b.read("prompt", &prompt); err != nil {
			return nil, err
		}
		for _, name := range []string{"images", "suffix", "context", "template"} {
			if raw, ok := b[name]; ok && string(raw) != `""` && string(raw) != "[]" {
				return nil, notCarried(name, "a job has a text and what was said before it")
			}
			delete(b, name)
		}
		delete(b, "raw")
		if system != "" {
			turns = append(turns, turn{Role: "system", Content: system})
		}
		return append(turns, turn{Role: "user", Content: prompt}), nil
	},
	piece: func(text string) object { return object{"response": text} },
}

// ollamaNames are parameters that have another name there.
var ollamaNames = map[string]string{"num_predict": "max_tokens"}

// serveOllama is POST /api/chat and POST /api/generate.
func (g *Gateway) serveOllama(form ollamaForm) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		b, err := readBody(r)
		if err != nil {
			g.failOllama(rw, r, err)
			return
		}
		w, stream, err := g.readOllama(r, b, form)
		if err != nil {
			g.failOllama(rw, r, err)
			return
		}
		g.answerOllama(rw, r, w, form, stream)
	}
}

func (g *Gateway) readOllama(r *http.Request, b body, form ollamaForm) (w *wish, stream bool, err error) {
	if _, ok := b["stream"]; !ok {
		b["stream"] = json.RawMessage("true")
	}
	var options body
	if _, err := b.read("options", &options); err != nil {
		return nil, false, err
	}
	for name, value := range options {
		if other := ollamaNames[name]; other != "" {
			if name = other; string(value) == "-1" { // as long as it gets
				continue
			}
		}
		if name == "num_ctx" || name == "num_gpu" || name == "num_thread" || name == "num_batch" { // of a machine, which is another's
			continue
		}
		b[name] = value
	}
	for _, name := range []string{"keep_alive", "logprobs", "top_logprobs"} {
		delete(b, name)
	}
	if raw, ok := b["think"]; ok && string(raw) != "false" {
		return nil, false, notCarried("think", "nodes give text, and not what came before it")
	}
	delete(b, "think")
	if raw, ok := b["format"]; ok && string(raw) != `""` {
		return nil, false, notCarried("format", "nodes give text")
	}
	delete(b, "format")
	turns, err := form.read(b)
	if err != nil {
		return nil, false, err
	}
	if w, stream, _, err = g.textWish(r, b); err != nil {
		return nil, false, err
	}
	if err := b.refuseWhatIsNotCarried(); err != nil {
		return nil, false, err
	}
	if err := w.talk(turns); err != nil {
		return nil, false, err
	}
	return w, stream, b.params(w)
}

func (g *Gateway) answerOllama(rw http.ResponseWriter, r *http.Request, w *wish, form ollamaForm, stream bool) {
	line := func(text string, model string, done bool) object {
		o := form.piece(text)
		o["model"], o["created_at"], o["done"] = model, g.Now().UTC().Format(time.RFC3339Nano), done
		return o
	}
	last := func(text string, got *consumer.Delivery) object {
		o := line(text, got.Model, true)
		first := got.First
		if first == 0 {
			first = got.Took
		}
		o["done_reason"], o["infernet"] = ending(w, got.Usage), billOf(got)
		o["total_duration"], o["load_duration"] = got.Took.Nanoseconds(), 0
		o["prompt_eval_count"], o["prompt_eval_duration"] = got.Usage.In, first.Nanoseconds()
		o["eval_count"], o["eval_duration"] = got.Usage.Out, (got.Took - first).Nanoseconds()
		return o
	}
	if !stream {
		got, err := g.buy(r.Context(), w, func(consumer.Step) {})
		if err != nil {
			g.failOllama(rw, r, err)
			return
		}
		billOf(got).heads(rw.Header())
		writeJSON(rw, http.StatusOK, last(got.Text, got))
		return
	}
	var to *sse
	got, err := g.follow(r.Context(), w).play(func(job events.ID, node events.PubKey) {
		setMarket(rw.Header(), job, node)
		to = newSSE(rw, "application/x-ndjson")
	}, func(text string) error { return to.line(line(text, w.name(), false)) })
	switch {
	case err != nil && to == nil:
		g.failOllama(rw, r, err)
	case err != nil:
		to.line(object{"error": g.failed(r, err).Message})
	default:
		to.line(last("", got))
	}
}
