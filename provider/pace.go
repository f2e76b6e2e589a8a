package provider

import (
	"math"
	"sync"
	"time"

	"infernet/events"
)

// pace is how fast jobs are done here, learned from those that were.
type pace struct {
	mu     sync.Mutex
	took   time.Duration // what a job took, a moving average
	jobs   int           // that were learned from
	models map[string]float64
}

// untold is what a job is thought to take before one was done, and a unit of it.
const (
	untold   = 3 * time.Second
	untoldMs = 50 // for each unit
)

func newPace() *pace { return &pace{took: untold, models: map[string]float64{}} }

// learn remembers what a job took.
func (c *pace) learn(model string, used events.Usage, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.took = (c.took*7 + took) / 8
	if c.jobs == 0 {
		c.took = took
	}
	c.jobs++
	each := float64(took.Milliseconds()) / float64(max(used.In+used.Out, 1))
	if old, ok := c.models[model]; ok {
		each = (old*7 + each) / 8
	}
	c.models[model] = each
}

// job is what a job is likely to take; sure is false until one was done.
func (c *pace) job() (took time.Duration, sure bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.took, c.jobs > 0
}

// most is how many milliseconds a use of a model is paid for, where time has a price: twice what such units took so far.
func (c *pace) most(model string, use events.Usage) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	each, ok := c.models[model]
	if !ok {
		each = untoldMs
	}
	return int64(math.Ceil(2 * each * float64(max(use.In+use.Out, 1))))
}
