package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"infernet/consumer"
	"infernet/events"
)

// Job is a job that was ordered over /api/v1, as it is shown. Times are unix seconds, amounts msat.
type Job struct {
	ID       events.ID     `json:"id" doc:"event id of its first try; it stays the same if another node has to do it"`
	Status   string        `json:"status" enum:"queued,running,completed,failed,cancelled"`
	Kind     int           `json:"kind" doc:"of the request event"`
	Type     string        `json:"type" doc:"the kind's name"`
	Model    string        `json:"model" doc:"as ordered; once completed, as the node says"`
	Node     events.PubKey `json:"node,omitempty" doc:"who does it, or did"`
	Key      string        `json:"key,omitempty" doc:"id of the app key that ordered it"`
	Created  int64         `json:"created_at"`
	Finished int64         `json:"finished_at,omitempty"`
	Progress Progress      `json:"progress"`
	Output   any           `json:"output,omitempty" doc:"once completed: a text, the vectors of embeddings, or the address of the first file"`
	Files    []File        `json:"files,omitempty" doc:"files of the result"`
	Usage    *Usage        `json:"usage,omitempty"`
	Cost     Cost          `json:"cost"`
	Error    *JobError     `json:"error,omitempty" doc:"of a job that failed or was cancelled"`
	Tries    []Try         `json:"tries" nullable:"false" doc:"jobs of the market that it took, the last one counts"`
	FirstMs  int64         `json:"first_ms,omitempty" doc:"until the first piece of text"`
	TookMs   int64         `json:"took_ms,omitempty"`
}

// States of a Job.
const (
	Queued    = "queued"  // submitted, nobody works on it yet
	Running   = "running" // a node works on it
	Completed = "completed"
	Failed    = "failed"
	Cancelled = "cancelled"
)

// Progress is how far a job is.
type Progress struct {
	Percentage int           `json:"percentage" doc:"as far as its node says; 100 once completed"`
	Step       string        `json:"step" doc:"what happened last: submitted, offer, award, invoice, paid, running, refused, retry, delivered, receipt"`
	Text       string        `json:"text,omitempty"`
	Job        events.ID     `json:"job,omitempty" doc:"the try that it is about"`
	Node       events.PubKey `json:"node,omitempty"`
	Amount     events.Msat   `json:"amount_msat,omitempty"`
}

// Partial is the next piece of a result: of its text, or a file.
type Partial struct {
	Text  string `json:"text"`
	File  *File  `json:"file,omitempty"`
	Whole bool   `json:"whole,omitempty" doc:"it takes the place of all pieces before it"`
}

// File is a file of a result.
type File struct {
	URL  string `json:"url" doc:"where this server has it"`
	Mime string `json:"mime"`
	Size int64  `json:"size"`
}

// Usage is what a job used, in its kind's units.
type Usage struct {
	In   int64  `json:"in"`
	Out  int64  `json:"out"`
	Ms   int64  `json:"ms" doc:"of work, as the node says"`
	Unit string `json:"unit"`
}

// Cost is what a job may cost and did.
type Cost struct {
	Max      events.Msat `json:"max_msat"`
	Paid     events.Msat `json:"paid_msat"`
	Pay      string      `json:"pay,omitempty" doc:"how it was paid"`
	Hash     string      `json:"payment_hash,omitempty"`
	Preimage string      `json:"preimage,omitempty" doc:"proves the payment"`
	Receipt  events.ID   `json:"receipt,omitempty" doc:"event id of the node's receipt"`
}

// JobError says why a job has no result, and what to do.
type JobError struct {
	Status  int         `json:"status" doc:"as the HTTP status would be"`
	Code    string      `json:"code,omitempty"`
	Message string      `json:"message"`
	Facts   *marketFact `json:"infernet,omitempty"`
}

// Try is one job of the market.
type Try struct {
	Job  events.ID     `json:"job"`
	Node events.PubKey `json:"node,omitempty"`
}

// task is a job of the API while it is under way, or looked at.
type task struct {
	g    *Gateway
	stop context.CancelCauseFunc // nil once it has ended, or if another process had it
	id   chan struct{}           // closed once the job has an id and is on the disk
	done chan struct{}           // closed at its end
	dir  string                  // where its files arrive; removed at its end
	err  error                   // why it never had an id; once done is closed

	mu    sync.Mutex
	job   Job
	text  strings.Builder // streamed so far
	story []Entry
	more  chan struct{} // closed, and another one made, when the story grows
	over  bool
}

// errCancelled is why a caller's job ends that it does not want any more.
var errCancelled = errors.New("cancelled by who ordered it")

