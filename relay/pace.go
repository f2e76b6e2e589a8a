package relay

import (
	"sync"
	"time"
)

// pace holds a rate for each of many, keys or addresses: who goes faster waits longer, over all its connections together. What
// nobody has used for a while is forgotten; so is the oldest half when there are very many.
type pace[K comparable] struct {
	mu            sync.Mutex
	recent, older map[K]*bucket
}

type bucket struct {
	tokens   float64
	refilled time.Time
}

// maxPaced is how many are remembered at least.
const maxPaced = 50_000

// take takes n and says how long to wait before going on; no time if rate is 0.
func (p *pace[K]) take(k K, n, rate float64, burst int, now time.Time) time.Duration {
	if rate <= 0 {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.recent == nil {
		p.recent = map[K]*bucket{}
	}
	b := p.recent[k]
	if b == nil {
		if b = p.older[k]; b == nil {
			b = &bucket{float64(burst), now}
		}
		if len(p.recent) >= maxPaced {
			p.older, p.recent = p.recent, make(map[K]*bucket, maxPaced)
		}
		p.recent[k] = b
	}
	b.tokens = min(b.tokens+now.Sub(b.refilled).Seconds()*rate, float64(burst)) - n
	b.refilled = now
	if b.tokens >= 0 {
		return 0
	}
	return min(time.Duration(-b.tokens/rate*float64(time.Second)), maxPause)
}

// maxPause is how long one message is waited with at most.
const maxPause = 10 * time.Second
