package consumer

import (
	"context"
	"testing"
	"time"

	"infernet/events"
	"infernet/internal/pool"
)

// TestAStepSaysWhatItMissed has a step's own time and the whole job's end together, as on a busy machine: the step is
// heard, whichever of the two is noticed first.
func TestAStepSaysWhatItMissed(t *testing.T) {
	over := time.Now().Add(-time.Second)
	ctx, cancel := context.WithDeadlineCause(t.Context(), over, errDeadline)
	defer cancel()
	j := &job{c: &Consumer{Config: Config{Now: time.Now}}, req: &events.Request{}, sub: &pool.Subscription{}}
	for range 200 {
		if m, err := j.next(ctx, over); m != nil || err != nil {
			t.Fatalf("got %v, %v", m, err)
		}
	}
	if _, err := j.next(ctx, time.Now().Add(time.Hour)); err != errDeadline {
		t.Errorf("a step that has time left: %v", err)
	}
}
