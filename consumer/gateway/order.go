package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"infernet/consumer"
)

// Request is a request of OpenAI's API that was read: what it buys, and how its answer is written. Batches are made of them.
type Request struct {
	w      *wish
	form   *form // nil: embeddings
	packed bool
}

// paths are the requests that a batch can be made of.
const paths = "/v1/chat/completions, /v1/completions, /v1/embeddings"

// ReadRequest reads the body of a request as the gateway does. What it says nothing of is as base says.
func ReadRequest(path string, raw json.RawMessage, base consumer.Order) (*Request, error) {
	g := &Gateway{Config: Config{MaxCost: base.MaxCost, Pay: base.Pay, Life: base.Life, Now: time.Now}}
	r := (&http.Request{Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(raw))})
	b, err := readBody(r)
	if err != nil {
		return nil, err
	}
	req := &Request{}
	switch path {
	case "/v1/chat/completions", "/v1/completions":
		req.form = &chatForm
		read := g.readChat
		if path == "/v1/completions" {
			req.form, read = &textForm, g.readPrompt
		}
		if req.w, _, _, err = g.textWish(r, b); err == nil {
			err = read(b, req.w)
		}
	case "/v1/embeddings":
		req.w, req.packed, err = g.readEmbeddings(r, b)
	default:
		return nil, fmt.Errorf("url %.80q: a batch is made of %s", path, paths)
	}
	if err != nil {
		return nil, err
	}
	o := &req.w.order
	o.Controls, o.Hedge, o.Fallback = req.w.options.Controls, base.Hedge, base.Fallback
	if o.Controls.Sort == "" {
		o.Controls.Sort = base.Controls.Sort
	}
	if len(o.Controls.Order)+len(o.Controls.Only)+len(o.Controls.Ignore) == 0 {
		o.Controls.Order, o.Controls.Only, o.Controls.Ignore = base.Controls.Order, base.Controls.Only, base.Controls.Ignore
	}
	if o.Controls.MaxPrice == nil {
		o.Controls.MaxPrice = base.Controls.MaxPrice
	}
	if req.w.options.Way == "" && base.Way != "" {
		o.Way = base.Way
	}
	if o.Priority == "" {
		o.Priority = base.Priority
	}
	o.Require = base.Require
	return req, nil
}

// Order is the job that the request buys.
func (q *Request) Order() consumer.Order { return q.w.order }

// Answer is what the API answers, as JSON can be made of it, and its status.
func (q *Request) Answer(d *consumer.Delivery) (status int, body any, err error) {
	bill := billOf(d)
	if q.form != nil {
		return http.StatusOK, completion{
			ID: q.form.prefix + string(d.Job), Object: q.form.whole, Created: int64(d.Result.At), Model: d.Model, Bill: bill,
			Choices: []choice{q.form.answer(d.Text, ending(q.w, d.Usage))}, Usage: usageOf(d),
		}, nil
	}
	vectors, err := readVectors(d, len(q.w.order.Inputs))
	if err != nil {
		return 0, nil, err
	}
	rows := []map[string]any{}
	for i, v := range vectors {
		row := map[string]any{"object": "embedding", "index": i, "embedding": any(v)}
		if q.packed {
			row["embedding"] = pack(v)
		}
		rows = append(rows, row)
	}
	return http.StatusOK, map[string]any{
		"object": "list", "data": rows, "model": d.Model, "infernet": bill, "usage": map[string]any{"prompt_tokens": d.Usage.In, "total_tokens": d.Usage.In},
	}, nil
}

// Failure is what the API answers instead.
func (q *Request) Failure(err error) (status int, body any) {
	f := explain(err)
	return f.Status, map[string]any{"error": f}
}
