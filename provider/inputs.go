package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nbd-wtf/go-nostr"

	"infernet/engine"
	"infernet/events"
	"infernet/internal/blob"
	"infernet/internal/guard"
	"infernet/internal/pool"
)

const (
	// maxInline is how large a fetched text is at most handed to engines as text; what is larger is a file.
	maxInline = 256 << 10
	// hintIn is how long a relay that an input names has to give the event.
	hintIn = 10 * time.Second
)

// checkInput says what is wrong with an input, as far as that is seen without fetching it.
func (p *Provider) checkInput(in events.Input) error {
	switch in.Type {
	case "url":
		if in.Held() {
			return nil
		}
		if _, err := p.Guard.Check(in.Value); err != nil {
			return refuse(events.CodeInvalidParameter, "i: %v", err)
		}
	case "blob":
		b, err := events.ParseBlob(in.Value)
		if err != nil {
			return refuse(events.CodeInvalidParameter, "i: %v", err)
		}
		if b.Size > p.MaxInput {
			return refuse(events.CodeTooLarge, "an input of %d bytes, at most %d are fetched", b.Size, p.MaxInput)
		}
	}
	return nil
}

// fetch gets what the job's inputs name. It is called once the job was awarded or paid, never before: who asks for an
// offer makes no node visit an address. tidy removes the job's folder.
func (p *Provider) fetch(ctx context.Context, j *job) (tidy func(), err error) {
	if j.req.Named() > 0 {
		if err := j.onDisk(); err != nil {
			return nil, err
		}
	}
	if j.dir, err = os.MkdirTemp(p.Dir, "job-"+string(j.req.ID[:8])+"-"); err != nil {
		return nil, fmt.Errorf("%w: no folder for the job: %w", engine.ErrUnavailable, err)
	}
	f := &fetching{p: p, j: j, left: p.MaxInput}
	tidy = func() {
		for _, file := range f.open {
			file.Close()
		}
		if err := os.RemoveAll(j.dir); err != nil {
			p.Log.Warn("cannot remove a job's folder", "job", j.req.ID, "err", err)
		}
	}
	inputs := make([]engine.Input, 0, len(j.req.Inputs))
	for i, in := range j.req.Inputs {
		got, err := f.input(ctx, in)
		if err != nil {
			tidy()
			return nil, f.refusal(ctx, i, err)
		}
		inputs = append(inputs, got...)
	}
	if j.inputs = inputs; j.req.Named() > 0 {
		if err := p.recount(ctx, j); err != nil {
			tidy()
			return nil, err
		}
	}
	return tidy, nil
}

// clearFolder makes the folder of jobs, and removes what an earlier run left there when it was killed.
func clearFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	left, err := filepath.Glob(filepath.Join(dir, "job-*"))
	for _, path := range left {
		err = errors.Join(err, os.RemoveAll(path))
	}
	return err
}

// recount holds the inputs, now that they are here, against what the price was made for.
func (p *Provider) recount(ctx context.Context, j *job) error {
	counted, err := p.count(ctx, j, p.modelByID(j.terms.Model))
	if err != nil {
		return err
	}
	if counted.In > j.terms.Most.In {
		return refuse(events.CodeTooLarge, "the inputs have %d units, the price was made for %d; declare them in size", counted.In, j.terms.Most.In)
	}
	return nil
}

// fetching is the inputs of one job on their way.
type fetching struct {
	p    *Provider
	j    *job
	left int64 // bytes that may still come
	open []*os.File
}

// refusal says whose fault it is that an input did not come.
func (f *fetching) refusal(ctx context.Context, i int, err error) error {
	var said *refusal
	var status *blob.StatusError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &said):
		return err
	case errors.Is(err, guard.ErrTooLarge):
		return refuse(events.CodeTooLarge, "input %d: %v", i+1, err)
	case errors.Is(err, guard.ErrBlocked), errors.Is(err, blob.ErrWrong), errors.As(err, &status) && status.Status < 500:
		return refuse(events.CodeInvalidParameter, "input %d: %v", i+1, err)
	}
	return refuse(events.CodeUnavailable, "input %d: %v", i+1, err)
}

func (f *fetching) input(ctx context.Context, in events.Input) ([]engine.Input, error) {
	switch in.Type {
	case "text":
		return []engine.Input{{Text: in.Value}}, nil
	case "url":
		if in.Held() {
			return f.held(in.Value)
		}
		return f.file(func(to io.Writer) (string, error) {
			got, err := f.p.Guard.Fetch(ctx, in.Value, to)
			if err != nil {
				return "", err
			}
			return got.Type, nil
		})
	case "blob":
		b, err := events.ParseBlob(in.Value)
		if err != nil {
			return nil, err
		}
		return f.blob(ctx, b)
	case "event":
		ev, err := f.event(ctx, in)
		if err != nil {
			return nil, err
		}
		return []engine.Input{{Text: ev.Content}}, nil
	case "job":
		return f.result(ctx, in)
	}
	return nil, refuse(events.CodeInvalidParameter, "i: inputs of type %s are not fetched by this node", in.Type)
}

// held is a file that its address holds.
func (f *fetching) held(address string) ([]engine.Input, error) {
	in, err := unpack(address, f.j.dir)
	if err != nil {
		return nil, err
	}
	f.open = append(f.open, in.File)
	if err := f.p.Guard.CheckPicture(in.File); err != nil {
		return nil, refuse(events.CodeInvalidParameter, "i: %v", err)
	}
	return []engine.Input{in}, nil
}

