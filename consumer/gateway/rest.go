package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/httpd"
	"infernet/internal/ledger"
)

// maxOrder is how large an order may be that brings its file along, in bytes.
const maxOrder = 24 << 20

// op is an operation of our own API: by whoever may buy.
func (g *Gateway) op(method, path, id, group, summary, text string, fails ...int) httpd.Operation {
	here, elsewhere := g.rules(nil, maxBody)
	return httpd.Operation{Method: method, Path: "/api/v1/" + path, ID: id, Group: group, Summary: summary, Text: text, Fails: fails, Rules: here, Others: &elsewhere}
}

// handle mounts an operation; what the market said becomes a problem document.
func handle[I, O any](g *Gateway, s *httpd.Server, op httpd.Operation, do func(ctx context.Context, who httpd.Caller, in *I) (*O, error)) {
	httpd.Handle(s, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, httpd.CallerOf(ctx), in)
		if err != nil {
			return nil, g.problem(op.Path, err)
		}
		return out, nil
	})
}

// problem makes a problem document of what went wrong. What is nobody's fault but ours is left to the server's log.
func (g *Gateway) problem(path string, err error) error {
	var own *httpd.Problem
	if errors.As(err, &own) {
		return own
	}
	f := explain(err)
	if f.Status == http.StatusInternalServerError {
		return err
	}
	g.Log.Debug("a request was refused", "path", path, "status", f.Status, "err", err)
	facts := map[string]any{}
	if f.Param != nil {
		facts["param"] = *f.Param
	}
	if m := f.Market; m != nil {
		facts["job"], facts["node"], facts["paid_msat"], facts["code"] = m.Job, m.Node, m.Paid, m.Code
	}
	if len(facts) == 0 {
		return httpd.FailAs(f.Status, f.Code, nil, f.Message)
	}
	return httpd.FailAs(f.Status, f.Code, facts, f.Message)
}

// failProblem writes the same where a handler is a plain one.
func (g *Gateway) failProblem(w http.ResponseWriter, r *http.Request, err error) {
	var p *httpd.Problem
	if !errors.As(g.problem(r.URL.Path, err), &p) {
		g.Log.Error("a request failed", "path", r.URL.Path, "err", err)
		p = &httpd.Problem{}
		p.Status, p.Detail = http.StatusInternalServerError, "this is a fault of the server; its log says more"
		p.Title = http.StatusText(p.Status)
	}
	writeAs(w, p.Status, "application/problem+json", p)
}

// OneJob names a job in a path.
type OneJob struct {
	ID string `path:"id" minLength:"64" maxLength:"64" pattern:"^[0-9a-f]{64}$" doc:"the job's id"`
}

type jobOut struct {
	Body Job
}

type jobMade struct {
	Location string `header:"Location" doc:"of the job"`
	Body     Job
}

type jobList struct {
	Body struct {
		Jobs []Job `json:"jobs" nullable:"false" doc:"newest first"`
		Next int64 `json:"next,omitempty" doc:"before of the next page; missing on the last"`
	}
}

