package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"infernet/events"
	"infernet/internal/httpd"
)

// Entry is one thing that happened to a job. All that happened is kept with the job, so who listens late hears it from the
// beginning, or from after what it has.
type Entry struct {
	Seq   int64           `json:"seq" doc:"rises with each entry of a job, from 1"`
	At    int64           `json:"at" doc:"unix milliseconds"`
	Event string          `json:"event" enum:"progress,result,complete,failed"`
	Data  json.RawMessage `json:"data"`
}

// tell adds to the story; the task is locked.
func (t *task) tell(event string, data any) {
	body, err := json.Marshal(data)
	if err != nil {
		panic(err) // own types
	}
	t.story = append(t.story, Entry{int64(len(t.story)) + 1, t.g.Now().UnixMilli(), event, body})
	t.wake()
}

func (t *task) wake() {
	close(t.more)
	t.more = make(chan struct{})
}

// look is the job as it is now.
func (t *task) look() Job {
	t.mu.Lock()
	defer t.mu.Unlock()
	job := t.job
	job.Tries = append([]Try{}, job.Tries...)
	job.Files = append([]File(nil), job.Files...)
	return job
}

// follow gives what happened after an entry, and what happens, until the job's end.
func (t *task) follow(ctx context.Context, after int64, give func(Entry) error) error {
	leaving := httpd.Leaving(ctx)
	for {
		t.mu.Lock()
		from := min(max(after, 0), int64(len(t.story)))
		news, more, over := t.story[from:], t.more, t.over
		t.mu.Unlock()
		for _, e := range news {
			if err := give(e); err != nil {
				return err
			}
			after = e.Seq
		}
		if over {
			return nil
		}
		select {
		case <-more:
		case <-leaving:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tasks are the jobs under way, by id.
type tasks struct {
	mu sync.Mutex
	of map[events.ID]*task
}

func (all *tasks) put(t *task) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.of[t.job.ID] = t
}

func (all *tasks) drop(t *task) {
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.of[t.job.ID] == t {
		delete(all.of, t.job.ID)
	}
}

func (all *tasks) find(id events.ID) *task {
	all.mu.Lock()
	defer all.mu.Unlock()
	return all.of[id]
}

// Protocol is the subprotocol of a job's WebSocket.
const Protocol = "infernet.v1"

// socketIn is how long a client has to take a message, and between two signs of life.
const socketIn = 15 * time.Second

// serveSocket is GET /api/v1/jobs/{id}/stream: each entry is one message of text, in JSON. What the client says is not
// listened to. At the job's end the server closes normally.
func (g *Gateway) serveSocket(w http.ResponseWriter, r *http.Request) {
	t, err := g.taskOf(r.Context(), events.ID(r.PathValue("id")))
	after := int64(0)
	if text := r.URL.Query().Get("after"); err == nil && text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			err = invalid("after", "after: %.40q is no number of an entry", text)
		}
	}
	if err != nil {
		g.failProblem(w, r, err)
		return
	}
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{Protocol}, InsecureSkipVerify: true, // the door has looked at its origin
	})
	if err != nil {
		return
	}
	defer ws.CloseNow()
	ctx, stop := context.WithCancel(context.WithoutCancel(r.Context()))
	defer stop()
	defer context.AfterFunc(g.ctx, stop)()
	ctx = ws.CloseRead(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stop()
	beside.Go(func() { // a client that is gone is noticed
		tick := time.NewTicker(socketIn)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			ping, done := context.WithTimeout(ctx, socketIn)
			err := ws.Ping(ping)
			done()
			if err != nil {
				stop()
				return
			}
		}
	})
	err = t.follow(ctx, after, func(e Entry) error {
		body, err := json.Marshal(e)
		if err != nil {
			return err
		}
		write, done := context.WithTimeout(ctx, socketIn)
		defer done()
		return ws.Write(write, websocket.MessageText, body)
	})
	stop()
	if err != nil {
		ws.CloseNow()
		return
	}
	if t.ended() {
		ws.Close(websocket.StatusNormalClosure, "the job has ended")
		return
	}
	ws.Close(websocket.StatusGoingAway, "the gateway ends; connect again")
}

// ended says whether the job has its end.
func (t *task) ended() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.job.Finished > 0
}
