package ollama

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"

	"infernet/engine"
	"infernet/engine/internal/completions"
)

// FuzzAnswers has an Ollama server answer anything, by a real connection: deltas are counted, lists are whole, and an error
// says whose fault it is.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		`{"message":{"content":"a"}}` + "\n" + `{"done":true,"done_reason":"stop","prompt_eval_count":1,"eval_count":1}` + "\n", `{"error":"model 'x' not found"}`, "{}\n7\n", "",
		`{"models":[{"name":"smol:latest","digest":"sha256:ab","context_length":-1}],"parameters":"num_ctx 9\nnum_ctx x\nstop \"","model_info":{"a.context_length":1e300},"capabilities":["completion"]}`,
		`{"models":[{"name":"","remote_host":"x"},{"name":"/..\\.gguf"}],"capabilities":[null]}`, `{"embeddings":[[1,2]],"prompt_eval_count":-1}`, `{"embeddings":[null]}`, `{"done":true}`,
	} {
		f.Add(200, []byte(body))
	}
	f.Add(400, []byte(`{"error":"the input length exceeds the context length"}`))
	f.Add(500, []byte("\xff"))
	var status atomic.Int64
	var body atomic.Pointer[[]byte]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		w.Write(*body.Load())
	}))
	f.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		f.Fatal(err)
	}
	at.Scheme = "ollama"
	w, opts, err := parse(at)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(w.Close)
	f.Fuzz(func(t *testing.T, code int, said []byte) {
		if code < 200 || code > 599 || code == 204 || code == 304 || code/100 == 3 {
			return
		}
		status.Store(int64(code))
		body.Store(&said)
		var deltas int64
		a, err := w.Chat(t.Context(), &completions.Chat{Model: "m"}, func(string) error { deltas++; return nil })
		var invalid *engine.InvalidError
		if a.Deltas != deltas || err == nil && code != 200 {
			t.Fatalf("%d %q: %d deltas, counted %d, %v", code, said, deltas, a.Deltas, err)
		}
		if err != nil && !errors.As(err, &invalid) && !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, engine.ErrTooLarge) && !errors.Is(err, engine.ErrUnknownModel) {
			t.Fatalf("an error without meaning: %v", err)
		}
		if list, err := w.List(t.Context(), opts); err == nil {
			for _, e := range list {
				if e.Slots < 1 || len(e.Kinds) == 0 || e.Context < 0 {
					t.Fatalf("%q lists %+v", said, e)
				}
			}
		}
		if vectors, tokens, err := w.Embed(t.Context(), "m", []string{"a"}, 0); err == nil && (len(vectors) != 1 || !bytes.HasPrefix(vectors[0], []byte("[")) || tokens < 0) {
			t.Fatalf("%q gives %q, %d", said, vectors, tokens)
		}
	})
}
