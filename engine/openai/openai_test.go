package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"infernet/engine"
	"infernet/engine/enginetest"
	"infernet/events"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const list = `{"object":"list","data":[{"id":"Qwen3-8B","object":"model","owned_by":"vllm","max_model_len":4096},{"id":"text-embedding-3-small","object":"model"},{"id":"whisper-1","object":"model"}]}`

// serve opens an engine on a server that answers /v1/models with list and everything else with handle.
func serve(t *testing.T, handle http.HandlerFunc, query ...string) engine.Engine {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/models" {
			io.WriteString(w, list)
			return
		}
		handle(w, r)
	}))
	t.Cleanup(s.Close)
	return open(t, "openai+"+s.URL+"?"+strings.Join(query, "&"))
}

func open(t *testing.T, raw string) engine.Engine {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	e, err := Open(t.Context(), u, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

// say streams events and leaves the end to the caller.
func say(w http.ResponseWriter, events ...string) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range events {
		fmt.Fprintf(w, "data: %s\n\n", e)
		w.(http.Flusher).Flush()
	}
}

func delta(text string) string {
	quoted, _ := json.Marshal(text)
	return fmt.Sprintf(`{"choices":[{"index":0,"delta":{"content":%s},"finish_reason":null}]}`, quoted)
}

const finish = `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`

func run(ctx context.Context, e engine.Engine, job engine.Job) (out *engine.Output, said []string, err error) {
	out, err = e.Run(ctx, job, func(p engine.Part) error {
		said = append(said, p.(engine.Delta).Text)
		return nil
	})
	return out, said, err
}

// TestSuite runs the suite on a server that echoes the last message, so that it needs no model.
func TestSuite(t *testing.T) {
	handle := func(w http.ResponseWriter, r *http.Request) {
		var ask struct {
			Messages []struct{ Content string }
			Input    []string
		}
		json.NewDecoder(r.Body).Decode(&ask)
		if strings.HasSuffix(r.URL.Path, "/embeddings") {
			var data []string
			for i, text := range ask.Input {
				data = append([]string{fmt.Sprintf(`{"index":%d,"embedding":[%d,0.5]}`, i, len(text))}, data...) // any order
			}
			fmt.Fprintf(w, `{"data":[%s],"usage":{"prompt_tokens":4}}`, strings.Join(data, ","))
			return
		}
		text := ask.Messages[len(ask.Messages)-1].Content
		if len(text) > 5000 {
			w.WriteHeader(400)
			io.WriteString(w, `{"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 5000.","type":"BadRequestError","code":400}}`)
			return
		}
		for _, word := range strings.SplitAfter(text, " ") {
			say(w, delta(word))
		}
		say(w, finish, `{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":300}}`, "[DONE]")
	}
	sample := enginetest.Tiny("qwen3-8b", false)
	for i := range sample.Jobs {
		sample.Jobs[i].Want = sample.Jobs[i].Job.Inputs[0].Text
	}
	sample.Long = enginetest.Text("qwen3-8b", strings.Repeat("word ", 200))
	sample.Large = enginetest.Text("qwen3-8b", strings.Repeat("word ", 2000))
	sample.Embed = &engine.Job{Kind: events.KindEmbeddings, Model: "text-embedding-3-small", Inputs: []engine.Input{{Text: "a"}, {Text: "bcd"}}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/models" {
			io.WriteString(w, list)
			return
		}
		handle(w, r)
	}))
	defer server.Close()
	enginetest.Run(t, func(t *testing.T) engine.Engine {
		t.Cleanup(server.CloseClientConnections)
		e := open(t, "openai+"+server.URL)
		// the fake server's connection goroutines are not the engine's
		return &waiting{e, server}
	}, sample)
}

// waiting is an engine that, once closed, waits for the fake server's side of its connections too.
type waiting struct {
	engine.Engine
	server *httptest.Server
}

func (w *waiting) Close() error {
	err := w.Engine.Close()
	w.server.CloseClientConnections()
	return err
}

func (w *waiting) Estimate(ctx context.Context, job engine.Job) (events.Usage, error) {
	return w.Engine.(engine.Estimator).Estimate(ctx, job)
}

func TestModelsAreSortedByWhatTheyServe(t *testing.T) {
	e := serve(t, nil)
	models, err := e.Models(t.Context())
	if err != nil || len(models) != 3 || models[0].ID != "qwen3-8b" || models[0].Context != 4096 || models[0].Kinds[0] != 5050 ||
		models[1].Kinds[0] != 5800 || len(models[1].Kinds) != 1 || models[2].Kinds[0] != 5000 {
		t.Errorf("%+v, %v", models, err)
	}
}

