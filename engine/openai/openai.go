// Package openai is the engine of any server that speaks OpenAI's HTTP API: vLLM, SGLang, Ollama, LM Studio, llama-server,
// a cloud.
//
// It serves text generation, summaries and translations through /chat/completions, and embeddings through /embeddings. It
// promises to send a delta on the moment it comes, to end the server's request when a job ends, and never to show the key.
// Begin with Open.
package openai

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
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
	shown := u.Redacted()
	if (scheme != "http" && scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("engine %s: no address of a server; hint: openai+http://127.0.0.1:8080/v1", shown)
	}
	if u.User != nil {
		return nil, fmt.Errorf("engine %s: a key in the address would show in logs; hint: put it into a file and add ?key_file=/path/of/the/file", shown)
	}
	base := &url.URL{Scheme: scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/")}
	if base.Path == "" {
		base.Path = "/v1"
	}
	config := completions.Config{Base: base}
	var opts completions.Options
	for name, values := range u.Query() {
		value, err := values[0], error(nil)
		switch name {
		case "key_file":
			config.Key, err = key(value)
		case "kinds":
			opts.Kinds, err = completions.ParseKinds(value)
		case "slots":
			if opts.Slots, err = strconv.Atoi(value); err == nil && opts.Slots < 1 {
				err = fmt.Errorf("at least 1")
			}
		default:
			err = fmt.Errorf("no such option; there are key_file, kinds, slots")
		}
		if err != nil {
			return nil, fmt.Errorf("engine %s: option %s: %w", shown, name, err)
		}
	}
	return completions.NewServer(completions.NewClient(config), opts), nil
}

// key reads an API key: the file's first line.
func key(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the API key: %w", err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return line, nil
}
