package provider

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"infernet/engine"
	"infernet/events"
)

// Speed is how fast a model answers on this machine, one job at a time.
type Speed struct {
	First     time.Duration `json:"first"`      // until the first piece of the answer, the median of the runs
	PerSecond float64       `json:"per_second"` // units out in a second, from the first piece on; the median
	Each      float64       `json:"each"`       // milliseconds for each unit in or out, all in all
	Runs      int           `json:"runs"`
}

const (
	measureRuns = 8   // at most
	measureOut  = 128 // units out of each
)

// measured is what is asked: long enough to count, the same on every machine.
const measured = "Write a long story about a lighthouse keeper who finds a letter in a bottle. Describe the sea, the light and the letter in detail."

// Measure has a model answer until the time is up, at least once, and says how fast it is. A model that gives no text is not
// measured: ErrNotMeasured.
func Measure(ctx context.Context, e engine.Engine, m engine.Model, length time.Duration) (Speed, error) {
	if !slices.Contains(m.Kinds, events.KindText) {
		return Speed{}, fmt.Errorf("%s: %w", m.ID, ErrNotMeasured)
	}
	var first []time.Duration
	var rates, each []float64
	for began := time.Now(); len(first) < measureRuns && (len(first) == 0 || time.Since(began) < length); {
		at, rate, per, err := measureOnce(ctx, e, m, len(first))
		if err != nil {
			return Speed{}, fmt.Errorf("measure %s: %w", m.ID, err)
		}
		first, rates, each = append(first, at), append(rates, rate), append(each, per)
	}
	slices.Sort(first)
	slices.Sort(rates)
	slices.Sort(each)
	middle := len(first) / 2
	return Speed{First: first[middle], PerSecond: rates[middle], Each: each[middle], Runs: len(first)}, nil
}

// ErrNotMeasured says that a model gives no text.
var ErrNotMeasured = errors.New("it gives no text, so its speed is learned while it works")

func measureOnce(ctx context.Context, e engine.Engine, m engine.Model, run int) (first time.Duration, rate, each float64, err error) {
	out := measureOut
	if m.Context > 0 {
		out = min(out, m.Context/4)
	}
	job := engine.Job{
		ID: events.ID(fmt.Sprintf("%064x", run)), Kind: events.KindText, Model: m.ID,
		Params: events.Params{{Name: "max_tokens", Values: []string{fmt.Sprint(out)}}, {Name: "seed", Values: []string{fmt.Sprint(run + 1)}}},
		Inputs: []engine.Input{{Text: measured}},
	}
	var begun atomic.Int64
	began := time.Now()
	got, err := e.Run(ctx, job, func(part engine.Part) error {
		if d, ok := part.(engine.Delta); ok && d.Text != "" {
			begun.CompareAndSwap(0, int64(time.Since(began))+1)
		}
		return nil
	})
	if err != nil {
		return 0, 0, 0, err
	}
	took := time.Since(began)
	if first = time.Duration(begun.Load()); first == 0 {
		first = took
	}
	if rest := (took - first).Seconds(); rest > 0 {
		rate = float64(got.Usage.Out) / rest
	}
	return first, rate, took.Seconds() * 1000 / float64(max(got.Usage.In+got.Usage.Out, 1)), nil
}
