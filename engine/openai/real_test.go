package openai

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"infernet/engine"
	"infernet/engine/enginetest"
	"infernet/events"
)

// TestSuiteOnLlamaServer runs the suite on a real server with a real, if tiny, model.
func TestSuiteOnLlamaServer(t *testing.T) {
	base := enginetest.LlamaServer(t, "--embeddings", "--pooling", "mean")
	enginetest.Run(t, func(t *testing.T) engine.Engine { return open(t, "openai+"+base+"/v1") }, enginetest.Tiny("tiny", true))
}

func TestLlamaServerWithoutEmbeddings(t *testing.T) {
	e := open(t, "openai+"+enginetest.LlamaServer(t))
	models, err := e.Models(t.Context())
	if err != nil || len(models) != 1 || slices.Contains(models[0].Kinds, events.KindEmbeddings) || models[0].Slots != 4 || models[0].Context != 256 {
		t.Errorf("models %+v, %v", models, err)
	}
}

// TestBoundsOnLlamaServer sends what the kinds' table allows, at its bounds, to a real server.
func TestBoundsOnLlamaServer(t *testing.T) {
	e := open(t, "openai+"+enginetest.LlamaServer(t, "--embeddings", "--pooling", "mean"))
	for _, params := range [][]string{
		{"max_tokens", "131072"}, {"temperature", "2"}, {"top_k", "0"}, {"top_k", "1000"}, {"top_p", "0"}, {"top_p", "1"},
		{"frequency_penalty", "-2"}, {"presence_penalty", "2"}, {"seed", "9007199254740992"}, {"seed", "-1"}, {"seed", "0"}, {"stop", "zebra"},
	} {
		if _, _, err := run(t.Context(), e, enginetest.Text("tiny", "hi", append(params, "model", "tiny")...)); err != nil {
			t.Errorf("%v: %v", params, err)
		}
	}
	large := engine.Job{Kind: events.KindEmbeddings, Model: "tiny", Inputs: []engine.Input{{Text: strings.Repeat("x ", 3000)}}}
	if _, _, err := run(t.Context(), e, large); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("a large text to embed: %v", err)
	}
	same := enginetest.Text("tiny", "Tell me a story", "seed", "5", "temperature", "1", "max_tokens", "40")
	first, _, err := run(t.Context(), e, same)
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := run(t.Context(), e, same); err != nil || again.Text != first.Text {
		t.Errorf("one seed, two texts: %q, %q, %v", first.Text, again.Text, err)
	}
	stopped, _, err := run(t.Context(), e, enginetest.Text("tiny", "Count to 12", "temperature", "0", "stop", "7"))
	if err != nil || strings.Contains(stopped.Text, "7") || !strings.Contains(stopped.Text, "6") {
		t.Errorf("stop at 7: %+v, %v", stopped, err)
	}
}
