// Package container is the engine of programs: it runs what customers send (rendering, scientific and batch jobs) in images of
// the owner's, by bubblewrap, apart from everything else on the machine.
//
// It promises that a program sees its image, its inputs and an empty folder for its outputs, and nothing else: no network, no
// other process, no file, no environment and no right of the node's; that its time, memory, processes and room on the disk
// end where its limits do; and that nothing of it is left afterwards. The twenty hostile programs of the tests hold it to that.
// No node runs programs unless its owner names this engine. Begin with Open.
package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"infernet/engine"
	"infernet/events"
)

var (
	_ engine.Engine    = (*Engine)(nil)
	_ engine.Estimator = (*Engine)(nil)
	_ engine.Checker   = (*Engine)(nil)
)

// Engine runs programs in the images of a folder.
type Engine struct {
	opts   options
	images []image
	cage   *cage
	slots  chan int // numbers of the slots that are free: each has a user of its own where the node runs as root
	log    *slog.Logger

	mu     sync.Mutex
	closed bool
	jobs   sync.WaitGroup
}

// kinds are what it serves.
var kinds = []int{events.KindRendering, events.KindBatch}

// Open opens container:///abs/path/of/images, a folder of images: NAME.tar or NAME.tar.gz, a root filesystem as 'docker export'
// and debootstrap make it. Each is a model, its digest is the file's. Options in the query, all optional:
//
//	slots=2        jobs at once; 1 if missing
//	cpus=2         processors of one job; all but one, shared with the node's other work, if missing
//	memory=1024    MiB of one job, at most what it asks for
//	disk=1024      MiB of output files of one job
//	tmp=64         MiB in /tmp of one job
//	procs=64       processes of one job
//	time=10m       how long one job may run
//	bwrap=/path    bubblewrap; the one in PATH, else the one that scripts/get-bwrap.sh puts into the cache
//	work=/path     where images are unpacked and jobs work; the user's cache folder, or /var/cache/infernet of root
func Open(ctx context.Context, u *url.URL, log *slog.Logger) (engine.Engine, error) {
	opts, err := parse(u)
	if err != nil {
		return nil, err
	}
	cage, err := openCage(ctx, opts)
	if err != nil {
		return nil, err
	}
	images, err := unpackAll(ctx, opts.images, cage.images, log)
	if err != nil {
		return nil, errors.Join(err, cage.close())
	}
	e := &Engine{opts: opts, images: images, cage: cage, slots: make(chan int, opts.slots), log: log}
	for i := range opts.slots {
		e.slots <- i
	}
	return e, nil
}

// Models are the images.
func (e *Engine) Models(context.Context) ([]engine.Model, error) {
	var all []engine.Model
	for _, i := range e.images {
		all = append(all, engine.Model{ID: i.name, Kinds: kinds, Digest: i.digest, Slots: e.opts.slots})
	}
	return all, nil
}

// Estimate counts the inputs; how many files come out nobody knows before.
func (e *Engine) Estimate(_ context.Context, job engine.Job) (events.Usage, error) {
	if _, _, err := e.task(job); err != nil {
		return events.Usage{}, err
	}
	return events.Usage{In: max(1, int64(len(job.Inputs))), Out: maxFiles}, nil
}

// Check says whether programs can still be kept apart.
func (e *Engine) Check(ctx context.Context) error { return e.cage.check(ctx) }

// Result is what a job's result says, as JSON: how the program ended, and what it said. That it failed is a result, too: it
// had its time.
type Result struct {
	Exit    int      `json:"exit"`             // its exit status; -1 if it was killed
	Killed  string   `json:"killed,omitempty"` // what it had too much of: time, memory, disk or processes
	Seconds float64  `json:"seconds"`
	Stdout  string   `json:"stdout"` // its beginning, 8 KiB
	Stderr  string   `json:"stderr"` // its end, 2 KiB
	Files   []string `json:"files"`  // names of the files of the result, in their order
	LeftOut []string `json:"left_out,omitempty"`
}

// Run runs one program.
func (e *Engine) Run(ctx context.Context, job engine.Job, emit func(engine.Part) error) (*engine.Output, error) {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil, fmt.Errorf("%w: closed", engine.ErrUnavailable)
	}
	e.jobs.Add(1)
	e.mu.Unlock()
	defer e.jobs.Done()
	task, in, err := e.task(job)
	if err != nil {
		return nil, err
	}
	var slot int
	select {
	case slot = <-e.slots:
		defer func() { e.slots <- slot }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	room, err := e.cage.room(slot)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	defer func() {
		if err := room.remove(); err != nil {
			e.log.Warn("a program's folder is left", "job", job.ID, "err", err)
		}
	}()
	if err := room.fill(job.Inputs); err != nil {
		return nil, fmt.Errorf("%w: inputs: %w", engine.ErrUnavailable, err)
	}
	began := time.Now()
	end, err := e.cage.run(ctx, in.root, room, task)
	if err != nil {
		return nil, err
	}
	r := Result{Exit: end.exit, Killed: end.killed, Seconds: time.Since(began).Round(time.Millisecond).Seconds(), Stdout: end.stdout, Stderr: end.stderr, Files: []string{}}
	files, err := room.collect(job.Dir, task.globs, &r)
	if err != nil {
		return nil, fmt.Errorf("%w: outputs: %w", engine.ErrUnavailable, err)
	}
	body, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	out := &engine.Output{Text: string(body), Files: files, Usage: events.Usage{In: max(1, int64(len(job.Inputs))), Out: int64(len(files))}}
	if err := emit(engine.Delta{Text: out.Text}); err != nil {
		return nil, err
	}
	for _, f := range files {
		if err := emit(f); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// image finds the image of a job.
func (e *Engine) image(name string) (image, bool) {
	i := slices.IndexFunc(e.images, func(i image) bool { return i.name == name })
	if i < 0 {
		return image{}, false
	}
	return e.images[i], true
}

// Close waits for the programs to end, which those who run them have told to.
func (e *Engine) Close() error {
	e.mu.Lock()
	again := e.closed
	e.closed = true
	e.mu.Unlock()
	e.jobs.Wait()
	if again {
		return nil
	}
	return e.cage.close()
}
