package ledger

import (
	"testing"

	"github.com/nbd-wtf/go-nostr"
)

// BenchmarkTake is what a customer waits for before a request is published, BenchmarkTakeAndBegin what a node waits for
// before it works on a free job.
func BenchmarkTake(b *testing.B) {
	l, _ := fresh(b)
	facts := map[string][]byte{"order": make([]byte, 500), "key": make([]byte, 64)}
	for i := 0; b.Loop(); i++ {
		if err := l.Take(jobOf(i), Customer, facts, &nostr.Event{ID: string(jobOf(i))}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTakeAndBegin(b *testing.B) {
	l, _ := fresh(b)
	facts := map[string][]byte{"terms": make([]byte, 300)}
	for i := 0; b.Loop(); i++ {
		if first, err := l.TakeAndBegin(jobOf(i), Provider, facts, &nostr.Event{ID: string(jobOf(i))}); err != nil || !first {
			b.Fatal(first, err)
		}
	}
}

func BenchmarkEventsOfNoJob(b *testing.B) {
	l, _ := fresh(b)
	for i := 0; b.Loop(); i++ {
		if _, err := l.Events(jobOf(i)); err != nil {
			b.Fatal(err)
		}
	}
}
