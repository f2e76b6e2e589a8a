package openai

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"infernet/engine"
	"infernet/engine/enginetest"
	"infernet/events"
)

const sentence = "The quick brown fox jumps over the lazy dog."

// TestWhatOneSaysTheOtherHears has a real voice speak in every format, and a real ear hear it: the words come back.
func TestWhatOneSaysTheOtherHears(t *testing.T) {
	base := enginetest.SpeechServer(t)
	start := func(t *testing.T) engine.Engine { return open(t, "openai+"+base) }
	e := start(t)
	models, err := e.Models(t.Context())
	if err != nil || len(models) != 2 || models[0].Kinds[0] != events.KindTranscription || models[1].Kinds[0] != events.KindSpeech {
		t.Fatalf("%+v, %v", models, err)
	}
	dir, ogg := t.TempDir(), engine.File{}
	for _, mime := range events.Kinds[events.KindSpeech].Outputs {
		t.Run(filepath.Base(mime), func(t *testing.T) {
			said, err := e.Run(t.Context(), enginetest.Speech(t, enginetest.Speaks, sentence, mime), func(engine.Part) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if mime == "audio/ogg" {
				body, err := os.ReadFile(said.Files[0].Path)
				if err != nil {
					t.Fatal(err)
				}
				ogg = engine.File{Path: filepath.Join(dir, "said.ogg"), Mime: mime}
				if err := os.WriteFile(ogg.Path, body, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if mime == "audio/flac" || mime == "audio/mpeg" {
				return // the same samples; hearing takes a second of every core
			}
			heard, err := e.Run(t.Context(), enginetest.Hearing(t, enginetest.Hears, said.Files[0], ""), func(engine.Part) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if got, want := enginetest.Words(heard.Text), enginetest.Words(sentence); !slices.Equal(got, want) {
				t.Errorf("heard %q", heard.Text)
			}
			t.Logf("%d seconds: %q", heard.Usage.In, heard.Text)
		})
	}
	if ogg.Path == "" {
		t.Fatal("nothing was said")
	}

	t.Run("speech", func(t *testing.T) {
		enginetest.Files(t, start, enginetest.FileSample{
			Job: func(t *testing.T) engine.Job { return enginetest.Speech(t, "", "Hello there.", "") },
			Check: func(t *testing.T, _ engine.Job, out *engine.Output) {
				if len(out.Files) != 1 || out.Files[0].Mime != "audio/ogg" || out.Usage.In != 12 {
					t.Errorf("%+v", out)
				}
			},
			Bad: map[string]func(*engine.Job){
				"speed":  func(j *engine.Job) { j.Params = events.Params{{Name: "speed", Values: []string{"9"}}} },
				"output": func(j *engine.Job) { j.Output = "audio/midi" },
				"i":      func(j *engine.Job) { j.Inputs[0].Text = "  " },
			},
		})
	})
	t.Run("hearing", func(t *testing.T) {
		enginetest.Files(t, start, enginetest.FileSample{
			Job: func(t *testing.T) engine.Job { return enginetest.Hearing(t, "", ogg, "text/vtt") },
			Check: func(t *testing.T, _ engine.Job, out *engine.Output) {
				if !strings.HasPrefix(out.Text, "WEBVTT\n\n00:00:00.000 --> 00:00:0") || !strings.Contains(out.Text, "quick brown fox") || out.Usage.In != 3 {
					t.Errorf("%+v", out)
				}
			},
			Bad: map[string]func(*engine.Job){
				"temperature":       func(j *engine.Job) { j.Params = events.Params{{Name: "temperature", Values: []string{"2"}}} },
				"language":          func(j *engine.Job) { j.Params = events.Params{{Name: "language", Values: []string{"de"}}} },
				"i of another mime": func(j *engine.Job) { j.Inputs[0].Mime = "image/png" },
				"i that is text":    func(j *engine.Job) { j.Inputs[0].File = nil },
			},
		})
	})
}
