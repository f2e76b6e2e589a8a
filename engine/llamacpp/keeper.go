package llamacpp

import (
	"context"
	"fmt"
	"log/slog"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"infernet/engine"
	"infernet/engine/internal/completions"
)

const (
	firstBackoff = 50 * time.Millisecond
	lastBackoff  = 30 * time.Second
	steady       = 30 * time.Second // a server that lived this long starts with a clean slate
	grace        = 3 * time.Second  // between asking a server to end and ending it
	healthEvery  = 5 * time.Millisecond
	loopOf       = 3 // ends within loopIn are a loop
	loopIn       = 10 * time.Minute
	giveUp       = 2 // crashes in a row before a server was ever ready, after which callers are told at once
)

// keeper keeps one llama-server alive.
type keeper struct {
	opts   options
	place  place
	client *completions.Client
	log    *slog.Logger

	end  chan struct{} // closed by close
	done chan struct{} // closed when the last process is gone
	once sync.Once

	mu      sync.Mutex
	up      chan struct{} // closed while the server is ready; a new one while it is not
	crashes int           // in a row without having been ready for long
	words   string        // of the last crash
	deaths  []time.Time   // the last few, however long the server had lived
	fell    chan struct{} // closed at the next crash
	failed  chan struct{} // closed when callers should stop waiting; nil'ed by a new start that works
}

func keep(o options, p place, client *completions.Client, log *slog.Logger) *keeper {
	k := &keeper{
		opts: o, place: p, client: client, log: log,
		end: make(chan struct{}), done: make(chan struct{}),
		up: make(chan struct{}), fell: make(chan struct{}), failed: make(chan struct{}),
	}
	go k.loop()
	return k
}

// loop starts the server again and again until close. It stays on one thread: see group.
func (k *keeper) loop() {
	defer close(k.done)
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine, after the last process
	backoff := firstBackoff
	for {
		began := time.Now()
		stopped := k.serve()
		if stopped {
			return
		}
		if time.Since(began) > steady {
			backoff = firstBackoff
		}
		select {
		case <-time.After(backoff):
		case <-k.end:
			return
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// serve is the life of one process. stopped is true if close ended it.
func (k *keeper) serve() (stopped bool) {
	k.place.clear()
	said := &tail{}
	cmd := command(k.opts, k.place, said)
	start := time.Now()
	if err := cmd.Start(); err != nil {
		k.crashed(fmt.Sprintf("llama-server does not start: %v", err))
		return false
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	alive, cancel := context.WithCancel(context.Background())
	watched := make(chan struct{})
	go func() { defer close(watched); k.watch(alive, start) }()
	defer func() { cancel(); <-watched }()
	select {
	case err := <-exited:
		kill(cmd) // what it started may still be there
		cancel()
		<-watched
		k.crashed(fmt.Sprintf("llama-server ended (%v): %s", state(cmd, err), said))
		return false
	case <-k.end:
	}
	terminate(cmd)
	select {
	case <-exited:
	case <-time.After(grace):
		kill(cmd)
		<-exited
	}
	kill(cmd)
	return true
}

func state(cmd *exec.Cmd, err error) string {
	if cmd.ProcessState != nil {
		return cmd.ProcessState.String()
	}
	return err.Error()
}

// watch waits for the server's health and then lets callers through.
func (k *keeper) watch(ctx context.Context, start time.Time) {
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		if k.client.Health(ctx) == nil {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	k.mu.Lock()
	if ctx.Err() == nil {
		close(k.up)
		select {
		case <-k.failed:
			k.failed = make(chan struct{})
		default:
		}
	}
	k.mu.Unlock()
	k.log.Info("llama-server is ready", "model", k.opts.model, "after", time.Since(start).Round(time.Millisecond))
}

// crashed notes a death and stops callers at the door.
func (k *keeper) crashed(words string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.words = words
	k.deaths = append(k.deaths[max(0, len(k.deaths)-loopOf+1):], time.Now())
	select {
	case <-k.up:
		k.up = make(chan struct{})
		k.crashes = 1
	default:
		k.crashes++
	}
	close(k.fell)
	k.fell = make(chan struct{})
	if k.crashes >= giveUp {
		select {
		case <-k.failed:
		default:
			close(k.failed)
		}
	}
	k.log.Warn("llama-server is gone and will be started again", "model", k.opts.model, "why", words)
}

// ready waits for the server: while it loads, or is started again after a crash. A server that cannot start is an error.
func (k *keeper) ready(ctx context.Context) error {
	k.mu.Lock()
	up, failed := k.up, k.failed
	k.mu.Unlock()
	select {
	case <-k.end:
		return fmt.Errorf("%w: closed", engine.ErrUnavailable)
	case <-up:
		return ctx.Err()
	default:
	}
	select {
	case <-up:
		return nil
	case <-failed:
		k.mu.Lock()
		defer k.mu.Unlock()
		return fmt.Errorf("%w: %s; hint: %s", engine.ErrUnavailable, k.words, k.try())
	case <-ctx.Done():
		return ctx.Err()
	case <-k.end:
		return fmt.Errorf("%w: closed", engine.ErrUnavailable)
	}
}

// check says that the server ends again and again, or cannot start. One that loads, or was started again once, is well.
func (k *keeper) check() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	loop := len(k.deaths) == loopOf && time.Since(k.deaths[0]) < loopIn
	select {
	case <-k.failed:
		return fmt.Errorf("%w: %s", engine.ErrUnavailable, k.words)
	default:
	}
	if loop {
		return fmt.Errorf("%w: it ended %d times within %s, at last: %s", engine.ErrUnavailable, loopOf, loopIn, k.words)
	}
	return nil
}

// try is the command with which a person sees what is wrong.
func (k *keeper) try() string { return fmt.Sprintf("%s -m %s --port 0", k.opts.bin, k.opts.path) }

// lastWords gives why the server died, if it dies within d.
func (k *keeper) lastWords(ctx context.Context, d time.Duration) string {
	k.mu.Lock()
	up, fell := k.up, k.fell
	k.mu.Unlock()
	select {
	case <-up: // it seems to live: its death may not have been noticed yet
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-fell:
		case <-timer.C:
			return ""
		case <-ctx.Done():
			return ""
		case <-k.end:
			return ""
		}
	default:
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.words
}

// close ends the server and waits until it is gone.
func (k *keeper) close() {
	k.once.Do(func() { close(k.end) })
	<-k.done
}
