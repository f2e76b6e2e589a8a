// Package enginetest holds every engine to what package engine promises.
//
// A part's test opens the part, describes a few jobs that it can do, and calls Run. Begin with Run; Tiny is a sample for
// engines that serve the small model in testdata.
package enginetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"infernet/engine"
	"infernet/events"
)

// Sample is what the suite asks an engine to do.
type Sample struct {
	Jobs  []Canary              // jobs with a known answer, at least one; four different ones are run at once
	Long  engine.Job            // a text job with many deltas; it is cancelled, and stopped by emit
	Large engine.Job            // a job whose input is above the model's context
	Bad   map[string]engine.Job // jobs that are refused, by the parameter that the error names
	Embed *engine.Job           // an embeddings job with at least two inputs, nil if the engine serves none
}

// Canary is a job and the text that its output must contain.
type Canary struct {
	Job  engine.Job
	Want string
}

// soon is how long an engine may take to end a job that is over.
const soon = 5 * time.Second

// Run holds the engines that open gives to the promises. Each test opens its own, and after Close no goroutine is left.
func Run(t *testing.T, open func(t *testing.T) engine.Engine, s Sample) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, e engine.Engine, s Sample)
	}{
		{"models", models},
		{"canaries", canaries},
		{"estimate", estimate},
		{"concurrency", concurrency},
		{"cancellation", cancellation},
		{"emit error", emitError},
		{"bad params", badParams},
		{"unknown model", unknownModel},
		{"too large", tooLarge},
		{"embeddings", embeddings},
		{"close", closes},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			e := open(t)
			c.test(t, e, s)
			if err := e.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if err := e.Close(); err != nil {
				t.Errorf("second Close: %v", err)
			}
		})
	}
}

// Text is a text job (5050) with parameters given as name, value, name, value.
func Text(model, prompt string, params ...string) engine.Job {
	job := engine.Job{ID: events.ID("0000000000000000000000000000000000000000000000000000000000000001"), Kind: events.KindText, Model: model, Inputs: []engine.Input{{Text: prompt}}}
	for i := 0; i+1 < len(params); i += 2 {
		job.Params = append(job.Params, events.Param{Name: params[i], Values: params[i+1 : i+2]})
	}
	return job
}

// run does a job that must work, and checks what holds for every job.
func run(t *testing.T, e engine.Engine, job engine.Job) *engine.Output {
	t.Helper()
	out, said, err := collect(t.Context(), e, job)
	if err != nil {
		t.Errorf("Run(%q): %v", job.Inputs[0].Text, err)
		return &engine.Output{}
	}
	if job.Kind != events.KindEmbeddings && said != out.Text {
		t.Errorf("deltas together are %q, the output is %q", said, out.Text)
	}
	if out.Usage.In < 1 || (job.Kind != events.KindEmbeddings && out.Usage.Out < 1) {
		t.Errorf("usage %+v of %q", out.Usage, out.Text)
	}
	if int64(len(out.Text)) > 64*max(out.Usage.Out, 1) && job.Kind != events.KindEmbeddings {
		t.Errorf("%d units out cannot be %d bytes", out.Usage.Out, len(out.Text))
	}
	return out
}

// collect runs a job and joins its deltas. emit is never called at the same time or after Run: the race detector sees it.
func collect(ctx context.Context, e engine.Engine, job engine.Job) (out *engine.Output, said string, err error) {
	out, err = e.Run(ctx, job, func(p engine.Part) error {
		if d, ok := p.(engine.Delta); ok {
			said += d.Text
		}
		return nil
	})
	return out, said, err
}

// within fails the test if do takes longer than an engine may.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	start := time.Now()
	do()
	if took := time.Since(start); took > soon {
		t.Errorf("%s took %s, at most %s", what, took.Round(time.Millisecond), soon)
	}
}

func is(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}
