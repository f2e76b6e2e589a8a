package completions

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"infernet/engine"
	"infernet/events"
)

// TestStreamCutAnywhere reads the same events however the bytes arrive.
func TestStreamCutAnywhere(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		var page bytes.Buffer
		var want []string
		for range rng.IntN(6) {
			data := strings.Repeat("é", rng.IntN(3)) + strings.Repeat("x", rng.IntN(20_000))
			want = append(want, data)
			end := []string{"\n\n", "\r\n\r\n"}[rng.IntN(2)]
			fmt.Fprintf(&page, "%sdata:%s%s%s", []string{"", ": ping\n\n", "event: delta\nid: 7\n"}[rng.IntN(3)], []string{"", " "}[rng.IntN(2)], data, end)
		}
		var in io.Reader = &page
		switch rng.IntN(3) {
		case 0:
			in = iotest.OneByteReader(in)
		case 1:
			in = iotest.DataErrReader(in)
		}
		s := newStream(in)
		for i, w := range want {
			if got, err := s.next(); err != nil || string(got) != w {
				t.Fatalf("event %d: %d bytes, %v; want %d bytes", i, len(got), err, len(w))
			}
		}
		if _, err := s.next(); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("the end: %v", err)
		}
	}
}

func TestUnknownNamesThoseNear(t *testing.T) {
	have := []engine.Model{{ID: "llama-3.1-8b"}, {ID: "qwen3-8b"}, {ID: "qwen3-14b"}, {ID: "mistral"}, {ID: "gemma"}}
	for asked, want := range map[string]string{"qwen": "qwen3-14b, qwen3-8b", "mistrel": "near it: mistral", "llama-3.2-8b": "near it: llama-3.1-8b"} {
		if err := Unknown(asked, have); !errors.Is(err, engine.ErrUnknownModel) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", asked, err, want)
		}
	}
	if err := Unknown("x", nil); !errors.Is(err, engine.ErrUnknownModel) {
		t.Errorf("none at all: %v", err)
	}
}

func TestNamesAndKinds(t *testing.T) {
	for id, want := range map[string]string{"/models/Qwen3-8B-Q4_K_M.gguf": "qwen3-8b-q4_k_m", `C:\m\A.gguf`: "a", "meta-llama/Llama-3": "meta-llama/llama-3", "qwen3:8b": "qwen3:8b"} {
		if got := Name(id); got != want {
			t.Errorf("Name(%s) is %s, want %s", id, got, want)
		}
	}
	for id, want := range map[string]int{"qwen3:8b": 3, "nomic-embed-text": 1, "all-minilm": 1, "whisper-1": 1, "tts-1-hd": 1, "dall-e-3": 1, "omni-moderation-latest": 0, "gpt-4o-audio-preview": 0} {
		if got := KindsOf(id); len(got) != want {
			t.Errorf("KindsOf(%s) is %v", id, got)
		}
	}
	for tag, want := range map[string]string{"": "English", "de": "German", "pt-BR": "Portuguese (pt-BR)", "xx": "xx"} {
		if got := language(tag); got != want {
			t.Errorf("language(%s) is %s, want %s", tag, got, want)
		}
	}
}

func TestConversationRefusals(t *testing.T) {
	for _, bad := range []string{`hello`, `{}`, `[] []`, `[{"role":"tool","content":"x"}]`, `[{"role":"user"}]`, `[{"role":"user","content":7}]`,
		`[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://10.0.0.1/"}}]}]`} {
		_, err := conversation(bad)
		var invalid *engine.InvalidError
		if !errors.As(err, &invalid) || invalid.Param != "messages" {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestFileInputs(t *testing.T) {
	dir := t.TempDir()
	open := func(name string, data []byte) *os.File {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	job := engine.Job{Kind: events.KindSummary, Inputs: []engine.Input{{Text: "one"}, {File: open("two.txt", []byte("two"))}}}
	for range 2 { // an estimate, then the run
		texts, err := Texts(job)
		if err != nil || len(texts) != 2 || texts[1] != "two" {
			t.Errorf("%q, %v", texts, err)
		}
	}
	var invalid *engine.InvalidError
	if _, err := Texts(engine.Job{Inputs: []engine.Input{{File: open("a.png", []byte("\x89PNG\xff\x00"))}}}); !errors.As(err, &invalid) || invalid.Param != "i" {
		t.Errorf("a picture as text: %v", err)
	}
	if _, err := Texts(engine.Job{Inputs: []engine.Input{{File: open("big.txt", bytes.Repeat([]byte("a"), maxInput+1))}}}); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("a huge file: %v", err)
	}
}
