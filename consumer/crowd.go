package consumer

import (
	"context"
	"time"
)

// marketFor is how long a look at the whole market is good for, where many jobs choose from it.
const marketFor = 3 * time.Second

// market lists the market's nodes, as they were seen a moment ago.
func (c *Consumer) market(ctx context.Context) ([]Node, error) {
	c.asking.Lock() // one look at a time: relays bound how much is asked
	defer c.asking.Unlock()
	if len(c.seen) > 0 && c.Now().Sub(c.seenAt) < marketFor {
		return c.seen, nil
	}
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	c.seen, c.seenAt = nodes, c.Now()
	return nodes, nil
}

// fly counts a job as being at its node, land as being there no more. Heartbeats are too old to say what this client itself
// has just sent there.
func (j *job) fly() {
	if j.flying != "" || j.node == "" {
		return
	}
	j.c.mu.Lock()
	defer j.c.mu.Unlock()
	j.flying = j.node
	j.c.crowd[j.node]++
}

func (j *job) land() {
	if j.flying == "" {
		return
	}
	j.c.mu.Lock()
	defer j.c.mu.Unlock()
	if j.c.crowd[j.flying]--; j.c.crowd[j.flying] <= 0 {
		delete(j.c.crowd, j.flying)
	}
	j.flying = ""
}

// load is how many of this client's own jobs are at a node for each of its slots.
func (c *Consumer) load(n Node) float64 {
	slots := int64(1)
	if n.Beat != nil && n.Beat.Capacity > 0 {
		slots = n.Beat.Capacity
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return float64(c.crowd[n.Author]) / float64(slots)
}
