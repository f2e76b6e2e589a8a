package enginetest

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"infernet/engine"
	"infernet/events"
)

// TinyModel is the path of the small model in testdata: 0.8 M parameters that count, spell and repeat, trained by
// train-tiny-tasks.py beside it.
func TinyModel(t testing.TB) string {
	t.Helper()
	_, here, _, ok := runtime.Caller(0)
	if !ok {
		t.Fatal("the test binary does not know where its sources are")
	}
	return filepath.Join(filepath.Dir(here), "testdata", "tiny-tasks-Q8_0.gguf")
}

// Tiny is a sample for engines that serve TinyModel under the given id. Its context is 256 tokens, a letter each.
func Tiny(model string, embeddings bool) Sample {
	ask := func(prompt string, params ...string) engine.Job {
		return Text(model, prompt, append(params, "temperature", "0")...)
	}
	s := Sample{
		Jobs: []Canary{
			{ask("Count to 12"), "1 2 3 4 5 6 7 8 9 10 11 12"},
			{ask("Spell lantern"), "l a n t e r n"},
			{ask("Who are you?"), "I am a tiny test model"},
			{ask("What is the capital of Italy?"), "Rome"},
		},
		Long:  ask("Count to 20", "max_tokens", "200"),
		Large: ask(strings.Repeat("Count to 12. ", 40)),
		Bad: map[string]engine.Job{
			"max_tokens":  ask("hi", "max_tokens", "0"),
			"temperature": Text(model, "hi", "temperature", "9"),
			"top_p":       ask("hi", "top_p", "much"),
			"messages":    ask("hi", "messages", `[{"role":"wizard","content":"abracadabra"}]`),
		},
	}
	if embeddings {
		s.Embed = &engine.Job{Kind: events.KindEmbeddings, Model: model, Inputs: []engine.Input{{Text: "hello"}, {Text: "Count to 12"}}}
	}
	return s
}