// mountREST mounts /api/v1.
func (g *Gateway) mountREST(s *httpd.Server, mount func(string, httpd.Refuser, int64, http.HandlerFunc)) {
	create := g.op("POST", "jobs", "createJob", "jobs", "Order a job",
		"Answers once the job is submitted to a node, or says why it cannot be. Then ask for the job, or listen to its stream. What it can cost at most is taken off the caller's budget before.",
		400, 402, 404, 503)
	create.Status, create.MaxBody = http.StatusCreated, maxOrder
	create.Others.MaxBody = maxOrder
	handle(g, s, create, func(ctx context.Context, who httpd.Caller, in *struct {
		Claim string `header:"X-Infernet-Pubkey" doc:"the Nostr key that the caller says is its own; refused if the app key is another's"`
		Body  NewJob
	}) (*jobMade, error) {
		if err := claimed(who, in.Claim); err != nil {
			return nil, err
		}
		w, err := g.read(ctx, who.Key, &in.Body)
		if err != nil {
			return nil, err
		}
		t, err := g.begin(ctx, w)
		if err != nil {
			return nil, err
		}
		job := t.look()
		return &jobMade{"/api/v1/jobs/" + string(job.ID), job}, nil
	})
	handle(g, s, g.op("GET", "jobs", "jobs", "jobs", "The jobs that were ordered", "With an app key its own; else all that were ordered over this API."),
		func(ctx context.Context, who httpd.Caller, in *struct {
			Status string `query:"status" enum:"queued,running,completed,failed,cancelled"`
			Before int64  `query:"before" minimum:"0" doc:"next of the page before"`
			Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50"`
		}) (*jobList, error) {
			rows, err := g.shelf.list(who.Key, who.Key == "", in.Status, in.Before, in.Limit)
			if err != nil {
				return nil, err
			}
			out := &jobList{}
			out.Body.Jobs = []Job{}
			for _, r := range rows {
				if t := g.tasks.find(r.ID); t != nil {
					r.Job = t.look()
				}
				out.Body.Jobs = append(out.Body.Jobs, r.Job)
			}
			if len(rows) == in.Limit {
				out.Body.Next = rows[len(rows)-1].seq
			}
			return out, nil
		})
	handle(g, s, g.op("GET", "jobs/{id}", "job", "jobs", "One job",
		"Without an app key also one that was bought otherwise: by a chat over /v1, or on the command line.", 404),
		func(ctx context.Context, who httpd.Caller, in *OneJob) (*jobOut, error) {
			t, err := g.taskOf(ctx, events.ID(in.ID))
			if err != nil {
				return nil, err
			}
			return &jobOut{t.look()}, nil
		})
	handle(g, s, g.op("POST", "jobs/{id}/cancel", "cancelJob", "jobs", "Cancel a job",
		"What is locked for it comes back. What was paid in advance for work that has begun does not.", 404, 409), g.cancel)
	httpd.StreamOf(s, g.op("GET", "jobs/{id}/events", "jobEvents", "jobs", "What happens to a job, as server-sent events",
		"From the beginning, or after what a client has (Last-Event-ID, or after): late listeners miss nothing. The stream ends with the job.", 404),
		map[string]any{"progress": Progress{}, "result": Partial{}, "complete": Job{}, "failed": Job{}},
		func(ctx context.Context, in *struct {
			OneJob
			After int64 `query:"after" minimum:"0" doc:"seq of the last entry that is known"`
		}) (*task, error) {
			t, err := g.taskOf(ctx, events.ID(in.ID))
			if err != nil {
				return nil, g.problem("events", err)
			}
			return t, nil
		}, func(ctx context.Context, t *task, to *httpd.Events) error {
			after, _ := strconv.ParseInt(to.After, 10, 64)
			return t.follow(ctx, after, func(e Entry) error { return to.Send(strconv.FormatInt(e.Seq, 10), e.Event, e.Data) })
		})
	g.mountPlain(s, mount)
	g.mountMarket(s)
	g.mountMoney(s)
}

// mountPlain mounts what is no JSON: the WebSocket and the files.
func (g *Gateway) mountPlain(s *httpd.Server, mount func(string, httpd.Refuser, int64, http.HandlerFunc)) {
	type stream struct {
		OneJob
		After int64 `query:"after" minimum:"0" doc:"seq of the last entry that is known"`
	}
	type entry struct{ Body Entry }
	mount("GET /api/v1/jobs/{id}/stream", nil, maxBody, g.serveSocket)
	httpd.Describe[stream, entry](s, g.op("GET", "jobs/{id}/stream", "jobStream", "jobs", "What happens to a job, over a WebSocket",
		"A WebSocket (subprotocol "+Protocol+"): each message is one entry, from the beginning or from after what is known. Browsers show an app key as the subprotocol "+httpd.KeyProtocol+"<app key>. The server closes it (1000) at the job's end.", 404))
	type file struct {
		OneJob
		N int `path:"n" minimum:"0"`
	}
	type bytes struct {
		Body []byte `contentType:"application/octet-stream"`
	}
	mount("GET /api/v1/jobs/{id}/files/{n}", nil, maxBody, g.serveFile)
	httpd.Describe[file, bytes](s, g.op("GET", "jobs/{id}/files/{n}", "jobFile", "jobs", "A file of a job's result", "With the type that the node named.", 404))
}

