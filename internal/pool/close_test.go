package pool

import (
	"sync"
	"testing"

	"github.com/nbd-wtf/go-nostr"
)

// TestWhoAsksWhileItClosesIsAnswered asks a pool that another goroutine closes: each look-up ends, before or after.
func TestWhoAsksWhileItClosesIsAnswered(t *testing.T) {
	for range 50 {
		p := New(t.Context(), []string{"ws://127.0.0.1:1"})
		var asking sync.WaitGroup
		for range 4 {
			asking.Go(func() {
				if _, err := p.Query(t.Context(), nostr.Filter{Kinds: []int{1}}); err == nil {
					t.Error("a relay that is not there has answered")
				}
			})
		}
		p.Close()
		asking.Wait()
		if _, ok := <-p.Subscribe(t.Context(), nostr.Filter{Kinds: []int{1}}).Events; ok {
			t.Error("a closed pool has an event")
		}
	}
}
