package pool

import "sync"

// recent remembers at least the last size ids, and at most twice as many.
type recent struct {
	mu       sync.Mutex
	size     int
	new, old map[string]struct{}
}

func newRecent(size int) *recent { return &recent{size: size, new: map[string]struct{}{}} }

func (r *recent) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hasLocked(id)
}

// add remembers an id, and says whether it is a new one.
func (r *recent) add(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hasLocked(id) {
		return false
	}
	if len(r.new) >= r.size {
		r.old, r.new = r.new, make(map[string]struct{}, r.size)
	}
	r.new[id] = struct{}{}
	return true
}

func (r *recent) hasLocked(id string) bool {
	if _, ok := r.new[id]; ok {
		return true
	}
	_, ok := r.old[id]
	return ok
}
