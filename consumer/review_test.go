package consumer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"infernet/consumer/choose"
	"infernet/events"
)

// TestReviewsSayWhatWasMeasured rates outcomes: late, dear, both, and a result that was refused.
func TestReviewsSayWhatWasMeasured(t *testing.T) {
	for _, c := range []struct {
		name string
		o    choose.Outcome
		err  error
		want int64
		says string
	}{
		{"as it had said", choose.Outcome{Took: time.Second, ETA: 2 * time.Second, Said: 1000, Paid: 1000, First: 200 * time.Millisecond, Rate: 40}, nil, 5, "first token after 0.20 s; 40.0 tokens a second; its hash is right; paid 1 sat, said were 1 sat"},
		{"late", choose.Outcome{Took: 10 * time.Second, ETA: 2 * time.Second}, nil, 4, "delivered in 10.0 s, said were 2.0 s"},
		{"dear", choose.Outcome{Took: time.Second, Said: 1000, Paid: 2000}, nil, 4, "paid 2 sat, said were 1 sat"},
		{"late and dear", choose.Outcome{Took: 10 * time.Second, ETA: 2 * time.Second, Said: 1000, Paid: 2000}, nil, 3, ""},
		{"wrong", choose.Outcome{}, &BadResultError{Node: events.PubKey(strings.Repeat("a", 64)), Why: "its hash is not its text's"}, 1, "refused: result of node aaaaaaaa refused: its hash is not its text's"},
		{"whole satoshi", choose.Outcome{Took: time.Second, Said: 1200, Paid: 2000}, nil, 5, ""},
	} {
		rating, text := reviewed(c.o, &Delivery{Result: &events.Result{X: "x"}}, c.err)
		if rating != c.want || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d, %q; want %d, %q", c.name, rating, text, c.want, c.says)
		}
	}
	if !Blames(&BadResultError{}) || Blames(errors.New("else")) || Blames(&BadInvoiceError{Ours: true}) {
		t.Error("blame is wrong")
	}
}
