package echo

import (
	"errors"
	"log/slog"
	"net/url"
	"strings"
	"testing"

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

func TestSuite(t *testing.T) {
	many := strings.Repeat("word ", 200)
	enginetest.Run(t, func(t *testing.T) engine.Engine { return open(t, "echo:?context=300") }, enginetest.Sample{
		Jobs: []enginetest.Canary{
			{Job: enginetest.Text("echo", "one two"), Want: "one two"},
			{Job: enginetest.Text("echo", "three four five"), Want: "three four five"},
			{Job: enginetest.Text("echo", "six"), Want: "six"},
			{Job: enginetest.Text("echo", "seven eight", "max_tokens", "1"), Want: "seven"},
		},
		Long:  enginetest.Text("echo", many),
		Large: enginetest.Text("echo", many+many),
		Bad: map[string]engine.Job{
			"max_tokens":  enginetest.Text("echo", "hi", "max_tokens", "0"),
			"temperature": enginetest.Text("echo", "hi", "temperature", "9"),
		},
		Embed: &engine.Job{Kind: events.KindEmbeddings, Model: "echo", Inputs: []engine.Input{{Text: "a"}, {Text: "b c"}}},
	})
}

func TestFailsAsTold(t *testing.T) {
	e := open(t, "echo:?fail=out+of+memory&after=2&jobs=1")
	said := ""
	take := func(p engine.Part) error { said += p.(engine.Delta).Text; return nil }
	_, err := e.Run(t.Context(), enginetest.Text("echo", "one two three"), take)
	if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "out of memory") || said != "one two" {
		t.Errorf("said %q, error %v", said, err)
	}
	if out, err := e.Run(t.Context(), enginetest.Text("echo", "again"), take); err != nil || out.Text != "again" {
		t.Errorf("the second job: %v, %v", out, err)
	}
}

func TestTokensRepeatTheInput(t *testing.T) {
	e := open(t, "echo:?tokens=5")
	out, err := e.Run(t.Context(), enginetest.Text("echo", "a b"), func(engine.Part) error { return nil })
	if err != nil || out.Text != "a b a b a" || out.Usage.Out != 5 {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestBadOption(t *testing.T) {
	for _, raw := range []string{"echo:?delay=fast", "echo:?speed=1", "echo:?slots=0"} {
		u, _ := url.Parse(raw)
		if _, err := Open(t.Context(), u, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s was opened", raw)
		}
	}
}
