package ollama

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"infernet/engine"
	"infernet/engine/enginetest"
	"infernet/events"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// TestSuite holds the engine to the family's promises at a real Ollama server with a small real model.
func TestSuite(t *testing.T) {
	base := enginetest.Ollama(t)
	address := "ollama://" + strings.TrimPrefix(base, "http://")
	enginetest.Run(t, func(t *testing.T) engine.Engine { return open(t, address) }, enginetest.Tiny("tiny", false))

	t.Run("what only this API says", func(t *testing.T) {
		models, err := open(t, address+"?slots=4").Models(t.Context())
		if err != nil || len(models) != 1 {
			t.Fatalf("%+v, %v", models, err)
		}
		m := models[0]
		if m.ID != "tiny" || m.Context != 256 || m.Slots != 4 || !strings.HasPrefix(m.Digest, "sha256:") || len(m.Digest) != 71 || len(m.Kinds) != 3 {
			t.Errorf("%+v", m)
		}
	})
	t.Run("tokens are the server's", func(t *testing.T) {
		out, err := open(t, address).Run(t.Context(), enginetest.Text("tiny", "Count to 12", "temperature", "0"), func(engine.Part) error { return nil })
		if err != nil || out.Usage.In < 11 || out.Usage.In > 30 || out.Usage.Out < 12 || out.Usage.Out > 40 {
			t.Errorf("%+v, %v", out, err)
		}
	})
}

// serve opens an engine on a server that has two models of its own, one that it passes on, and answers the rest with handle.
func serve(t *testing.T, query string, handle http.HandlerFunc) engine.Engine {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/tags":
			io.WriteString(w, `{"models":[{"name":"Qwen3:8b","digest":"ab12"},{"name":"nomic:latest","digest":"cd34"},{"name":"big-cloud","remote_host":"https://elsewhere.example"},{"name":"old-embed"}]}`)
		case "/api/ps":
			io.WriteString(w, `{"models":[{"name":"Qwen3:8b","context_length":16384}]}`)
		case "/api/show":
			body, _ := io.ReadAll(r.Body)
			switch {
			case strings.Contains(string(body), "Qwen3"):
				io.WriteString(w, `{"capabilities":["completion","tools","thinking"],"model_info":{"qwen3.context_length":40960},"parameters":"stop \"x\"\nnum_ctx   8192"}`)
			case strings.Contains(string(body), "nomic"):
				io.WriteString(w, `{"capabilities":["embedding"],"model_info":{"nomic-bert.context_length":2048}}`)
			default:
				io.WriteString(w, `{"model_info":{}}`)
			}
		default:
			handle(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return open(t, "ollama+"+s.URL+query)
}

func say(lines ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, l := range lines {
			fmt.Fprintln(w, l)
			w.(http.Flusher).Flush()
		}
	}
}

func none(engine.Part) error { return nil }

func TestModelsSayWhatTheyAre(t *testing.T) {
	for query, loaded := range map[string]int{"": 16384, "?ctx=2000": 2000} {
		standard := standardContext
		if query != "" {
			standard = 2000
		}
		models, err := serve(t, query, nil).Models(t.Context())
		if err != nil || len(models) != 3 {
			t.Fatalf("%+v, %v", models, err)
		}
		embed := min(2048, standard)
		for i, want := range []engine.Model{
			{ID: "qwen3:8b", Digest: "sha256:ab12", Context: loaded, Slots: 1, Kinds: []int{5050, 5001, 5002}},
			{ID: "nomic", Digest: "sha256:cd34", Context: embed, Slots: 1, Kinds: []int{5800}},
			{ID: "old-embed", Context: standard, Slots: 1, Kinds: []int{5800}},
		} {
			if got := models[i]; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%q: model %+v, want %+v", query, got, want)
			}
		}
	}
}

func TestRequestCarriesTheParameters(t *testing.T) {
	var got string
	e := serve(t, "?ctx=2048&keep_alive=30m", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.URL.Path + " " + string(body)
		say(`{"message":{"content":"","thinking":"hm"}}`, `{"message":{"content":"ok"}}`, `{"message":{"content":""},"done":true,"done_reason":"stop","prompt_eval_count":9,"eval_count":2}`)(w, r)
	})
	job := enginetest.Text("qwen3:8b", "and now?", "system", "be brief", "temperature", "0.5", "top_k", "40", "top_p", "0.9", "frequency_penalty", "1", "presence_penalty", "-1", "seed", "7", "max_tokens", "99")
	job.Params = append(job.Params, events.Param{Name: "stop", Values: []string{"END"}})
	out, err := e.Run(t.Context(), job, none)
	if err != nil || out.Text != "ok" || out.Usage.In != 9 || out.Usage.Out != 2 {
		t.Fatalf("%+v, %v", out, err)
	}
	want := `/api/chat {"model":"Qwen3:8b","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"and now?"}],"options":{"num_ctx":2048,"num_predict":99,` +
		`"temperature":0.5,"top_k":40,"top_p":0.9,"frequency_penalty":1,"presence_penalty":-1,"seed":7,"stop":["END"]},"truncate":false,"shift":false,"keep_alive":"30m"}`
	if got != want {
		t.Errorf("the request was\n%s, want\n%s", got, want)
	}
}