func TestRequestCarriesTheParameters(t *testing.T) {
	var got map[string]any
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		json.NewDecoder(r.Body).Decode(&got)
		say(w, delta("ok"), finish, "[DONE]")
	})
	job := enginetest.Text("qwen3-8b", "and now?", "system", "be brief", "messages", `[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"text","text":"hello"}]}]`,
		"temperature", "0.5", "top_k", "40", "top_p", "0.9", "frequency_penalty", "1", "presence_penalty", "-1", "seed", "7", "max_tokens", "99")
	job.Params = append(job.Params, events.Param{Name: "stop", Values: []string{"END", "###"}})
	out, _, err := run(t.Context(), e, job)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"frequency_penalty":1,"max_tokens":99,"messages":[{"content":"be brief","role":"system"},{"content":"hi","role":"user"},{"content":"hello","role":"assistant"},{"content":"and now?","role":"user"}],` +
		`"model":"Qwen3-8B","presence_penalty":-1,"seed":7,"stop":["END","###"],"stream":true,"stream_options":{"include_usage":true},"temperature":0.5,"top_k":40,"top_p":0.9}`
	if text, _ := json.Marshal(got); string(text) != want {
		t.Errorf("the request was\n%s, want\n%s", text, want)
	}
	if out.Usage.In < 1 || out.Usage.Out != 1 {
		t.Errorf("usage without the server's count: %+v", out.Usage)
	}
}

func TestSummaryAndTranslationAreAsked(t *testing.T) {
	var asked string
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = string(body)
		say(w, delta("ok"), finish, "[DONE]")
	})
	for kind, c := range map[int]struct{ name, value, want string }{
		events.KindSummary:     {"length", "3 sentences", "in 3 sentences"},
		events.KindTranslation: {"language", "de", "into German"},
	} {
		job := enginetest.Text("", "the text", c.name, c.value)
		job.Kind = kind
		if _, _, err := run(t.Context(), e, job); err != nil || !strings.Contains(asked, c.want) || !strings.Contains(asked, "the text") {
			t.Errorf("kind %d asked %s, %v", kind, asked, err)
		}
	}
}

// TestDeltasAreNotHeldBack sees the first delta while the server waits for that very fact.
func TestDeltasAreNotHeldBack(t *testing.T) {
	seen := make(chan struct{})
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		say(w, delta("first"))
		select {
		case <-seen:
		case <-r.Context().Done():
			return
		}
		say(w, delta(" second"), finish, "[DONE]")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	said := ""
	_, err := e.Run(ctx, enginetest.Text("qwen3-8b", "go"), func(p engine.Part) error {
		if said == "" {
			close(seen)
		}
		said += p.(engine.Delta).Text
		return nil
	})
	if err != nil || said != "first second" {
		t.Errorf("said %q, %v", said, err)
	}
}

func TestCancelEndsTheRequest(t *testing.T) {
	began, gone := make(chan struct{}), make(chan struct{})
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		close(began)
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	if _, _, err := run(ctx, e, enginetest.Text("qwen3-8b", "wait")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the server's request was not ended")
	}
}

// TestTrouble maps what servers do wrong, or say about it, to the engine's errors.
func TestTrouble(t *testing.T) {
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status); io.WriteString(w, body) }
	}
	for _, c := range []struct {
		name   string
		handle http.HandlerFunc
		want   error
		text   string
	}{
		{"dies in the middle", func(w http.ResponseWriter, r *http.Request) { say(w, delta("half")); panic(http.ErrAbortHandler) }, engine.ErrUnavailable, "broke off"},
		{"ends without an end", func(w http.ResponseWriter, r *http.Request) { say(w, delta("half")) }, engine.ErrUnavailable, "broke off"},
		{"error in the stream", func(w http.ResponseWriter, r *http.Request) {
			say(w, delta("half"), `{"error":{"message":"CUDA out of memory","code":500}}`)
		}, engine.ErrUnavailable, "CUDA out of memory"},
		{"llama-server's error line", func(w http.ResponseWriter, r *http.Request) {
			say(w, delta("half"))
			io.WriteString(w, "error: {\"code\":500,\"message\":\"slot lost\"}\n\n")
		}, engine.ErrUnavailable, "slot lost"},
		{"nonsense in the stream", func(w http.ResponseWriter, r *http.Request) { say(w, "<html>") }, engine.ErrUnavailable, "no JSON"},
		{"an endless line", func(w http.ResponseWriter, r *http.Request) { w.Write(bytes.Repeat([]byte("x"), 2<<20)) }, engine.ErrUnavailable, "1 MiB"},
		{"model gone", answer(404, `{"error":{"message":"model \"x\" not found, try pulling it first"}}`), engine.ErrUnknownModel, "not found"},
		{"no such page", answer(404, `404 page not found`), engine.ErrUnavailable, "404"},
		{"context, OpenAI", answer(400, `{"error":{"message":"too long","code":"context_length_exceeded"}}`), engine.ErrTooLarge, "too long"},
		{"context, llama-server", answer(400, `{"error":{"code":400,"message":"the request exceeds","type":"exceed_context_size_error"}}`), engine.ErrTooLarge, "exceeds"},
		{"body too large", answer(413, ``), engine.ErrTooLarge, ""},
		{"overloaded", answer(429, `{"error":"slow down"}`), engine.ErrUnavailable, "429: slow down"},
		{"wrong key", answer(401, `{"error":{"message":"bad key sk-12345"}}`), engine.ErrUnavailable, "key_file="},
		{"broken", answer(500, `<h1>oops</h1>`), engine.ErrUnavailable, "500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := run(t.Context(), serve(t, c.handle), enginetest.Text("qwen3-8b", "hi"))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.text)
			}
			if strings.Contains(fmt.Sprint(err), "sk-12345") {
				t.Errorf("the error shows a key: %v", err)
			}
		})
	}
	t.Run("bad parameter", func(t *testing.T) {
		_, _, err := run(t.Context(), serve(t, answer(400, `{"error":{"message":"Field 'seed': too big","type":"invalid_request_error"}}`)), enginetest.Text("qwen3-8b", "hi"))
		var bad *engine.InvalidError
		if !errors.As(err, &bad) || bad.Param != "seed" {
			t.Errorf("error %v", err)
		}
	})
}

// TestEndWithoutDone takes a stream as whole that said why it finished but not [DONE].
func TestEndWithoutDone(t *testing.T) {
	e := serve(t, func(w http.ResponseWriter, r *http.Request) { say(w, delta("whole"), finish) })
	if out, _, err := run(t.Context(), e, enginetest.Text("qwen3-8b", "hi")); err != nil || out.Text != "whole" {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestUnreachableNamesTheAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	e := open(t, "openai+http://"+address)
	_, err = e.Models(t.Context())
	if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("models: %v", err)
	}
	_, _, err = run(t.Context(), e, enginetest.Text("qwen3-8b", "hi"))
	if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), address) {
		t.Errorf("run: %v", err)
	}
}

// TestConnectionHungUpInSilence answers on connections that end after each answer without saying so, as llama-server's do.
func TestConnectionHungUpInSilence(t *testing.T) {
	served := 0
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		served++
		io.Copy(io.Discard, r.Body)
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		body := `{"data":[{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":1}}`
		fmt.Fprintf(rw, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		rw.Flush()
		conn.Close()
	})
	job := engine.Job{Kind: events.KindEmbeddings, Model: "text-embedding-3-small", Inputs: []engine.Input{{Text: "a"}}}
	for i := range 200 {
		if _, _, err := run(t.Context(), e, job); err != nil {
			t.Fatalf("job %d: %v", i+1, err)
		}
	}
	if served != 200 {
		t.Errorf("the server saw %d jobs, want 200", served)
	}
}

func TestKeyTravelsOnlyInTheHeader(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("sk-12345\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var seen atomic.Value
	e := serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Authorization"))
		say(w, delta("ok"), finish, "[DONE]")
	}, "key_file="+file)
	if _, _, err := run(t.Context(), e, enginetest.Text("qwen3-8b", "hi")); err != nil {
		t.Fatal(err)
	}
	if seen.Load() != "Bearer sk-12345" {
		t.Errorf("the server saw %v", seen.Load())
	}
}

func TestBadAddress(t *testing.T) {
	for raw, want := range map[string]string{
		"openai:":                                     "such as openai+http://",
		"openai+ftp://host":                           "such as openai+http://",
		"openai+http://user:sk-12345@host/v1":         "key_file=",
		"openai+http://host/v1?key_file=/no/such/key": "/no/such/key",
		"openai+http://host/v1?kinds=1":               "5050",
		"openai+http://host/v1?slots=0":               "slots",
		"openai+http://host/v1?apikey=x":              "no such option",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(t.Context(), u, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sk-12345") {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
	}
}

func TestUnknownModelNamesThoseNear(t *testing.T) {
	_, _, err := run(t.Context(), serve(t, nil), enginetest.Text("qwen3", "hi"))
	if !errors.Is(err, engine.ErrUnknownModel) || !strings.Contains(err.Error(), "near it: qwen3-8b") {
		t.Errorf("%v", err)
	}
	_, _, err = run(t.Context(), serve(t, nil), enginetest.Text("text-embedding-3-small", "hi"))
	var bad *engine.InvalidError
	if !errors.As(err, &bad) || bad.Param != "model" {
		t.Errorf("an embeddings model asked for text: %v", err)
	}
}