// claimed holds the key that a caller says is its own against its app key's. What is no key is somebody's example.
func claimed(who httpd.Caller, claim string) error {
	claim = strings.ToLower(claim)
	if len(claim) != 64 || strings.Trim(claim, "0123456789abcdef") != "" || who.PubKey == "" || who.PubKey == claim {
		return nil
	}
	return httpd.FailAs(http.StatusForbidden, "another_key", nil, "this app key acts for the Nostr key "+who.PubKey+", not for the one that is named; leave nostrPublicKey out, or use an app key of its own")
}

// taskOf finds a job for a caller: its own, or, without an app key, any.
func (g *Gateway) taskOf(ctx context.Context, id events.ID) (*task, error) {
	who := httpd.CallerOf(ctx)
	missing := httpd.FailAs(http.StatusNotFound, "job_not_found", nil, "there is no such job of this caller; GET /api/v1/jobs lists those there are")
	if t := g.tasks.find(id); t != nil {
		if who.Key != "" && t.look().Key != who.Key {
			return nil, missing
		}
		return t, nil
	}
	job, story, err := g.shelf.find(id)
	switch {
	case errors.Is(err, errNoJob) && who.Key == "":
		if job, err = g.bought(ctx, id); errors.Is(err, errNoJob) {
			return nil, missing
		}
	case errors.Is(err, errNoJob), err == nil && who.Key != "" && job.Key != who.Key:
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	t := g.newTask(job)
	if t.story, t.over = story, true; story == nil { // of one that is long over, or another process's
		if text, ok := job.Output.(string); ok && text != "" {
			t.tell("result", Partial{Text: text, Whole: true})
		}
		switch job.Status {
		case Completed:
			t.tell("complete", job)
		case Failed, Cancelled:
			t.tell("failed", job)
		}
	}
	return t, nil
}

// bought makes a job of what the ledger has: one that was bought otherwise.
func (g *Gateway) bought(ctx context.Context, id events.ID) (job Job, err error) {
	l := g.Consumer.Ledger
	if _, ok, err := l.Value(id, "order"); err != nil || !ok {
		return job, errors.Join(errNoJob, err)
	}
	state, _, err := g.Consumer.Look(ctx, id)
	if err != nil {
		return job, err
	}
	rows, err := l.Rows(id)
	if err != nil {
		return job, err
	}
	req := state.Request
	job = Job{ID: id, Kind: req.Kind, Type: events.Kinds[req.Kind].Name, Model: req.Model(), Created: int64(req.At), Tries: []Try{{Job: id}}, Status: Queued}
	job.Progress = Progress{Step: string(state.State), Job: id}
	if req.Bid != nil {
		job.Cost.Max = *req.Bid
	}
	if c, err := l.Commitment(id); err != nil {
		return job, err
	} else if c != nil {
		job.Node, job.Cost.Paid, job.Cost.Hash = c.Payee, c.Amount, c.Hash.String()
		if c.Settled {
			job.Cost.Preimage = c.Preimage.String()
		}
	}
	if state.State == events.StateRunning {
		job.Status = Running
	}
	if best := state.Best; best != nil {
		job.Node, job.Tries[0].Node = best.Node, best.Node
		if len(best.Receipts) > 0 {
			job.Cost.Receipt = best.Receipts[0].ID
		}
	}
	for _, r := range rows {
		if r.Role == ledger.Customer {
			job.ended(r.End)
		}
	}
	if m := state.Result(); m != nil && job.Status == Completed {
		job.Model, job.Finished, job.Usage = m.Model, int64(m.At), &Usage{m.Usage.In, m.Usage.Out, m.Usage.Ms, events.Kinds[req.Kind].Unit}
		if m.Sealed == nil && !m.Closed {
			text, _ := m.Split(m.Content)
			job.Output = text
		}
	}
	return job, nil
}

// ended takes how a job ended in the ledger.
func (j *Job) ended(end string) {
	switch end {
	case "":
	case consumer.Delivered:
		j.Status, j.Progress.Percentage = Completed, 100
	case consumer.Cancelled:
		j.Status = Cancelled
		j.Error = &JobError{Status: hungUp, Code: "cancelled", Message: "the job was cancelled"}
	default:
		j.Status = Failed
		j.Error = &JobError{Status: http.StatusBadGateway, Message: end}
	}
}

// cancelIn is how long a cancellation waits for the job's end.
const cancelIn = 5 * time.Second

func (g *Gateway) cancel(ctx context.Context, who httpd.Caller, in *OneJob) (*jobOut, error) {
	t, err := g.taskOf(ctx, events.ID(in.ID))
	if err != nil {
		return nil, err
	}
	job := t.look()
	if job.Status != Queued && job.Status != Running {
		return nil, httpd.FailAs(http.StatusConflict, "job_over", nil, fmt.Sprintf("job %.8s is over already: it is %s", job.ID, job.Status))
	}
	if t.stop == nil { // nobody here waits for it
		if err := g.Consumer.Cancel(ctx, job.Tries[len(job.Tries)-1].Job); err != nil {
			return nil, err
		}
		job.ended(consumer.Cancelled)
		return &jobOut{job}, nil
	}
	t.stop(errCancelled)
	timer := time.NewTimer(cancelIn)
	defer timer.Stop()
	select {
	case <-t.done:
	case <-timer.C:
	case <-ctx.Done():
	}
	return &jobOut{t.look()}, nil
}

// shown are the types of files that a browser may show; others it saves, since a node may give a page.
var shown = []string{"image/png", "image/jpeg", "image/webp", "image/gif", "audio/", "video/", "text/plain"}

// serveFile is GET /api/v1/jobs/{id}/files/{n}.
func (g *Gateway) serveFile(w http.ResponseWriter, r *http.Request) {
	t, err := g.taskOf(r.Context(), events.ID(r.PathValue("id")))
	if err != nil {
		g.failProblem(w, r, err)
		return
	}
	job := t.look()
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n >= len(job.Files) {
		g.failProblem(w, r, httpd.FailAs(http.StatusNotFound, "file_not_found", nil, fmt.Sprintf("the job has %d files, counted from 0", len(job.Files))))
		return
	}
	f, err := os.Open(filepath.Join(g.filesOf(job.ID), strconv.Itoa(n)))
	if err != nil {
		g.failProblem(w, r, httpd.FailAs(http.StatusGone, "file_gone", nil, "the file is not kept any more"))
		return
	}
	defer f.Close()
	h := w.Header()
	h.Set("Content-Type", job.Files[n].Mime)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	if !slices.ContainsFunc(shown, func(mime string) bool { return strings.HasPrefix(job.Files[n].Mime, mime) }) {
		h.Set("Content-Disposition", "attachment")
	}
	http.ServeContent(w, r, "", time.Unix(job.Finished, 0), f)
}

// takeUp goes on with a job that an earlier run left.
func (g *Gateway) takeUp(job Job) {
	t := g.newTask(job)
	close(t.id)
	last := job.Tries[len(job.Tries)-1].Job
	run, stop := context.WithCancelCause(g.ctx)
	t.stop = stop
	t.tell("progress", Progress{Step: "resumed", Job: last, Percentage: job.Progress.Percentage})
	g.tasks.put(t)
	g.after.Go(func() {
		defer stop(nil)
		got, err := g.Consumer.Resume(run, last, t.hear)
		if h, err := g.budget.holdOf(last); err != nil {
			g.Log.Error("cannot settle a budget", "job", last, "err", err)
		} else if err := h.settle(g.Consumer.Ledger, g.ctx.Err() == nil); err != nil {
			g.Log.Error("cannot settle a budget", "job", last, "err", err)
		}
		t.end(run, got, err)
	})
}

// triesOf are the market's jobs of jobs that go on.
func triesOf(open []Job) map[events.ID]bool {
	tries := map[events.ID]bool{}
	for _, job := range open {
		for _, t := range job.Tries {
			tries[t.Job] = true
		}
	}
	return tries
}
