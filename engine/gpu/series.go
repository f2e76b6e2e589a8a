package gpu

import (
	"context"
	"sync"
	"time"
)

// Sample is the whole machine at one moment.
type Sample struct {
	At    time.Time
	Load  Load
	Cards []Reading
	Lost  []string // cards that were there when the node began and say nothing now
	Err   error    // why cards say nothing, if somebody knows
}

// Series keeps the last samples, so many and no more.
type Series struct {
	mu   sync.Mutex
	ring []Sample
	next int
	full bool
}

// NewSeries makes a series of the last n samples.
func NewSeries(n int) *Series { return &Series{ring: make([]Sample, max(n, 1))} }

// Add adds a sample; the oldest goes when there is no room.
func (s *Series) Add(one Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ring[s.next] = one
	s.next = (s.next + 1) % len(s.ring)
	s.full = s.full || s.next == 0
}

// Since gives the samples from a moment on, oldest first.
func (s *Series) Since(at time.Time) (all []Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count, first := s.next, 0
	if s.full {
		count, first = len(s.ring), s.next
	}
	for i := range count {
		if one := s.ring[(first+i)%len(s.ring)]; !one.At.Before(at) {
			all = append(all, one)
		}
	}
	return all
}

// Last gives the newest sample; false if there is none yet.
func (s *Series) Last() (Sample, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == 0 && !s.full {
		return Sample{}, false
	}
	return s.ring[(s.next-1+len(s.ring))%len(s.ring)], true
}

// Watch samples the machine into a series until ctx ends, at once and then every so often. folder is where room on the
// disk matters; told, if set, hears each sample.
func (m *Machine) Watch(ctx context.Context, every time.Duration, folder string, into *Series, told func(Sample)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		one := m.Sample(ctx, folder)
		if ctx.Err() != nil {
			return
		}
		into.Add(one)
		if told != nil {
			told(one)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Sample reads the whole machine once.
func (m *Machine) Sample(ctx context.Context, folder string) Sample {
	one := Sample{At: time.Now(), Load: ReadLoad(ctx, folder)}
	one.Cards, one.Err = m.Read(ctx)
	for _, c := range m.Cards {
		there := false
		for _, r := range one.Cards {
			there = there || r.Card == c.ID
		}
		if !there {
			one.Lost = append(one.Lost, c.ID)
		}
	}
	return one
}
