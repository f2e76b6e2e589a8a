package llamacpp

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"infernet/engine/internal/completions"
	"infernet/events"
)

// options are what the URL says; Open documents them.
type options struct {
	path, bin, model string
	ctx, slots       int
	threads, layers  int // −1: not said
	poll, port       int // −1: not said
	kinds            []int
	pooling          string
}

func parse(u *url.URL) (options, error) {
	o := options{path: filepath.FromSlash(u.Path), slots: 2, ctx: -1, threads: -1, layers: -1, poll: -1, port: -1}
	if u.Host != "" || !filepath.IsAbs(o.path) {
		return o, fmt.Errorf("engine %s: no absolute path of a model, such as llamacpp:///home/you/model.gguf (three slashes), nor llamacpp+http://127.0.0.1:8080", u)
	}
	o.model = strings.TrimSuffix(strings.ToLower(filepath.Base(o.path)), ".gguf")
	number := func(into *int, least, most int) func(string) error {
		return func(value string) error {
			n, err := strconv.Atoi(value)
			if err != nil || n < least || n > most {
				return fmt.Errorf("%q is no number from %d to %d", value, least, most)
			}
			*into = n
			return nil
		}
	}
	text := func(into *string) func(string) error {
		return func(value string) error { *into = value; return nil }
	}
	set := map[string]func(string) error{
		"bin": text(&o.bin), "pooling": text(&o.pooling),
		"model":   func(value string) error { o.model = strings.ToLower(value); return nil },
		"kinds":   func(value string) (err error) { o.kinds, err = completions.ParseKinds(value); return err },
		"ctx":     number(&o.ctx, 16, 1<<24),
		"slots":   number(&o.slots, 1, 1024),
		"threads": number(&o.threads, 1, 4096), "gpu_layers": number(&o.layers, 0, 10000),
		"poll": number(&o.poll, 0, 100), "port": number(&o.port, 0, 65535),
	}
	for name, values := range u.Query() {
		apply, ok := set[name]
		if !ok {
			return o, fmt.Errorf("engine %s: no option %s; there are bin, model, ctx, slots, threads, gpu_layers, kinds, pooling, port, poll", u, name)
		}
		if err := apply(values[0]); err != nil {
			return o, fmt.Errorf("engine %s: option %s: %w", u, name, err)
		}
	}
	if o.kinds == nil {
		o.kinds = completions.KindsOf(o.model)
	}
	if o.kinds == nil {
		o.kinds = []int{events.KindText, events.KindSummary, events.KindTranslation} // an odd name; it is a GGUF all the same
	}
	return o, nil
}

// defaultContext is how many tokens a slot gets when nobody says: a model's full context may take more memory than there is.
const defaultContext = 4096

// args is the command line of llama-server, but for where it listens.
func (o options) args() []string {
	context := o.ctx
	if context < 0 {
		context = defaultContext
	}
	// -c is shared by the slots; the server cuts a slot to what the model was trained for
	args := []string{"-m", o.path, "--alias", o.model, "--parallel", strconv.Itoa(o.slots), "-c", strconv.Itoa(context * o.slots)}
	if o.threads > 0 {
		args = append(args, "-t", strconv.Itoa(o.threads))
	}
	if o.layers >= 0 {
		args = append(args, "-ngl", strconv.Itoa(o.layers))
	}
	if o.poll >= 0 {
		args = append(args, "--poll", strconv.Itoa(o.poll))
	}
	if slices.Contains(o.kinds, events.KindEmbeddings) {
		args = append(args, "--embeddings")
		pooling := o.pooling
		if pooling == "" && len(o.kinds) > 1 {
			pooling = "mean" // a text model has no pooling of its own, and the API needs one
		}
		if pooling != "" {
			args = append(args, "--pooling", pooling)
		}
	}
	return args
}
