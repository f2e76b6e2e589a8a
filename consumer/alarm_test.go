package consumer

import (
	"testing"

	"infernet/events"
)

// TestMarksOfABudget holds the marks to a half, four fifths and all of it.
func TestMarksOfABudget(t *testing.T) {
	for _, c := range []struct {
		spent, of int64
		want      int
	}{{0, 100, 0}, {49, 100, 0}, {50, 100, 50}, {79, 100, 50}, {80, 100, 80}, {99, 100, 80}, {100, 100, 100}, {120, 100, 100}, {10, 0, 0}} {
		if got := Mark(events.Msat(c.spent), events.Msat(c.of)); got != c.want {
			t.Errorf("%d of %d: mark %d, want %d", c.spent, c.of, got, c.want)
		}
	}
}
