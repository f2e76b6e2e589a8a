// Package engine is the family of things that can do a job: one interface, a folder for each part, chosen by URL.
//
// A part is opened once and serves jobs at the same time. It promises order (what it emits is the result so far, in
// order), that Run returns soon after its context ends, and that one job's failure is no other job's. The suite in
// enginetest holds every part to that. Begin with Engine.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sort"
	"strings"

	"infernet/events"
)

// Engine does jobs.
type Engine interface {
	// Models lists what can be run now. ErrUnavailable if the engine cannot be reached.
	Models(ctx context.Context) ([]Model, error)
	// Run does one job and returns its whole output; emit gets it in parts, in order, while it is made. An error of emit
	// ends the job. Errors: ErrUnknownModel, ErrUnavailable, *InvalidError, ErrTooLarge, ctx.Err().
	Run(ctx context.Context, job Job, emit func(Part) error) (*Output, error)
	// Close ends the engine, and what it started.
	Close() error
}

// Estimator is an Engine that can say what a job will use before it is quoted.
type Estimator interface {
	// Estimate gives the units in, and the most units out, of a job.
	Estimate(ctx context.Context, job Job) (events.Usage, error)
}

// Checker is an Engine that knows how it is without being asked for its models.
type Checker interface {
	// Check says what is wrong with the engine: ErrUnavailable if it is not there, or ends again and again.
	Check(ctx context.Context) error
}

// Check asks an engine how it is; one that is no Checker is asked for its models.
func Check(ctx context.Context, e Engine) error {
	if c, ok := e.(Checker); ok {
		return c.Check(ctx)
	}
	_, err := e.Models(ctx)
	return err
}

// Job is one piece of work as an engine sees it.
type Job struct {
	ID     events.ID
	Kind   int           // a job kind of events.Kinds
	Model  string        // an id from Models
	Params events.Params // checked against the kind's table
	Output string        // MIME type that is wanted, one of the kind's; "": its first
	Inputs []Input
	Dir    string   // where files of the job may be written; empty if it has none
	Resume *os.File // the last checkpoint of an earlier run; nil if none
}

// Input is one thing to work on: text, or a file already fetched and opened.
type Input struct {
	Text string
	File *os.File // nil for text
	Mime string   // of File
}

// Model is one model an engine can run.
type Model struct {
	ID      string // as customers name it, lower case
	Kinds   []int  // job kinds it serves
	Digest  string // "sha256:…" of the weights; empty if unknown
	Context int    // units of context; 0 if unknown
	Slots   int    // jobs at once; 1 if unset
}

// Part is one piece of a job's output or story: Delta, Progress, Log, File or Checkpoint.
type Part interface{ part() }

// Delta is the next piece of the output text.
type Delta struct{ Text string }

// Progress is how far the job is, in percent.
type Progress struct{ Percent int }

// Log is a line for the job's log.
type Log struct{ Line string }

// File is a finished output file in the job's Dir.
type File struct{ Path, Mime string }

// Checkpoint is a file that Run can resume from.
type Checkpoint struct{ Path string }

func (Delta) part()      {}
func (Progress) part()   {}
func (Log) part()        {}
func (File) part()       {}
func (Checkpoint) part() {}

// Output is what a job gave.
type Output struct {
	Text  string // all deltas together, or JSON for embeddings
	Files []File
	Usage events.Usage // in the kind's units; Ms is set by the caller
}

// Errors of engines. They say whose fault it is: the first two and InvalidError are the request's.
var (
	ErrUnknownModel = errors.New("unknown model")
	ErrTooLarge     = errors.New("input larger than the model's context")
	ErrUnavailable  = errors.New("engine unavailable")
)

// InvalidError says which parameter or input of a job the engine refuses.
type InvalidError struct{ Param, Reason string }

func (e *InvalidError) Error() string { return fmt.Sprintf("%s: %s", e.Param, e.Reason) }

// Opener opens an engine from its URL, for example openai+http://127.0.0.1:8080/v1.
type Opener func(ctx context.Context, u *url.URL, log *slog.Logger) (Engine, error)

// Openers is the list of engines in a program, by URL scheme.
type Openers map[string]Opener

// Open opens the engine that raw names. The part of the scheme before a "+" picks the engine; the rest is the engine's.
func (o Openers) Open(ctx context.Context, raw string, log *slog.Logger) (Engine, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("engine %q: %w", raw, err)
	}
	name, _, _ := strings.Cut(u.Scheme, "+")
	open, ok := o[name]
	if !ok {
		known := make([]string, 0, len(o))
		for k := range o {
			known = append(known, k+":")
		}
		sort.Strings(known)
		return nil, fmt.Errorf("engine %q: no such kind of engine; there are %s", raw, strings.Join(known, " "))
	}
	return open(ctx, u, log)
}