func (f *fetching) blob(ctx context.Context, b events.Blob) ([]engine.Input, error) {
	return f.file(func(to io.Writer) (string, error) { return b.Mime, f.p.Files.Get(ctx, b, to, f.p.Servers...) })
}

// file writes one input into the job's folder. Short text becomes text; of a picture the size is read first.
func (f *fetching) file(fetch func(to io.Writer) (mime string, err error)) ([]engine.Input, error) {
	file, err := os.CreateTemp(f.j.dir, "input-")
	if err != nil {
		return nil, err
	}
	f.open = append(f.open, file)
	mime, err := fetch(&limited{f: f, to: file})
	if err != nil {
		return nil, err
	}
	if err := f.p.Guard.CheckPicture(file); err != nil {
		return nil, refuse(events.CodeInvalidParameter, "i: %v", err)
	}
	head := make([]byte, maxInline+1)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	head = head[:n]
	if mime == "" || mime == "application/octet-stream" {
		mime, _, _ = strings.Cut(http.DetectContentType(head), ";")
	}
	if isText(mime) && n <= maxInline && utf8.Valid(head) {
		return []engine.Input{{Text: string(head)}}, nil
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return []engine.Input{{File: file, Mime: mime}}, nil
}

func isText(mime string) bool {
	return strings.HasPrefix(mime, "text/") || mime == "application/json" || mime == "application/xml"
}

// limited is a file that is written as far as the job's inputs may have bytes together.
type limited struct {
	f  *fetching
	to *os.File
	n  int64
}

var _ blob.Rewinder = (*limited)(nil)

func (l *limited) Write(b []byte) (int, error) {
	n := int64(len(b))
	if l.n, l.f.left = l.n+n, l.f.left-n; l.f.left < 0 {
		return 0, fmt.Errorf("%w: the inputs have more than %d bytes together", guard.ErrTooLarge, l.f.p.MaxInput)
	}
	return l.to.Write(b)
}

// Rewind forgets what was written: another server has it right, perhaps.
func (l *limited) Rewind() error {
	l.f.left, l.n = l.f.left+l.n, 0
	_, err := l.to.Seek(0, io.SeekStart)
	return errors.Join(err, l.to.Truncate(0))
}

// event looks an event up on the node's own relays, then on the one that the input names, which is a stranger's word.
func (f *fetching) event(ctx context.Context, in events.Input) (*nostr.Event, error) {
	filter := nostr.Filter{IDs: []string{in.Value}}
	found, err := f.p.Pool.Query(ctx, filter)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 && in.Relay != "" {
		if _, err := f.p.Guard.Check(in.Relay); err != nil {
			return nil, fmt.Errorf("relay %.200s: %w", in.Relay, err)
		}
		ctx, cancel := context.WithTimeout(ctx, hintIn)
		defer cancel()
		hinted := pool.New(ctx, []string{in.Relay}, pool.WithClient(f.p.Guard.Client()), pool.WithLog(f.p.Log))
		defer hinted.Close()
		if found, err = hinted.Query(ctx, filter); err != nil && len(found) == 0 {
			return nil, fmt.Errorf("relay %.200s does not give event %s", in.Relay, in.Value)
		}
	}
	for _, ev := range found {
		if ev.ID == in.Value {
			return ev, nil
		}
	}
	return nil, refuse(events.CodeInvalidParameter, "i: no relay here has event %s", in.Value)
}

// result is what another job gave: the engaged node's result, its text and its files.
func (f *fetching) result(ctx context.Context, in events.Input) ([]engine.Input, error) {
	ev, err := f.event(ctx, in)
	if err != nil {
		return nil, err
	}
	m, err := events.Parse(ev)
	req, ok := m.(*events.Request)
	if err != nil || !ok {
		return nil, refuse(events.CodeInvalidParameter, "i: event %s is no job", in.Value)
	}
	if req.Closed {
		return nil, refuse(events.CodeInvalidParameter, "i: job %s is encrypted to others", in.Value)
	}
	found, err := f.p.Pool.Query(ctx, nostr.Filter{
		Kinds: []int{events.KindFeedback, events.KindCancel, req.Kind + 1000}, Tags: nostr.TagMap{"e": {in.Value}},
	})
	if err != nil {
		return nil, err
	}
	var said []events.Message
	for _, ev := range found {
		if m, err := events.Open(ctx, ev, f.p.Signer); err == nil {
			said = append(said, m)
		}
	}
	result := events.Fold(req, said, f.p.Now()).Result()
	switch {
	case result == nil:
		return nil, refuse(events.CodeInvalidParameter, "i: job %s has no result", in.Value)
	case result.Closed || result.Sealed != nil:
		return nil, refuse(events.CodeInvalidParameter, "i: the result of job %s is encrypted to its customer", in.Value)
	}
	text, files := result.Split(result.Content)
	var inputs []engine.Input
	switch {
	case events.IsDataURL(text) && !strings.Contains(text, "\n"):
		if inputs, err = f.held(text); err != nil {
			return nil, err
		}
	case text != "" || len(files) == 0:
		inputs = append(inputs, engine.Input{Text: text})
	}
	for _, b := range files {
		more, err := f.blob(ctx, b)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, more...)
	}
	return inputs, nil
}

// openInJob opens a file that an engine names, and nothing outside the job's folder, whatever links lead there.
func (j *job) openInJob(path string) (*os.File, error) {
	rel, err := filepath.Rel(j.dir, path)
	if err != nil {
		return nil, err
	}
	return os.OpenInRoot(j.dir, rel)
}
