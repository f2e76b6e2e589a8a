package provider

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"infernet/engine"
	"infernet/events"
)

// Small files travel inside events, as data: addresses: nothing is fetched for them.

// maxFile bounds one output file that is read to travel so, in bytes: more fits no event.
const maxFile = events.MaxEvent

// files is a folder for a job's files, and the job as an engine sees it. done removes them.
func (j *job) files(model string) (work engine.Job, done func(), err error) {
	work = engine.Job{ID: j.req.ID, Kind: j.req.Kind, Model: model, Params: j.req.Params, Output: j.req.Output}
	var open []*os.File
	done = func() {
		for _, f := range open {
			f.Close()
		}
		if work.Dir != "" {
			os.RemoveAll(work.Dir)
		}
	}
	defer func() {
		if err != nil {
			done()
		}
	}()
	if !events.Kinds[j.req.Kind].GivesText() || hasFiles(j.req) {
		if work.Dir, err = os.MkdirTemp("", "infernet-job-"); err != nil {
			return work, done, err
		}
	}
	for i, in := range j.req.Inputs {
		if !events.IsDataURL(in.Value) || in.Type != "url" {
			work.Inputs = append(work.Inputs, engine.Input{Text: in.Value})
			continue
		}
		mime, body, err := events.ParseDataURL(in.Value)
		if err != nil {
			return work, done, refuse(events.CodeInvalidParameter, "i: %v", err)
		}
		path := filepath.Join(work.Dir, fmt.Sprintf("in-%d", i))
		if err := os.WriteFile(path, body, 0o600); err != nil {
			return work, done, err
		}
		f, err := os.Open(path)
		if err != nil {
			return work, done, err
		}
		open = append(open, f)
		work.Inputs = append(work.Inputs, engine.Input{File: f, Mime: mime})
	}
	return work, done, nil
}

// hasFiles says whether an input holds a file.
func hasFiles(req *events.Request) bool {
	for _, in := range req.Inputs {
		if in.Type == "url" && events.IsDataURL(in.Value) {
			return true
		}
	}
	return false
}

// errLargeFile says that a file is too large for an event.
var errLargeFile = errors.New("a file of the result is too large to travel in an event")

// content is what a result says: its text, and a line for each file.
func content(out *engine.Output) (string, error) {
	text := out.Text
	for _, f := range out.Files {
		info, err := os.Stat(f.Path)
		if err != nil {
			return "", err
		}
		if info.Size() > maxFile {
			return "", fmt.Errorf("%w: %d bytes", errLargeFile, info.Size())
		}
		body, err := os.ReadFile(f.Path)
		if err != nil {
			return "", err
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		text += events.DataURL(f.Mime, body)
	}
	return text, nil
}
