// Package openai is the engine of any server that speaks OpenAI's HTTP API: vLLM, SGLang, Ollama, LM Studio, llama-server,
// a cloud.
//
// It serves text generation, summaries and translations through /chat/completions, and embeddings through /embeddings. It
// promises to send a delta on the moment it comes, to end the server's request when a job ends, and never to show the key.
// Begin with Open.
package openai

import (
	"context"
	"log/slog"
	"net/url"
	"strings"

	"infernet/engine"
	"infernet/engine/internal/completions"
)

// Open opens openai+http://host:port/v1 or openai+https://…; without a path, /v1 is meant. Nothing is dialled yet: a server
// that is down is ErrUnavailable at the first Models or Run. Options in the query, all optional:
//
//	key_file=/path     file that holds the API key
//	kinds=5050,5001    the job kinds that its models serve, instead of a guess by their names
//	slots=8            jobs at once; what a llama-server says of itself, else 1
func Open(_ context.Context, u *url.URL, _ *slog.Logger) (engine.Engine, error) {
	_, scheme, _ := strings.Cut(u.Scheme, "+")
	config, opts, err := completions.Form{Example: "openai+http://127.0.0.1:8080/v1", Path: "/v1"}.Parse(u, scheme)
	if err != nil {
		return nil, err
	}
	return completions.NewServer(completions.NewClient(config), opts), nil
}
