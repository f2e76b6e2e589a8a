package provider

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"infernet/engine"
	"infernet/events"
)

// Small files travel inside events, as data: addresses: nothing is fetched for them.

// engineJob is the job as an engine sees it. Before its inputs were fetched it has only those that the request holds; done
// removes their files. Once they were fetched it is all there, in the job's own folder.
func (j *job) engineJob(model string) (work engine.Job, done func(), err error) {
	work = engine.Job{ID: j.req.ID, Kind: j.req.Kind, Model: model, Params: j.req.Params, Output: j.req.Output, Dir: j.dir, Inputs: j.inputs}
	if j.inputs != nil {
		return work, func() {}, nil
	}
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
	for _, in := range j.req.Inputs {
		switch {
		case in.Type == "text":
			work.Inputs = append(work.Inputs, engine.Input{Text: in.Value})
		case in.Held():
			if work.Dir == "" {
				if work.Dir, err = os.MkdirTemp("", "infernet-job-"); err != nil {
					return work, done, err
				}
			}
			held, err := unpack(in.Value, work.Dir)
			if err != nil {
				return work, done, err
			}
			open = append(open, held.File)
			work.Inputs = append(work.Inputs, held)
		}
	}
	return work, done, nil
}

// unpack writes a file out of its data: address into a folder.
func unpack(address, dir string) (engine.Input, error) {
	mime, body, err := events.ParseDataURL(address)
	if err != nil {
		return engine.Input{}, refuse(events.CodeInvalidParameter, "i: %v", err)
	}
	f, err := os.CreateTemp(dir, "input-")
	if err != nil {
		return engine.Input{}, err
	}
	if _, err := f.Write(body); err != nil {
		return engine.Input{}, errors.Join(err, f.Close())
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return engine.Input{}, errors.Join(err, f.Close())
	}
	return engine.Input{File: f, Mime: mime}, nil
}

// inline writes the files of a job that gives no text, speech or a picture, into its content, where they fit: a line each.
// Plain customers read it so. What is larger, and the files of every other job, go to a file server.
func (p *Provider) inline(j *job, out *engine.Output) error {
	most := events.MaxEncrypted
	if j.terms.Pay == events.PaySealed {
		most = events.MaxSealed
	}
	if events.Kinds[j.req.Kind].GivesText() || len(out.Files) == 0 {
		return nil
	}
	text := out.Text
	for _, f := range out.Files {
		body, err := j.readSmall(f.Path, most)
		if body == nil || err != nil {
			return err
		}
		if text != "" && !strings.HasSuffix(text, "\n") {
			text += "\n"
		}
		if text += events.DataURL(f.Mime, body); len(text) > most {
			return nil
		}
	}
	out.Text, out.Files = text, nil
	return nil
}

// readSmall reads a file of the job's folder; nil if it has more bytes than most.
func (j *job) readSmall(path string, most int) ([]byte, error) {
	f, err := j.openInJob(path)
	if err != nil {
		return nil, fmt.Errorf("output file: %w", err)
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	if err != nil || len(body) > most {
		return nil, err
	}
	if body == nil {
		body = []byte{}
	}
	return body, nil
}