// begin buys in the background, and returns once the job is submitted, or cannot be. A caller that leaves before is
// nobody who could ask for it: the job is cancelled then.
func (g *Gateway) begin(ctx context.Context, w *wish) (*task, error) {
	if !events.Kinds[w.order.Kind].GivesText() { // its files go there, until they are kept
		dir, err := os.MkdirTemp("", "infernet-gateway-")
		if err != nil {
			return nil, err
		}
		w.order.Out = dir
	}
	t := g.newTask(Job{
		Status: Queued, Kind: w.order.Kind, Type: events.Kinds[w.order.Kind].Name, Model: w.name(), Key: w.who, Created: g.Now().Unix(),
		Cost: Cost{Max: w.order.MaxCost}, Tries: []Try{},
	})
	t.dir, w.stays = w.order.Out, true
	run, stop := context.WithCancelCause(g.ctx)
	t.stop = stop
	g.after.Go(func() {
		defer stop(nil)
		got, err := g.buy(run, w, t.hear)
		t.end(run, got, err)
	})
	select {
	case <-t.id:
		return t, nil
	case <-t.done:
		if t.err != nil {
			return nil, t.err
		}
		return t, nil
	case <-ctx.Done():
		stop(context.Cause(ctx))
		return nil, context.Cause(ctx)
	}
}

func (g *Gateway) newTask(job Job) *task {
	return &task{g: g, job: job, id: make(chan struct{}), done: make(chan struct{}), more: make(chan struct{})}
}

// hear takes each step of the job into its story.
func (t *task) hear(s consumer.Step) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.Job != "" && !slices.ContainsFunc(t.job.Tries, func(x Try) bool { return x.Job == s.Job }) {
		t.submitted(s.Job)
	}
	at := Progress{Percentage: t.job.Progress.Percentage, Job: s.Job}
	if s.Message != nil && s.Delta == "" {
		at.Node = s.Message.Signed().Author
	}
	switch m := s.Message.(type) {
	case *events.Chunk:
		t.job.Status = Running
		t.text.WriteString(s.Delta)
		t.tell("result", Partial{Text: s.Delta})
		return
	case *events.Request:
		at.Step, at.Node = "submitted", ""
		if len(m.To) == 1 {
			at.Node = m.To[0]
		}
		if len(t.job.Tries) > 1 {
			at.Step = "retry"
		}
	case *events.Offer:
		at.Step, at.Amount = "offer", m.Amount
	case *events.Award:
		at.Step, at.Node, at.Amount = "award", m.Node, m.Amount
	case *events.Invoice:
		at.Step, at.Amount = "invoice", m.Amount
	case *events.Running:
		at.Step, at.Percentage = "running", max(at.Percentage, int(min(m.Progress, 99)))
		t.job.Status = Running
	case *events.Refusal:
		at.Step, at.Text = "refused", m.Error()
	case *events.Result:
		at.Step, at.Percentage = "delivered", 100
	case *events.Receipt:
		at.Step, at.Amount = "receipt", m.Amount
	case nil:
		if s.Note == "" {
			return
		}
		at.Step, at.Text = "paid", s.Note
	default:
		return
	}
	switch at.Step {
	case "submitted", "retry", "award", "running", "delivered":
		if at.Node != "" {
			t.job.Node = at.Node
			t.job.Tries[len(t.job.Tries)-1].Node = at.Node
		}
	}
	t.job.Progress = at
	t.tell("progress", at)
}

// submitted notes another job of the market; on the disk, before anything is paid for it.
func (t *task) submitted(job events.ID) {
	t.job.Tries = append(t.job.Tries, Try{Job: job})
	t.job.Progress.Percentage = 0
	first := t.job.ID == ""
	if first {
		t.job.ID = job
		t.g.tasks.put(t)
	}
	if err := t.g.shelf.put(&t.job, nil); err != nil {
		t.g.Log.Error("cannot keep a job", "job", job, "err", err)
		if t.stop != nil {
			t.stop(err)
		}
		return
	}
	if first {
		close(t.id)
	}
}