func TestEmbeddings(t *testing.T) {
	var got string
	e := serve(t, "", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = string(body)
		io.WriteString(w, `{"embeddings":[[0.5,1e-3],[2,3]],"prompt_eval_count":5}`)
	})
	job := engine.Job{Kind: events.KindEmbeddings, Model: "nomic", Params: events.Params{{Name: "dimensions", Values: []string{"2"}}}, Inputs: []engine.Input{{Text: "a"}, {Text: "b"}}}
	out, err := e.Run(t.Context(), job, none)
	if err != nil || out.Text != "[[0.5,1e-3],[2,3]]" || out.Usage.In != 5 {
		t.Errorf("%+v, %v", out, err)
	}
	if want := `{"model":"nomic:latest","input":["a","b"],"truncate":false,"dimensions":2,"options":{}}`; got != want {
		t.Errorf("the request was %s, want %s", got, want)
	}
	job.Inputs = job.Inputs[:1]
	if _, err := e.Run(t.Context(), job, none); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("two vectors for one input: %v", err)
	}
}

// TestTrouble maps what the server does wrong, or says about it, to the engine's errors.
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
		{"dies in the middle", func(w http.ResponseWriter, r *http.Request) {
			say(`{"message":{"content":"half"}}`)(w, r)
			panic(http.ErrAbortHandler)
		}, engine.ErrUnavailable, "broke off"},
		{"ends without an end", say(`{"message":{"content":"half"}}`), engine.ErrUnavailable, "broke off"},
		{"error in the stream", say(`{"message":{"content":"half"}}`, `{"error":"llama runner process has terminated: CUDA error"}`), engine.ErrUnavailable, "CUDA error"},
		{"nonsense in the stream", say("<html>"), engine.ErrUnavailable, "no JSON"},
		{"an endless line", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("x", 2<<20)) }, engine.ErrUnavailable, "broke off"},
		{"too long a prompt", answer(400, `{"error":"the input length exceeds the context length"}`), engine.ErrTooLarge, "exceeds"},
		{"model gone", answer(404, `{"error":"model 'qwen3:8b' not found"}`), engine.ErrUnknownModel, "not found"},
		{"busy", answer(503, `{"error":"server busy, please try again.  maximum pending requests exceeded"}`), engine.ErrUnavailable, "busy"},
		{"broken", answer(500, `{"error":"model requires more system memory"}`), engine.ErrUnavailable, "memory"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := serve(t, "", c.handle).Run(t.Context(), enginetest.Text("qwen3:8b", "hi"), none)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %v with %q", err, c.want, c.text)
			}
		})
	}
}

func TestCancelEndsTheRequest(t *testing.T) {
	began, gone := make(chan struct{}), make(chan struct{})
	e := serve(t, "", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		close(began)
		<-r.Context().Done()
		close(gone)
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	if _, err := e.Run(ctx, enginetest.Text("qwen3:8b", "wait"), none); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Error("the server's request was not ended")
	}
}

func TestAddresses(t *testing.T) {
	for raw, want := range map[string]string{
		"ollama:": "http://127.0.0.1:11434", "ollama://": "http://127.0.0.1:11434", "ollama://gpu:1": "http://gpu:1",
		"ollama+http://gpu:1/": "http://gpu:1", "ollama+https://gpu/sub/": "https://gpu/sub", "ollama:?slots=2": "http://127.0.0.1:11434",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		w, _, err := parse(u)
		if err != nil || w.base != want {
			t.Errorf("%s: %+v, %v, want %s", raw, w, err, want)
		}
	}
	for raw, want := range map[string]string{
		"ollama:11434": "such as ollama://", "ollama+ftp://host": "such as ollama://", "ollama://host?ctx=3": "16", "ollama://host?keep_alive=long": "30m",
		"ollama://host?seed=1": "ctx, keep_alive", "ollama://u:sk-12345@host": "key_file=",
	} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), u, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sk-12345") {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
	}
}
