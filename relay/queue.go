package relay

import (
	"context"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// queue is what waits to be written to one client: bounded in messages and bytes, so that a client which does not read
// costs little and delays nobody.
type queue struct {
	frames   chan []byte
	maxBytes int
	drop     func() // ends the connection

	mu       sync.Mutex
	bytes    int
	closed   bool
	finished chan struct{} // closed once nothing more comes
	room     chan struct{} // says that something was written
}

func newQueue(frames, bytes int, drop func()) *queue {
	return &queue{frames: make(chan []byte, frames), maxBytes: bytes, drop: drop, finished: make(chan struct{}), room: make(chan struct{}, 1)}
}

// push queues a message, or drops the client: it does not read. It never waits. It says whether the client was dropped
// for it.
func (q *queue) push(body []byte) (dropped bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	if len(q.frames) == cap(q.frames) || q.bytes+len(body) > q.maxBytes {
		q.closed = true
		q.drop()
		return true
	}
	q.bytes += len(body)
	q.frames <- body
	return false
}

// window is how many bytes of an answer wait for its reader.
const window = 512 << 10

// wait queues a part of an answer that the client asked for, once half of the queue is free and little waits: only its own
// connection waits, and what is live still finds room. It says false if the connection ends.
func (q *queue) wait(ctx context.Context, body []byte) bool {
	for {
		q.mu.Lock()
		closed, free := q.closed, len(q.frames) < (cap(q.frames)+1)/2 && q.bytes <= min(q.maxBytes/2, window)
		if free && !closed {
			q.bytes += len(body)
			q.frames <- body
		}
		q.mu.Unlock()
		if closed || free {
			return !closed
		}
		select {
		case <-ctx.Done():
			return false
		case <-q.finished:
			return false
		case <-q.room:
		}
	}
}

// finish lets nothing more in; what is queued is still written.
func (q *queue) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.finished)
	}
}

func (q *queue) written(n int) {
	q.mu.Lock()
	q.bytes -= n
	q.mu.Unlock()
	select {
	case q.room <- struct{}{}:
	default:
	}
}

// write sends what is queued, each message within the time a write may take, until ctx or the queue ends: then it says
// goodbye.
func (q *queue) write(ctx context.Context, ws *websocket.Conn, within time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case body := <-q.frames:
			if !q.send(ctx, ws, within, body) {
				return
			}
		case <-q.finished:
			for {
				select {
				case body := <-q.frames:
					if !q.send(ctx, ws, within, body) {
						return
					}
				default:
					ws.Close(websocket.StatusGoingAway, "the relay shuts down")
					return
				}
			}
		}
	}
}

func (q *queue) send(ctx context.Context, ws *websocket.Conn, within time.Duration, body []byte) bool {
	bounded, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	err := ws.Write(bounded, websocket.MessageText, body)
	q.written(len(body))
	return err == nil
}

// ping looks whether the client is still there, beside the writing.
func ping(ctx context.Context, ws *websocket.Conn, each, within time.Duration) error {
	tick := time.NewTicker(each)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			bounded, cancel := context.WithTimeout(ctx, within)
			err := ws.Ping(bounded)
			cancel()
			if err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}
