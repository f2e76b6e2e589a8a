// Package echo is the engine of tests: it says its input back, word by word. It is never listed to customers unless a
// test asks for it.
//
// It promises to be exact and quick, so that a test sees the market and not the engine. Options in the URL make it slow,
// failing or crashing: echo:?delay=10ms&fail=out+of+memory. Begin with Open, which lists them.
package echo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"infernet/engine"
	"infernet/events"
)

var (
	_ engine.Engine    = (*Engine)(nil)
	_ engine.Estimator = (*Engine)(nil)
)

// ErrFailed is the error of a job that the options made fail on purpose.
var ErrFailed = errors.New("echo fails as it was told")

// Engine echoes. It holds nothing but its options and the jobs that run.
type Engine struct {
	opts  options
	log   *slog.Logger
	slots chan struct{}

	mu      sync.Mutex
	started int
	closed  bool
	end     chan struct{} // closed by Close
	running sync.WaitGroup
}

// Open opens echo: with these options in the URL's query, all of them optional:
//
//	model=echo     its model id
//	kinds=5050,…   the job kinds it serves; 5050,5001,5002,5800 if missing
//	slots=4        jobs at once; more wait
//	context=4096   most words in; a longer input is ErrTooLarge
//	delay=10ms     wait before every word
//	first=50ms     wait before the first word, on top of delay
//	tokens=100     say this many words, repeating the input, instead of each word once
//	fail=text      every job fails with this text (wrapping ErrFailed) …
//	after=3        … once this many words were said
//	jobs=2         … but only the first so many jobs; later ones succeed
//	files=true     file inputs are not read as text: it says each one's SHA-256, and gives it back as a file
//	down=true      Models and Run give engine.ErrUnavailable
//	crash=3        the process exits with status 3 after so many words of the first job, as a killed node would
func Open(_ context.Context, u *url.URL, log *slog.Logger) (engine.Engine, error) {
	opts, err := parse(u)
	if err != nil {
		return nil, err
	}
	return &Engine{opts: opts, log: log, slots: make(chan struct{}, opts.slots), end: make(chan struct{})}, nil
}

// Models gives the one model there is.
func (e *Engine) Models(ctx context.Context) ([]engine.Model, error) {
	if e.opts.down {
		return nil, fmt.Errorf("echo: %w", engine.ErrUnavailable)
	}
	return []engine.Model{{ID: e.opts.model, Kinds: e.opts.kinds, Context: e.opts.context, Slots: e.opts.slots}}, ctx.Err()
}

// Estimate counts the words in, and the most words out.
func (e *Engine) Estimate(_ context.Context, job engine.Job) (events.Usage, error) {
	words, err := e.check(job)
	if err != nil {
		return events.Usage{}, err
	}
	return events.Usage{In: int64(max(len(words), 1)), Out: int64(len(e.answer(job, words)))}, nil
}

// Run says the input back. A unit is a word.
func (e *Engine) Run(ctx context.Context, job engine.Job, emit func(engine.Part) error) (*engine.Output, error) {
	nth, err := e.begin()
	if err != nil {
		return nil, err
	}
	defer e.running.Done()
	words, err := e.check(job)
	if err != nil {
		return nil, err
	}
	if err := e.take(ctx); err != nil {
		return nil, err
	}
	defer func() { <-e.slots }()
	switch {
	case job.Kind == events.KindEmbeddings:
		return vectors(job, words)
	case !events.Kinds[job.Kind].GivesText():
		return file(job, words, emit)
	}

	var text strings.Builder
	answer := e.answer(job, words)
	if err := e.pause(ctx, e.opts.first); err != nil {
		return nil, err
	}
	for i, word := range answer {
		if err := e.pause(ctx, e.opts.delay); err != nil {
			return nil, err
		}
		if err := e.trouble(nth, i); err != nil {
			return nil, err
		}
		if i > 0 {
			word = " " + word
		}
		if err := emit(engine.Delta{Text: word}); err != nil {
			return nil, err
		}
		text.WriteString(word)
	}
	if err := e.trouble(nth, len(answer)); err != nil {
		return nil, err
	}
	files, err := e.giveBack(job, emit)
	if err != nil {
		return nil, err
	}
	usage := events.Usage{In: int64(max(len(words), 1)), Out: int64(len(answer))}
	return &engine.Output{Text: text.String(), Files: files, Usage: usage}, nil
}

// Close ends every job and waits for them.
func (e *Engine) Close() error {
	e.mu.Lock()
	if !e.closed {
		e.closed = true
		close(e.end)
	}
	e.mu.Unlock()
	e.running.Wait()
	return nil
}

// begin counts a job in, unless the engine is closed or plays dead.
func (e *Engine) begin() (nth int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.opts.down {
		return 0, fmt.Errorf("echo: %w", engine.ErrUnavailable)
	}
	e.started++
	e.running.Add(1)
	return e.started, nil
}

// file says a job's words into a file of the type that is wanted, which is then what it says only by name.
func file(job engine.Job, words []string, emit func(engine.Part) error) (*engine.Output, error) {
	f := engine.File{Mime: job.Output}
	if f.Mime == "" {
		f.Mime = events.Kinds[job.Kind].Outputs[0]
	}
	f.Path = filepath.Join(job.Dir, "echo"+events.Ending(f.Mime))
	if err := os.WriteFile(f.Path, []byte(strings.Join(words, " ")), 0o600); err != nil {
		return nil, fmt.Errorf("echo: %w", err)
	}
	return &engine.Output{Files: []engine.File{f}, Usage: events.Usage{In: int64(max(len(words), 1))}}, emit(f)
}

// vectors embeds each input as its length and its number of words: the same text, the same vector.
func vectors(job engine.Job, words []string) (*engine.Output, error) {
	var out [][]float64
	for _, in := range job.Inputs {
		out = append(out, []float64{float64(len(in.Text)), float64(len(strings.Fields(in.Text)))})
	}
	text, err := json.Marshal(out)
	if err != nil {
		return nil, fmt.Errorf("echo vectors: %w", err)
	}
	return &engine.Output{Text: string(text), Usage: events.Usage{In: int64(max(len(words), 1))}}, nil
}

// pause waits d, or less if the job or the engine ends.
func (e *Engine) pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-e.end:
		return fmt.Errorf("echo closed: %w", engine.ErrUnavailable)
	}
}
