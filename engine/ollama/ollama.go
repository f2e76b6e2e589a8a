// Package ollama is the engine of an Ollama server, spoken to in Ollama's own API.
//
// Beside what its OpenAI-compatible API offers, that one says each model's digest, context and abilities, refuses a prompt
// that does not fit instead of cutting it short, and can be told how long a model stays loaded. The engine promises what
// engine/openai does: deltas are handed on the moment they come, and a job's end is the request's end. Begin with Open.
package ollama

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	"infernet/engine"
	"infernet/engine/internal/completions"
)

// standard is where Ollama listens unless it is told otherwise.
const standard = "127.0.0.1:11434"

// Open opens ollama: or ollama://host:port (http), or ollama+https://host/path; without a host, Ollama's usual place on this
// machine is meant. Nothing is dialled yet: a server that is down is ErrUnavailable at the first Models or Run. Options in
// the query, all optional:
//
//	ctx=8192           tokens of context to ask for; the server's own setting if missing
//	keep_alive=30m     how long a model stays loaded after a job (-1s: for good); the server's own setting if missing
//	slots=4            jobs at once: what OLLAMA_NUM_PARALLEL says; 1 if missing
//	kinds=5050,5001    the job kinds that its models serve, instead of what the server says of each
//	key_file=/path     file that holds a key, where a proxy in front wants one
func Open(_ context.Context, u *url.URL, _ *slog.Logger) (engine.Engine, error) {
	w, opts, err := parse(u)
	if err != nil {
		return nil, err
	}
	return completions.NewServer(w, opts), nil
}

func parse(u *url.URL) (*wire, completions.Options, error) {
	w := &wire{}
	form := completions.Form{Example: "ollama://" + standard, Own: map[string]func(string) error{
		"ctx": func(value string) (err error) {
			if w.context, err = strconv.Atoi(value); err == nil && (w.context < 16 || w.context > 1<<24) {
				err = errors.New("a number from 16 to 16777216")
			}
			return err
		},
		"keep_alive": func(value string) error {
			if _, err := time.ParseDuration(value); err != nil {
				return fmt.Errorf("%q is no duration; 30m, or -1s for good", value)
			}
			w.keep = value
			return nil
		},
	}}
	at := *u
	_, scheme, given := strings.Cut(u.Scheme, "+")
	if !given {
		scheme = "http"
	}
	if at.Opaque != "" { // ollama:11434 is no address
		at.Host = ""
	} else if at.Host == "" && at.Path == "" {
		at.Host = standard
	}
	config, opts, err := form.Parse(&at, scheme)
	if err != nil {
		return nil, opts, err
	}
	w.base, w.client = config.Base.String(), completions.NewClient(config)
	return w, opts, nil
}
