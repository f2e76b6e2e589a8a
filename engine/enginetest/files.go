package enginetest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"infernet/engine"
	"infernet/events"
)

// FileSample is what Files asks an engine to do: a job that gives a file, or takes one.
type FileSample struct {
	Job   func(t *testing.T) engine.Job // a job that works, with a Dir of its own where it needs one
	Check func(t *testing.T, job engine.Job, out *engine.Output)
	Bad   map[string]func(job *engine.Job) // what makes the job one that is refused, by the parameter that the error names
}

// Files holds an engine to the promises of jobs whose inputs or outputs are files.
func Files(t *testing.T, open func(t *testing.T) engine.Engine, s FileSample) {
	for name, test := range map[string]func(t *testing.T, e engine.Engine){
		"the job": func(t *testing.T, e engine.Engine) {
			job := s.Job(t)
			s.Check(t, job, runFiles(t, e, job))
		},
		"twice at once": func(t *testing.T, e engine.Engine) {
			jobs, outs := [2]engine.Job{s.Job(t), s.Job(t)}, [2]*engine.Output{}
			done := make(chan struct{})
			go func() { outs[1] = runFiles(t, e, jobs[1]); close(done) }()
			outs[0] = runFiles(t, e, jobs[0])
			<-done
			for i := range outs {
				s.Check(t, jobs[i], outs[i])
			}
		},
		"cancelled": func(t *testing.T, e engine.Engine) {
			ctx, cancel := context.WithCancel(t.Context())
			job := s.Job(t)
			go cancel()
			within(t, "a cancelled job", func() {
				if _, _, err := collect(ctx, e, job); err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				_, _, err := collect(ctx, e, job)
				is(t, "cancelled before", err, context.Canceled)
			})
		},
		"nobody takes it": func(t *testing.T, e engine.Engine) {
			full := errors.New("nobody takes it")
			_, err := e.Run(t.Context(), s.Job(t), func(engine.Part) error { return full })
			is(t, "emit failed", err, full)
		},
		"bad": func(t *testing.T, e engine.Engine) {
			for param, spoil := range s.Bad {
				job := s.Job(t)
				spoil(&job)
				name, _, _ := strings.Cut(param, " ")
				_, _, err := collect(t.Context(), e, job)
				var bad *engine.InvalidError
				if !errors.As(err, &bad) || bad.Param != name || bad.Reason == "" {
					t.Errorf("bad %s: error %v", param, err)
				}
			}
		},
		"unknown model": func(t *testing.T, e engine.Engine) {
			job := s.Job(t)
			job.Model += "x"
			_, _, err := collect(t.Context(), e, job)
			is(t, "unknown model", err, engine.ErrUnknownModel)
		},
		"closed": func(t *testing.T, e engine.Engine) {
			e.Close()
			_, _, err := collect(t.Context(), e, s.Job(t))
			is(t, "after Close", err, engine.ErrUnavailable)
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			e := open(t)
			test(t, e)
			if err := e.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// runFiles does a job that must work, and checks what holds for every job: its files lie in its folder and were emitted.
func runFiles(t *testing.T, e engine.Engine, job engine.Job) *engine.Output {
	t.Helper()
	said, shown := "", []engine.File{}
	out, err := e.Run(t.Context(), job, func(p engine.Part) error {
		switch p := p.(type) {
		case engine.Delta:
			said += p.Text
		case engine.File:
			shown = append(shown, p)
		}
		return nil
	})
	if err != nil {
		t.Errorf("Run: %v", err)
		return &engine.Output{}
	}
	if said != out.Text || len(shown) != len(out.Files) {
		t.Errorf("emitted %q and %d files, the output is %q and %d files", said, len(shown), out.Text, len(out.Files))
	}
	for _, f := range out.Files {
		info, err := os.Stat(f.Path)
		if err != nil || info.Size() == 0 || filepath.Dir(f.Path) != job.Dir || f.Mime == "" {
			t.Errorf("file %+v of a job in %s: %v", f, job.Dir, err)
		}
	}
	if est, ok := e.(engine.Estimator); ok {
		u, err := est.Estimate(t.Context(), job)
		if err != nil || u.In < out.Usage.In || u.Out < out.Usage.Out {
			t.Errorf("estimate %+v, %v; used %+v", u, err, out.Usage)
		}
	}
	if out.Usage.In < 1 {
		t.Errorf("usage %+v", out.Usage)
	}
	return out
}

// Words are the words of a text in lower case, for what is spoken or heard: that is compared by words.
func Words(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz'", r) })
}

// Speech is a text to speech job (5250) with a folder of its own.
func Speech(t *testing.T, model, text, output string) engine.Job {
	return engine.Job{ID: events.ID(strings.Repeat("01", 32)), Kind: events.KindSpeech, Model: model, Output: output, Dir: t.TempDir(), Inputs: []engine.Input{{Text: text}}}
}

// Hearing is a speech to text job (5000) of an audio file.
func Hearing(t *testing.T, model string, audio engine.File, output string) engine.Job {
	f, err := os.Open(audio.Path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return engine.Job{ID: events.ID(strings.Repeat("02", 32)), Kind: events.KindTranscription, Model: model, Output: output, Inputs: []engine.Input{{File: f, Mime: audio.Mime}}}
}
