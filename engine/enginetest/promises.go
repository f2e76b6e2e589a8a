package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"infernet/engine"
	"infernet/events"
)

func models(t *testing.T, e engine.Engine, s Sample) {
	list, err := e.Models(t.Context())
	if err != nil {
		t.Fatalf("Models: %v", err)
	}
	for _, m := range list {
		if m.ID == "" || m.ID != strings.ToLower(m.ID) || len(m.Kinds) == 0 || m.Slots < 0 || m.Context < 0 {
			t.Errorf("model %+v", m)
		}
		for _, k := range m.Kinds {
			if _, ok := events.Kinds[k]; !ok {
				t.Errorf("model %s serves %d, which is no kind", m.ID, k)
			}
		}
	}
	for _, c := range s.Jobs {
		if !slices.ContainsFunc(list, func(m engine.Model) bool { return m.ID == c.Job.Model && slices.Contains(m.Kinds, c.Job.Kind) }) {
			t.Errorf("no model %s for kind %d in %+v", c.Job.Model, c.Job.Kind, list)
		}
	}
}

func canaries(t *testing.T, e engine.Engine, s Sample) {
	for _, c := range s.Jobs {
		if out := run(t, e, c.Job); !strings.Contains(out.Text, c.Want) {
			t.Errorf("%q gave %q, want %q", c.Job.Inputs[0].Text, out.Text, c.Want)
		}
	}
}

func estimate(t *testing.T, e engine.Engine, s Sample) {
	est, ok := e.(engine.Estimator)
	if !ok {
		t.Skip("not an Estimator")
	}
	for _, c := range s.Jobs {
		u, err := est.Estimate(t.Context(), c.Job)
		if err != nil {
			t.Errorf("Estimate: %v", err)
			continue
		}
		out := run(t, e, c.Job)
		if u.In < 1 || out.Usage.Out > u.Out {
			t.Errorf("estimate %+v, used %+v", u, out.Usage)
		}
	}
	missing := s.Jobs[0].Job
	missing.Model = "no-such-model"
	_, err := est.Estimate(t.Context(), missing)
	is(t, "Estimate for an unknown model", err, engine.ErrUnknownModel)
}

func concurrency(t *testing.T, e engine.Engine, s Sample) {
	var all sync.WaitGroup
	for i := range 4 {
		c := s.Jobs[i%len(s.Jobs)]
		all.Go(func() {
			if out := run(t, e, c.Job); !strings.Contains(out.Text, c.Want) {
				t.Errorf("beside others, %q gave %q, want %q", c.Job.Inputs[0].Text, out.Text, c.Want)
			}
		})
	}
	all.Wait()
}

// cancellation ends a job at its first delta, before it starts, and while it runs; then the engine must be free.
func cancellation(t *testing.T, e engine.Engine, s Sample) {
	ctx, cancel := context.WithCancel(t.Context())
	parts := 0
	within(t, "a job that was cancelled", func() {
		_, err := e.Run(ctx, s.Long, func(engine.Part) error { parts++; cancel(); return nil })
		is(t, "cancelled at the first delta", err, context.Canceled)
	})
	if parts != 1 {
		t.Errorf("%d parts came after the cancellation", parts-1)
	}
	within(t, "a job cancelled before it began", func() {
		_, _, err := collect(ctx, e, s.Long)
		is(t, "cancelled before", err, context.Canceled)
	})
	past, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	within(t, "a job past its deadline", func() {
		_, _, err := collect(past, e, s.Long)
		is(t, "past the deadline", err, context.DeadlineExceeded)
	})
	within(t, "the next job", func() { run(t, e, s.Jobs[0].Job) })
}

func emitError(t *testing.T, e engine.Engine, s Sample) {
	full := errors.New("nobody takes it")
	parts := 0
	within(t, "a job that nobody takes", func() {
		_, err := e.Run(t.Context(), s.Long, func(engine.Part) error { parts++; return full })
		is(t, "emit failed", err, full)
	})
	if parts != 1 {
		t.Errorf("emit was called %d times after its error", parts-1)
	}
	run(t, e, s.Jobs[0].Job)
}

func badParams(t *testing.T, e engine.Engine, s Sample) {
	for name, job := range s.Bad {
		_, said, err := collect(t.Context(), e, job)
		var bad *engine.InvalidError
		if !errors.As(err, &bad) || bad.Param != name || bad.Reason == "" {
			t.Errorf("bad %s: error %v", name, err)
		}
		if said != "" {
			t.Errorf("bad %s: said %q all the same", name, said)
		}
	}
	run(t, e, s.Jobs[0].Job)
}

func unknownModel(t *testing.T, e engine.Engine, s Sample) {
	job := s.Jobs[0].Job
	known := job.Model
	job.Model = known + "x"
	_, _, err := collect(t.Context(), e, job)
	is(t, "unknown model", err, engine.ErrUnknownModel)
	if err != nil && !strings.Contains(err.Error(), known) {
		t.Errorf("error %q does not name %s, which is near", err, known)
	}
}

func tooLarge(t *testing.T, e engine.Engine, s Sample) {
	within(t, "refusing a large input", func() {
		_, _, err := collect(t.Context(), e, s.Large)
		is(t, "too large", err, engine.ErrTooLarge)
	})
	run(t, e, s.Jobs[0].Job)
}

func embeddings(t *testing.T, e engine.Engine, s Sample) {
	if s.Embed == nil {
		t.Skip("serves no embeddings")
	}
	a, b := vectors(t, run(t, e, *s.Embed)), vectors(t, run(t, e, *s.Embed))
	if len(a) != len(s.Embed.Inputs) {
		t.Fatalf("%d vectors of %d inputs", len(a), len(s.Embed.Inputs))
	}
	for i := range a {
		if len(a[i]) == 0 || len(a[i]) != len(a[0]) || i >= len(b) || len(a[i]) != len(b[i]) {
			t.Errorf("vector %d has %d numbers, the first %d", i, len(a[i]), len(a[0]))
		}
	}
	if slices.Equal(a[0], a[1]) {
		t.Error("two texts have one vector")
	}
}

// vectors reads an embeddings output: a JSON array of arrays of numbers.
func vectors(t *testing.T, out *engine.Output) (v [][]float64) {
	t.Helper()
	if err := json.Unmarshal([]byte(out.Text), &v); err != nil {
		t.Fatalf("vectors: %v", err)
	}
	return v
}

// closes ends an engine under a running job.
func closes(t *testing.T, e engine.Engine, s Sample) {
	began, ended := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	hold := make(chan struct{})
	go func() {
		_, err := e.Run(t.Context(), s.Long, func(engine.Part) error {
			once.Do(func() { close(began) })
			<-hold // the job is surely not over when the engine closes
			return nil
		})
		ended <- err
	}()
	<-began
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	close(hold)
	within(t, "Close", func() {
		if err := <-closed; err != nil {
			t.Errorf("Close: %v", err)
		}
		<-ended // its own result may have come first; that it ends is what counts
	})
	_, _, err := collect(t.Context(), e, s.Jobs[0].Job)
	is(t, "after Close", err, engine.ErrUnavailable)
}
