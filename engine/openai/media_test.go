package openai

import (
	"fmt"
	"image"
	"image/png"
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
	base := enginetest.MediaServer(t)
	start := func(t *testing.T) engine.Engine { return open(t, "openai+"+base) }
	e := start(t)
	models, err := e.Models(t.Context())
	if err != nil || len(models) != 3 || models[0].Kinds[0] != events.KindTranscription || models[1].Kinds[0] != events.KindSpeech || models[2].Kinds[0] != events.KindImage {
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

// TestPaintsWhatTheWordsSay has a real, small model paint: the colours are those of the prompt, the same seed gives the same
// picture and another seed another, and the size is the one asked for.
func TestPaintsWhatTheWordsSay(t *testing.T) {
	base := enginetest.MediaServer(t)
	start := func(t *testing.T) engine.Engine { return open(t, "openai+"+base) }
	e := start(t)
	paint := func(prompt string, params ...string) image.Image {
		t.Helper()
		out, err := e.Run(t.Context(), picture(t, prompt, params...), func(engine.Part) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(out.Files[0].Path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		img, err := png.Decode(f)
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
	// what most of the middle and of the edge are in
	colours := map[string][3]uint8{"red": {220, 40, 40}, "green": {40, 170, 70}, "blue": {50, 80, 220}, "yellow": {240, 210, 50}, "white": {245, 245, 245}, "black": {20, 20, 20}}
	nearest := func(img image.Image, at ...image.Point) string {
		count := map[string]int{}
		for _, p := range at {
			r, g, b, _ := img.At(p.X, p.Y).RGBA()
			best, least := "", 1<<30
			for name, c := range colours {
				d := 0
				for i, v := range [3]uint32{r >> 8, g >> 8, b >> 8} {
					d += (int(v) - int(c[i])) * (int(v) - int(c[i]))
				}
				if d < least {
					best, least = name, d
				}
			}
			count[best]++
		}
		best := ""
		for name, n := range count {
			if n > count[best] {
				best = name
			}
		}
		return best
	}
	var middle, edge []image.Point
	for i := range 256 {
		edge = append(edge, image.Pt(i, 0), image.Pt(i, 255), image.Pt(0, i), image.Pt(255, i))
		middle = append(middle, image.Pt(112+i%32, 112+i/8))
	}
	right := 0
	prompts := []string{"a red circle on blue", "a yellow square on black", "a white circle on green", "a blue square on yellow"}
	for _, prompt := range prompts {
		words := strings.Fields(prompt)
		img := paint(prompt, "seed", "1")
		shape, ground := nearest(img, middle...), nearest(img, edge...)
		t.Logf("%s: %s on %s", prompt, shape, ground)
		if shape == words[1] && ground == words[4] {
			right++
		}
	}
	if right < len(prompts) {
		t.Errorf("%d of %d pictures have the colours of their prompt", right, len(prompts))
	}
	same := func(a, b image.Image) bool { return fmt.Sprint(a) == fmt.Sprint(b) }
	a := paint("a red circle on blue", "seed", "1")
	if !same(a, paint("a red circle on blue", "seed", "1")) || same(a, paint("a red circle on blue", "seed", "2")) {
		t.Error("a picture is not its seed's")
	}
	if size := paint("a red circle on blue", "size", "96x64", "steps", "4").Bounds().Size(); size != image.Pt(96, 64) {
		t.Errorf("size %v", size)
	}
	enginetest.Files(t, start, enginetest.FileSample{
		Job: func(t *testing.T) engine.Job { return picture(t, "a red circle", "steps", "2") },
		Check: func(t *testing.T, _ engine.Job, out *engine.Output) {
			if len(out.Files) != 1 || out.Files[0].Mime != "image/png" || out.Usage.Out != 1 {
				t.Errorf("%+v", out)
			}
		},
		Bad: map[string]func(*engine.Job){
			"size":                  func(j *engine.Job) { j.Params = events.Params{{Name: "size", Values: []string{"huge"}}} },
			"size beyond its own":   func(j *engine.Job) { j.Params = events.Params{{Name: "size", Values: []string{"2048x2048"}}} },
			"steps":                 func(j *engine.Job) { j.Params = events.Params{{Name: "steps", Values: []string{"0"}}} },
			"prompt it cannot read": func(j *engine.Job) { j.Inputs[0].Text = "the meaning of life" },
			"output_format":         func(j *engine.Job) { j.Output = "image/webp" },
		},
	})
}

// picture is an image job (5100) with a folder of its own.
func picture(t *testing.T, prompt string, params ...string) engine.Job {
	job := engine.Job{ID: events.ID(strings.Repeat("03", 32)), Kind: events.KindImage, Dir: t.TempDir(), Inputs: []engine.Input{{Text: prompt}}}
	for i := 0; i+1 < len(params); i += 2 {
		job.Params = append(job.Params, events.Param{Name: params[i], Values: params[i+1 : i+2]})
	}
	return job
}
