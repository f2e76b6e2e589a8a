package relay

import "sync"

// after does things in the order in which they were given, beside who gives them.
type after struct {
	mu   sync.Mutex
	todo []func()
	busy bool
}

func (a *after) do(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.todo = append(a.todo, f)
	if !a.busy {
		a.busy = true
		go a.work()
	}
}

func (a *after) work() {
	for {
		a.mu.Lock()
		if len(a.todo) == 0 {
			a.busy = false
			a.mu.Unlock()
			return
		}
		all := a.todo
		a.todo = nil
		a.mu.Unlock()
		for _, f := range all {
			f()
		}
	}
}
