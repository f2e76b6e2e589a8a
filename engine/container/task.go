package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"infernet/engine"
)

// task is what a job wants to have run, within the owner's limits.
type task struct {
	argv  []string
	env   map[string]string
	globs []string
	limits
}

// limits bound one program.
type limits struct {
	time   time.Duration
	memory int64 // bytes
	disk   int64 // bytes of output files
	tmp    int64 // bytes in /tmp
	procs  int
	cpus   int
}

// Bounds of what a job says.
const (
	maxArgs = 256
	maxEnv  = 64
)

// task reads a job's parameters. Errors: engine.ErrUnknownModel, *engine.InvalidError.
func (e *Engine) task(job engine.Job) (t task, in image, err error) {
	in, ok := e.image(job.Model)
	if !ok {
		return t, in, engine.ErrUnknownModel
	}
	bad := func(param, format string, args ...any) (task, image, error) {
		return t, in, &engine.InvalidError{Param: param, Reason: fmt.Sprintf(format, args...)}
	}
	if want := job.Params.Text("image"); want != "" && want != in.digest {
		return bad("image", "%s is %s here", in.name, in.digest)
	}
	t.limits = e.opts.limits
	if n, ok := job.Params.Int("seconds"); ok {
		if n < 1 || time.Duration(n)*time.Second > t.time {
			return bad("seconds", "%d is not from 1 to %d, which a program may run here", n, int(t.time.Seconds()))
		}
		t.time = time.Duration(n) * time.Second
	}
	if n, ok := job.Params.Int("memory"); ok {
		if n < 16 || n<<20 > t.memory {
			return bad("memory", "%d is not from 16 to %d MiB, which a program has here", n, t.memory>>20)
		}
		t.memory = n << 20
	}
	if err := json.Unmarshal([]byte(job.Params.Text("cmd")), &t.argv); err != nil || len(t.argv) == 0 || len(t.argv) > maxArgs || t.argv[0] == "" {
		return bad("cmd", `want a program and its arguments as JSON, ["sh","-c","…"], at most %d`, maxArgs)
	}
	if text := job.Params.Text("env"); text != "" {
		if err := json.Unmarshal([]byte(text), &t.env); err != nil || len(t.env) > maxEnv {
			return bad("env", `want names and values as JSON, {"LANG":"C.UTF-8"}, at most %d`, maxEnv)
		}
	}
	if text := job.Params.Text("outputs"); text != "" {
		if err := json.Unmarshal([]byte(text), &t.globs); err != nil {
			return bad("outputs", `want patterns of file names as JSON, ["*.png"]`)
		}
	}
	for _, glob := range t.globs {
		if _, err := path.Match(glob, "x"); err != nil {
			return bad("outputs", "%q is no pattern of file names", glob)
		}
	}
	for _, arg := range t.argv {
		if strings.ContainsRune(arg, 0) {
			return bad("cmd", "an argument has a zero byte")
		}
	}
	for name, value := range t.env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			return bad("env", "%q is no name of a variable, or its value has a zero byte", name)
		}
	}
	return t, in, nil
}

// ErrNoBwrap says that bubblewrap is not installed.
var ErrNoBwrap = errors.New("no bwrap, of bubblewrap")
