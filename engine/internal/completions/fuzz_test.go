package completions

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"infernet/engine"
	"infernet/events"
)

// answering is a client whose server answers everything with the same.
func answering(status int, body []byte) *Client {
	c := NewClient(Config{Base: &url.URL{Scheme: "http", Host: "127.0.0.1:1", Path: "/v1"}, Key: "topsecretkey"})
	c.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}, nil
	})
	return c
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// FuzzChat streams anything as a server's answer: what is handed on is counted, and an error says whose fault it is.
func FuzzChat(f *testing.F) {
	for _, body := range []string{
		`data: {"choices":[{"delta":{"content":"a"}}]}` + "\n\n" + `data: {"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}` + "\n\ndata: [DONE]\n\n",
		"data:{\"choices\":null}\r\n\r\ndata:[DONE]", ": ping\n\ndata: 7\n\n", "error: {\"code\":400,\"message\":\"Field 'top_k'\"}\n\n", `data: {"error":"out of memory"}` + "\n\n",
		`data: {"error":{"code":1e300}}` + "\n", `data: {"choices":[{"finish_reason":"stop"}]}` + "\n", "error:x\n", "", "data: " + strings.Repeat("x", 20_000),
		`data: {"usage":{"prompt_tokens":-5,"completion_tokens":9223372036854775807}}` + "\n\ndata: [DONE]\n\n",
	} {
		f.Add(200, []byte(body))
	}
	f.Add(400, []byte(`{"error":{"message":"the key topsecretkey is wrong","param":7,"code":{}}}`))
	f.Add(404, []byte(`{"detail":[{"loc":["body"],"msg":"model"}]}`))
	f.Add(413, []byte("\xff\x00"))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		var deltas int64
		a, err := answering(status, body).Chat(t.Context(), &Chat{Model: "m"}, func(text string) error {
			if deltas++; text == "" {
				t.Fatal("an empty delta")
			}
			return nil
		})
		if a.Deltas != deltas {
			t.Fatalf("%d deltas, counted %d", deltas, a.Deltas)
		}
		known(t, err)
		if err == nil && status != http.StatusOK {
			t.Fatalf("%d passes", status)
		}
	})
}

// known says that an error has a meaning for who ran the engine, in one line.
func known(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var invalid *engine.InvalidError
	if !errors.As(err, &invalid) && !errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, engine.ErrTooLarge) && !errors.Is(err, engine.ErrUnknownModel) {
		t.Fatalf("an error without meaning: %v", err)
	}
	if !utf8.ValidString(err.Error()) {
		t.Fatalf("an error that is no text: %q", err)
	}
}

