package echo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"infernet/engine"
)

// check reads a job's words, and refuses what echo cannot do.
func (e *Engine) check(job engine.Job) (words []string, err error) {
	if job.Model != "" && job.Model != e.opts.model {
		return nil, fmt.Errorf("%w %q; there is %s", engine.ErrUnknownModel, job.Model, e.opts.model)
	}
	if !slices.Contains(e.opts.kinds, job.Kind) {
		return nil, &engine.InvalidError{Param: "kind", Reason: fmt.Sprintf("echo does not serve %d", job.Kind)}
	}
	if n, ok := job.Params.Int("max_tokens"); !ok && job.Params.Text("max_tokens") != "" || ok && n < 1 {
		return nil, &engine.InvalidError{Param: "max_tokens", Reason: fmt.Sprintf("%q is no number of at least 1", job.Params.Text("max_tokens"))}
	}
	if t, ok := job.Params.Float("temperature"); ok && (t < 0 || t > 2) {
		return nil, &engine.InvalidError{Param: "temperature", Reason: fmt.Sprintf("%g is out of bounds, 0 to 2", t)}
	}
	for _, in := range job.Inputs {
		text := in.Text
		switch {
		case in.File != nil && e.opts.files:
			h := sha256.New()
			if _, err := io.Copy(h, io.NewSectionReader(in.File, 0, 1<<40)); err != nil {
				return nil, fmt.Errorf("read input: %w", err)
			}
			text = hex.EncodeToString(h.Sum(nil))
		case in.File != nil:
			data, err := io.ReadAll(io.NewSectionReader(in.File, 0, 1<<24)) // leaves the offset alone: Estimate reads it too
			if err != nil {
				return nil, fmt.Errorf("read input: %w", err)
			}
			if text = string(data); !utf8.ValidString(text) {
				return nil, &engine.InvalidError{Param: "i", Reason: "the file is no text (UTF-8)"}
			}
		}
		words = append(words, strings.Fields(text)...)
	}
	if len(words) > e.opts.context {
		return nil, fmt.Errorf("%w: %d words, at most %d", engine.ErrTooLarge, len(words), e.opts.context)
	}
	return words, nil
}

// giveBack writes each file input into the job's folder again, if the options want it.
func (e *Engine) giveBack(job engine.Job, emit func(engine.Part) error) (files []engine.File, err error) {
	for i, in := range job.Inputs {
		if in.File == nil || !e.opts.files {
			continue
		}
		out := engine.File{Path: filepath.Join(job.Dir, fmt.Sprintf("echo-%d", i+1)), Mime: in.Mime}
		to, err := os.Create(out.Path)
		if err != nil {
			return nil, fmt.Errorf("give a file back: %w", err)
		}
		_, err = io.Copy(to, io.NewSectionReader(in.File, 0, 1<<40))
		if err := errors.Join(err, to.Close()); err != nil {
			return nil, fmt.Errorf("give a file back: %w", err)
		}
		if err := emit(out); err != nil {
			return nil, err
		}
		files = append(files, out)
	}
	return files, nil
}

// answer is what echo says: the words, repeated or cut to the number the options or max_tokens ask for.
func (e *Engine) answer(job engine.Job, words []string) []string {
	n := len(words)
	if e.opts.tokens > 0 && n > 0 {
		n = e.opts.tokens
	}
	if most, ok := job.Params.Int("max_tokens"); ok && most < int64(n) {
		n = int(most)
	}
	out := make([]string, n)
	for i := range out {
		out[i] = words[i%len(words)]
	}
	return out
}

// trouble fails or crashes the nth job once said words were said, if the options want it.
func (e *Engine) trouble(nth, said int) error {
	o := e.opts
	if o.crash > 0 && nth == 1 && said == o.crash {
		os.Exit(3) // what a killed node looks like to the others
	}
	if o.fail != "" && said >= o.after && (o.jobs == 0 || nth <= o.jobs) {
		return fmt.Errorf("%w: %s", ErrFailed, o.fail)
	}
	return nil
}

// take gets one of slots, or says why not.
func (e *Engine) take(ctx context.Context) error {
	select {
	case e.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-e.end:
		return fmt.Errorf("echo closed: %w", engine.ErrUnavailable)
	}
}
