package httpd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// stillHere is how often a silent stream says so: proxies close what is silent for a minute.
const stillHere = 15 * time.Second

// Events is a stream of server-sent events on its way to one client.
type Events struct {
	// After is the id of the last event that the client has seen (Last-Event-ID, or the query's after), "" if none.
	After string

	mu    sync.Mutex
	to    io.Writer
	flush func() error
	err   error // of the first write that failed
}

// Send sends an event, and returns once it is on its way. id may be "". After an error the client is gone.
func (e *Events) Send(id, name string, data any) error {
	body, err := json.Marshal(data)
	if err != nil {
		return err
	}
	var text strings.Builder
	if id != "" {
		fmt.Fprintf(&text, "id: %s\n", oneLine(id))
	}
	fmt.Fprintf(&text, "event: %s\ndata: %s\n\n", oneLine(name), body)
	return e.write(text.String())
}

func oneLine(s string) string { return strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(s) }

func (e *Events) write(text string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return e.err
	}
	if _, e.err = io.WriteString(e.to, text); e.err == nil {
		e.err = e.flush()
	}
	return e.err
}

// Stream mounts an operation that answers with server-sent events, and puts it into the document: data says of each name
// the type that its events carry. do runs until it returns, the client leaves or the server ends; its ctx says so.
func Stream[I any](s *Server, op Operation, data map[string]any, do func(ctx context.Context, in *I, to *Events) error) {
	StreamOf(s, op, data, func(_ context.Context, in *I) (*I, error) { return in, nil }, do)
}

// StreamOf is Stream of something that has to be found first: what find refuses is answered as by Handle.
func StreamOf[I, T any](s *Server, op Operation, data map[string]any, find func(ctx context.Context, in *I) (T, error), do func(ctx context.Context, of T, to *Events) error) {
	registry := s.api.OpenAPI().Components.Schemas
	var kinds []*huma.Schema
	for _, name := range slices.Sorted(maps.Keys(data)) {
		kinds = append(kinds, &huma.Schema{
			Title: name, Type: huma.TypeObject, Required: []string{"event", "data"},
			Properties: map[string]*huma.Schema{
				"id":    {Type: huma.TypeString, Description: "to begin after, the next time"},
				"event": {Type: huma.TypeString, Enum: []any{name}},
				"data":  registry.Schema(reflect.TypeOf(data[name]), true, name),
			},
		})
	}
	h := op.huma(s.MaxBody)
	h.Responses = map[string]*huma.Response{"200": {
		Description: "A stream of events; a silent one says so every 15 seconds.",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{OneOf: kinds}}}},
	}}
	s.registering.Lock()
	defer s.registering.Unlock()
	s.mounting = op.rules()
	huma.Register(s.api, h, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		of, err := find(ctx, in)
		if err != nil {
			return nil, s.own(op, err)
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			s.stream(ctx, op, func(run context.Context, to *Events) error { return do(run, of, to) })
		}}, nil
	})
	s.document.Store(nil)
}

func (s *Server) stream(ctx huma.Context, op Operation, do func(ctx context.Context, to *Events) error) {
	run, stop := context.WithCancel(ctx.Context())
	defer stop()
	ctx.SetHeader("Content-Type", "text/event-stream")
	ctx.SetHeader("Cache-Control", "no-store")
	ctx.SetHeader("X-Accel-Buffering", "no") // nginx passes on what comes, when it comes
	ctx.SetStatus(http.StatusOK)
	w := ctx.BodyWriter().(http.ResponseWriter)
	to := &Events{After: first(ctx.Header("Last-Event-ID"), ctx.Query("after")), to: w, flush: http.NewResponseController(w).Flush}
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stop()
	beside.Go(func() {
		tick := time.NewTicker(stillHere)
		defer tick.Stop()
		defer stop()
		leaving := Leaving(run)
		for to.write("") == nil {
			select {
			case <-run.Done():
				return
			case <-leaving:
				return
			case <-tick.C:
				if to.write(": still here\n\n") != nil {
					return
				}
			}
		}
	})
	if err := do(run, to); err != nil && run.Err() == nil {
		s.Log.Error("a stream failed", "operation", op.ID, "err", err)
	}
}