// FuzzLists answers anything where a list of models, vectors, properties, sound or a picture was asked for: what is taken is
// whole.
func FuzzLists(f *testing.F) {
	for _, body := range []string{
		`{"data":[{"id":"m","owned_by":"llamacpp","meta":{"n_ctx":7}}]}`, `{"data":[{"embedding":[1],"index":0},{"embedding":[2],"index":1}]}`,
		`{"data":[{"embedding":"AAAA","index":-1}]}`, `{"data":[{"embedding":null,"index":99}]}`, `{"data":[{"b64_json":"AAAA"}]}`, `{"data":[{"b64_json":"A"}]}`,
		`{"text":"x","duration":1e308,"segments":[{"start":-1,"end":9e99,"text":null}]}`, `{"total_slots":-1,"default_generation_settings":null}`, `{"tokens":[1,2]}`, `{"prompt":7}`, "[]", "",
		`{"data":[{"id":"","max_model_len":-9}]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := answering(http.StatusOK, body)
		if list, err := c.List(t.Context(), Options{}); err == nil {
			for _, e := range list {
				if e.Slots < 1 || len(e.Kinds) == 0 || e.ID != Name(e.Server) {
					t.Fatalf("%s lists %+v", body, e)
				}
			}
		}
		vectors, _, err := c.Embed(t.Context(), "m", []string{"a", "b"}, 0)
		if err == nil && len(vectors) != 2 {
			t.Fatalf("%s gives %d vectors", body, len(vectors))
		}
		for _, v := range vectors {
			if err == nil && !json.Valid(v) {
				t.Fatalf("%s gives the vector %s", body, v)
			}
		}
		if image, err := c.Paint(t.Context(), Picture{}); err == nil && len(image) == 0 {
			t.Fatalf("%s is no picture", body)
		}
		c.Transcribe(t.Context(), Hearing{Audio: []byte("x"), Mime: "audio/ogg"})
		c.Speak(t.Context(), Speech{})
		c.Props(t.Context())
		c.Count(t.Context(), nil)
		// as a job: what comes of it can be written into a result
		s := NewServer(c, Options{Kinds: []int{events.KindEmbeddings, events.KindText, events.KindTranscription, events.KindSpeech, events.KindImage}})
		defer s.Close()
		for _, kind := range []int{events.KindEmbeddings, events.KindSpeech, events.KindImage} {
			out, err := s.Run(t.Context(), engine.Job{ID: "x", Kind: kind, Inputs: []engine.Input{{Text: "a"}}, Dir: t.TempDir()}, func(engine.Part) error { return nil })
			if err != nil {
				continue
			}
			if out.Usage.In < 0 || out.Usage.Out < 0 || !utf8.ValidString(out.Text) {
				t.Fatalf("%s makes %+v", body, out)
			}
			for _, file := range out.Files {
				if _, err := os.Stat(file.Path); err != nil || file.Mime == "" {
					t.Fatalf("%s makes the file %+v, %v", body, file, err)
				}
			}
		}
	})
}

// FuzzPrompt reads anything as the conversation before a prompt: a stranger's parameter, refused or text only.
func FuzzPrompt(f *testing.F) {
	for _, s := range []string{
		`[{"role":"user","content":"a"}]`, `[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]`, `[] []`, `[null]`, `{}`, ``,
		`[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://10.0.0.1"}}]}]`, `[{"role":"assistant","content":"\ud800"}]`,
	} {
		f.Add(s, "a prompt")
	}
	f.Fuzz(func(t *testing.T, messages, input string) {
		chat, err := Prompt(engine.Job{Kind: events.KindText, Inputs: []engine.Input{{Text: input}}, Params: events.Params{{Name: "messages", Values: []string{messages}}}})
		if err != nil {
			known(t, err)
			return
		}
		for _, m := range chat.Messages {
			if m.Role != "user" && m.Role != "system" && m.Role != "assistant" {
				t.Fatalf("%q becomes a message of %q", messages, m.Role)
			}
		}
		if _, err := json.Marshal(chat); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzAddress reads anything as an engine's address: what reads dials over HTTP, and no error shows a password.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{"openai+http://127.0.0.1:8080/v1?kinds=5050,5001&slots=2", "x://u:hunter22@h/", "//h?slots=0", "x://h?kinds=1", "x://h?key_file=/none&a=b", "x:opaque", "x://h/?slots=%zz"} {
		f.Add(s, "http")
	}
	f.Fuzz(func(t *testing.T, s, scheme string) {
		u, err := url.Parse(s)
		if err != nil || u.Query().Has("key_file") {
			return
		}
		c, o, err := Form{Example: "x", Path: "/v1"}.Parse(u, scheme)
		if err != nil {
			if password, ok := u.User.Password(); ok && len(password) > 6 && strings.Contains(err.Error(), password) && !strings.Contains(u.Redacted(), password) {
				t.Fatalf("the error shows a password: %v", err)
			}
			return
		}
		if (c.Base.Scheme != "http" && c.Base.Scheme != "https") || c.Base.Host == "" || c.Base.User != nil || o.Slots < 0 {
			t.Fatalf("%q is read as %+v, %+v", s, c, o)
		}
		NewClient(c).Close()
	})
}

// FuzzDuration reads anything as a sound file: it lasts at least a second, and not longer than its bytes could.
func FuzzDuration(f *testing.F) {
	f.Add([]byte("RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"))
	f.Add([]byte("RIFF\xff\xff\xff\xffWAVEdata\xff\xff\xff\xffxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"))
	f.Add(append([]byte("OggS\x00\x02\xff\xff\xff\xff\xff\xff\xff\x7f"), bytes.Repeat([]byte{1}, 60)...))
	f.Add([]byte("ID3\x04\x00\x00\x7f\x7f\x7f\x7f"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, audio []byte) {
		if s := duration(audio); s < 1 && len(audio) > 0 || s < 0 || s > 1e9 {
			t.Fatalf("%d bytes last %d seconds", len(audio), s)
		}
	})
}