// end takes the job to its end. What the gateway itself leaves while money is out stays open, for its next run.
func (t *task) end(ctx context.Context, got *consumer.Delivery, err error) {
	defer close(t.done)
	if t.dir != "" {
		defer os.RemoveAll(t.dir)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.g.tasks.drop(t)
	if t.job.ID == "" {
		if t.err = err; err == nil {
			t.err = errors.New("the job has no id")
		}
		return
	}
	left := (*consumer.LeftError)(nil)
	if errors.As(err, &left) && t.g.ctx.Err() != nil {
		t.over = true
		t.wake()
		return
	}
	t.job.Finished = t.g.Now().Unix()
	name := "complete"
	if err == nil {
		err = t.deliver(got)
	}
	if err != nil {
		name = "failed"
		t.fail(ctx, err)
	}
	t.over = true
	t.tell(name, t.job)
	if err := t.g.shelf.put(&t.job, t.story); err != nil {
		t.g.Log.Error("cannot keep the end of a job", "job", t.job.ID, "err", err)
	}
}

func (t *task) fail(ctx context.Context, err error) {
	f := explain(err)
	t.job.Status = Failed
	t.job.Error = &JobError{f.Status, f.Code, f.Message, f.Market}
	if f.Market != nil {
		t.job.Cost.Paid = f.Market.Paid
	}
	var gone *consumer.CancelledError
	switch why := context.Cause(ctx); {
	case errors.Is(why, errCancelled), errors.As(err, &gone):
		t.job.Status, t.job.Error.Code = Cancelled, "cancelled"
	case t.g.ctx.Err() != nil:
		t.job.Error.Code, t.job.Error.Message = "gateway_ended", "the gateway ended before the job did, which was cancelled; order it again"
	}
}

// deliver takes a delivery into the job: what streamed may lack the end, and files are kept beside the gateway's books.
func (t *task) deliver(got *consumer.Delivery) error {
	j := &t.job
	j.Status, j.Node, j.Model = Completed, got.Node, got.Model
	j.Progress = Progress{Percentage: 100, Step: "delivered", Job: got.Job, Node: got.Node}
	j.Usage = &Usage{got.Usage.In, got.Usage.Out, got.Usage.Ms, events.Kinds[j.Kind].Unit}
	j.Cost.Paid, j.Cost.Pay, j.FirstMs, j.TookMs = got.Paid, got.Pay, got.First.Milliseconds(), got.Took.Milliseconds()
	if got.Paid > 0 {
		j.Cost.Hash, j.Cost.Preimage = got.Hash.String(), got.Preimage.String()
	}
	if got.Receipt != nil {
		j.Cost.Receipt = got.Receipt.ID
	}
	kind := events.Kinds[j.Kind]
	if !kind.GivesText() || len(got.Files) > 0 {
		if err := t.keepFiles(got); err != nil {
			return err
		}
		for i := range j.Files {
			t.tell("result", Partial{File: &j.Files[i]})
		}
		if !kind.GivesText() {
			j.Output = j.Files[0].URL
			return nil
		}
	}
	j.Output = got.Text
	if j.Kind == events.KindEmbeddings {
		var vectors [][]float64
		if json.Unmarshal([]byte(got.Text), &vectors) == nil {
			j.Output = vectors
		}
		return nil
	}
	if rest, ok := strings.CutPrefix(got.Text, t.text.String()); !ok {
		t.tell("result", Partial{Text: got.Text, Whole: true})
	} else if rest != "" {
		t.tell("result", Partial{Text: rest})
	}
	return nil
}

// keepFiles keeps the files of a result where the API serves them from.
func (t *task) keepFiles(got *consumer.Delivery) error {
	dir := t.g.filesOf(t.job.ID)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	keep := func(mime string, size int64, put func(to string) error) error {
		name := strconv.Itoa(len(t.job.Files))
		if err := put(filepath.Join(dir, name)); err != nil {
			return err
		}
		t.job.Files = append(t.job.Files, File{"/api/v1/jobs/" + string(t.job.ID) + "/files/" + name, mime, size})
		return nil
	}
	for _, f := range got.Files {
		if f.Path == "" {
			continue
		}
		info, err := os.Stat(f.Path)
		if err != nil {
			return err
		}
		if err := keep(f.Mime, info.Size(), func(to string) error { return os.Rename(f.Path, to) }); err != nil {
			return err
		}
	}
	if len(t.job.Files) > 0 {
		return nil
	}
	mime, body, err := events.ParseDataURL(got.Text)
	if err != nil {
		return &failure{Status: 502, Type: serverError, Code: "bad_result", Message: "the node's result is no file",
			Market: &marketFact{Job: got.Job, Node: got.Node, Paid: got.Paid}}
	}
	return keep(mime, int64(len(body)), func(to string) error { return os.WriteFile(to, body, 0o600) })
}

// filesOf is the folder of a job's files, beside the gateway's books.
func (g *Gateway) filesOf(job events.ID) string {
	return filepath.Join(strings.TrimSuffix(g.Path, filepath.Ext(g.Path))+"-files", string(job))
}
