package provider

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"infernet/engine"
	"infernet/events"
)

// timed answers with 100 units: the first after half a second, the rest in one.
type timed struct{ runs int }

func (e *timed) Models(context.Context) ([]engine.Model, error) { return nil, nil }
func (e *timed) Close() error                                   { return nil }
func (e *timed) Run(ctx context.Context, _ engine.Job, emit func(engine.Part) error) (*engine.Output, error) {
	e.runs++
	time.Sleep(500 * time.Millisecond)
	if err := emit(engine.Delta{Text: "a"}); err != nil {
		return nil, err
	}
	time.Sleep(time.Second)
	return &engine.Output{Text: "a", Usage: events.Usage{In: 50, Out: 100}}, ctx.Err()
}

func TestModelsAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := engine.Model{ID: "m", Kinds: []int{events.KindText}}
		for length, runs := range map[time.Duration]int{time.Nanosecond: 1, 4 * time.Second: 3, time.Hour: measureRuns} {
			e := &timed{}
			s, err := Measure(t.Context(), e, text, length)
			if err != nil || e.runs != runs || s.Runs != runs || s.First.Round(time.Millisecond) != 500*time.Millisecond || math.Abs(s.PerSecond-100) > 0.1 || s.Each != 10 {
				t.Errorf("in %s: %+v after %d runs, want %d, %v", length, s, e.runs, runs, err)
			}
		}
		if _, err := Measure(t.Context(), &timed{}, engine.Model{ID: "e", Kinds: []int{events.KindEmbeddings}}, time.Hour); !errors.Is(err, ErrNotMeasured) {
			t.Errorf("embeddings were measured: %v", err)
		}
	})
}
