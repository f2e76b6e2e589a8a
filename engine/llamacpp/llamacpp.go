// Package llamacpp is the engine of llama.cpp's server: it starts llama-server with a GGUF file and looks after it, or uses
// one that already runs.
//
// It promises that a crash of the server fails only the jobs in it: the next job finds it started again. When the engine is
// closed, and even when this process is killed (on Linux), no server is left behind. Begin with Open.
package llamacpp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"infernet/engine"
	"infernet/engine/internal/completions"
	"infernet/events"
)

var (
	_ engine.Engine    = (*Engine)(nil)
	_ engine.Estimator = (*Engine)(nil)
	_ engine.Checker   = (*Engine)(nil)
)

// Engine is a llama-server that this process started.
type Engine struct {
	*completions.Server
	keeper *keeper
	digest *digest
	folder *folder // holds the socket; removed by Close
}

// Open opens llamacpp:///abs/path/model.gguf: it starts llama-server and waits until the model is loaded, or ctx ends. Or it
// opens llamacpp+http://host:port, a llama-server that already runs; then only key_file, kinds and slots apply. Options in
// the query, all optional:
//
//	bin=/path/llama-server   the program; else the one in PATH, else the one that scripts/get-llama.sh puts into the cache
//	model=name               the model's id; the file's name in lower case without .gguf if missing
//	ctx=4096                 tokens of context of one slot; what the model was trained for, at most 4096, if missing
//	slots=4                  jobs at once; 2 if missing
//	threads=8                CPU threads; llama-server's own choice if missing
//	gpu_layers=99            layers on the GPU; llama-server's own choice if missing
//	kinds=5050,5800          job kinds; by the model's name if missing. With 5800 the server makes embeddings too
//	pooling=mean             how token vectors become one, for embeddings; mean beside text, else the model's own
//	port=8080                listen on this port of 127.0.0.1 (0: a free one) instead of a private socket
//	poll=0                   how hard idle threads wait, 0 to 100; 0 is right where cores are shared
func Open(ctx context.Context, u *url.URL, log *slog.Logger) (engine.Engine, error) {
	if _, scheme, attached := strings.Cut(u.Scheme, "+"); attached {
		return attach(u, scheme)
	}
	opts, err := parse(u)
	if err != nil {
		return nil, err
	}
	if opts.bin, err = find(opts.bin); err != nil {
		return nil, err
	}
	if err := checkModel(opts.path); err != nil {
		return nil, err
	}
	folder, err := newFolder()
	if err != nil {
		return nil, err
	}
	place, err := placeFor(opts, folder.path)
	if err != nil {
		folder.remove()
		return nil, err
	}
	client := completions.NewClient(place.config)
	e := &Engine{
		Server: completions.NewServer(client, completions.Options{Kinds: opts.kinds, Slots: opts.slots, Exact: true}),
		keeper: keep(opts, place, client, log),
		digest: hash(opts.path, log),
		folder: folder,
	}
	if err := e.keeper.ready(ctx); err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// attach opens a llama-server that somebody else runs.
func attach(u *url.URL, scheme string) (engine.Engine, error) {
	config, opts, err := completions.Form{Example: "llamacpp+http://127.0.0.1:8080", Path: "/v1"}.Parse(u, scheme)
	if err != nil {
		return nil, err
	}
	opts.Exact = true
	return completions.NewServer(completions.NewClient(config), opts), nil
}

// Models gives the one model that is loaded, with the SHA-256 of its file once that is known.
func (e *Engine) Models(ctx context.Context) ([]engine.Model, error) {
	if err := e.keeper.ready(ctx); err != nil {
		return nil, err
	}
	list, err := e.Server.Models(ctx)
	if err != nil {
		return nil, e.explain(ctx, err)
	}
	for i := range list {
		list[i].Digest = e.digest.wait(ctx, 2*time.Second)
	}
	return list, nil
}

// Run does one job. If the server dies in it, the error is engine.ErrUnavailable with the server's last words.
func (e *Engine) Run(ctx context.Context, job engine.Job, emit func(engine.Part) error) (*engine.Output, error) {
	if err := e.keeper.ready(ctx); err != nil {
		return nil, err
	}
	out, err := e.Server.Run(ctx, job, emit)
	return out, e.explain(ctx, err)
}

// Estimate counts the tokens in with the model's own tokenizer.
func (e *Engine) Estimate(ctx context.Context, job engine.Job) (events.Usage, error) {
	if err := e.keeper.ready(ctx); err != nil {
		return events.Usage{}, err
	}
	usage, err := e.Server.Estimate(ctx, job)
	return usage, e.explain(ctx, err)
}

// Check says whether the server ends again and again.
func (e *Engine) Check(context.Context) error { return e.keeper.check() }

// Close ends the jobs, then the server and all it started.
func (e *Engine) Close() error {
	err := e.Server.Close()
	e.keeper.close()
	e.digest.close()
	return errors.Join(err, e.folder.remove())
}

// explain adds why the server is gone to an error that only says that it is.
func (e *Engine) explain(ctx context.Context, err error) error {
	if err == nil || !errors.Is(err, engine.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	if words := e.keeper.lastWords(ctx, time.Second); words != "" {
		return fmt.Errorf("%w; %s", err, words)
	}
	return err
}
