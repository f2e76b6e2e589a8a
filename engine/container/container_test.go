//go:build linux

package container

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"infernet/engine"
	"infernet/engine/enginetest"
	"infernet/events"
)

// folder is a folder that programs of other users reach, as t.TempDir is not.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "container-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hostile-")
	if err != nil {
		return "", err
	}
	at := filepath.Join(dir, "hostile")
	cmd := exec.Command("go", "build", "-o", at, "./testdata/hostile")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return at, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if at, err := build(); err == nil {
		os.RemoveAll(filepath.Dir(at))
	}
	os.Exit(code)
}

// images is a folder with one image, in which there is nothing but the hostile program.
func images(t *testing.T) string {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	body, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t)
	f, err := os.Create(filepath.Join(dir, "tools.tar"))
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(f)
	for _, h := range []*tar.Header{
		{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "bin/hostile", Typeflag: tar.TypeReg, Mode: 0o4755, Size: int64(len(body))},
		{Name: "bin/link", Typeflag: tar.TypeSymlink, Linkname: "/bin/hostile"},
		{Name: "dev/sda", Typeflag: tar.TypeBlock, Mode: 0o666, Devmajor: 8},
	} {
		err = errors.Join(err, w.WriteHeader(h))
		if h.Size > 0 {
			_, wrote := w.Write(body)
			err = errors.Join(err, wrote)
		}
	}
	if err = errors.Join(err, w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return dir
}

// opened is an engine, or the test is skipped where programs cannot be kept apart.
func opened(t *testing.T, query string) engine.Engine {
	t.Helper()
	if out, err := exec.Command("../../scripts/get-bwrap.sh").CombinedOutput(); err != nil {
		t.Skipf("needs bubblewrap: %s", out)
	}
	u := &url.URL{Scheme: "container", Path: images(t), RawQuery: "work=" + folder(t) + query}
	e, err := Open(t.Context(), u, slog.New(slog.DiscardHandler))
	if errors.Is(err, engine.ErrUnavailable) {
		t.Skipf("needs a kernel that lets users make namespaces: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func job(t *testing.T, argv []string, params ...string) engine.Job {
	cmd, err := json.Marshal(argv)
	if err != nil {
		t.Fatal(err)
	}
	j := engine.Job{ID: events.ID(strings.Repeat("03", 32)), Kind: events.KindBatch, Model: "tools", Dir: t.TempDir(), Inputs: []engine.Input{{Text: "five!"}}}
	for i, pair := range append([]string{"cmd", string(cmd)}, params...) {
		if i%2 == 1 {
			continue
		}
		j.Params = append(j.Params, events.Param{Name: pair, Values: []string{append([]string{"cmd", string(cmd)}, params...)[i+1]}})
	}
	return j
}

// run runs a program of the image and reads its result.
func run(t *testing.T, e engine.Engine, argv []string, params ...string) (Result, *engine.Output) {
	t.Helper()
	out, err := e.Run(t.Context(), job(t, append([]string{"/bin/hostile"}, argv...), params...), func(engine.Part) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	var r Result
	if err := json.Unmarshal([]byte(out.Text), &r); err != nil {
		t.Fatal(err)
	}
	return r, out
}

func TestSuite(t *testing.T) {
	enginetest.Files(t, func(t *testing.T) engine.Engine { return opened(t, "&slots=2&memory=256") }, enginetest.FileSample{
		Job: func(t *testing.T) engine.Job {
			return job(t, []string{"/bin/hostile", "sum"}, "outputs", `["*.txt"]`, "env", `{"GREETING":"hello"}`)
		},
		Check: func(t *testing.T, j engine.Job, out *engine.Output) {
			var r Result
			if err := json.Unmarshal([]byte(out.Text), &r); err != nil || r.Exit != 0 || len(out.Files) != 1 || r.Files[0] != "sum.txt" || out.Files[0].Mime != "text/plain" {
				t.Errorf("result %+v, %v, files %v", r, err, out.Files)
				return
			}
			if body, err := os.ReadFile(out.Files[0].Path); err != nil || string(body) != "5 bytes, hello" {
				t.Errorf("the file says %q, %v", body, err)
			}
		},
		Bad: map[string]func(j *engine.Job){
			"cmd":       func(j *engine.Job) { j.Params = nil },
			"cmd empty": func(j *engine.Job) { j.Params[0].Values = []string{"[]"} },
			"cmd zero":  func(j *engine.Job) { j.Params[0].Values = []string{"[\"a\\u0000b\"]"} },
			"env":       func(j *engine.Job) { j.Params[2].Values = []string{`{"A=B":"x"}`} },
			"outputs":   func(j *engine.Job) { j.Params[1].Values = []string{`["["]`} },
			"image": func(j *engine.Job) {
				j.Params = append(j.Params, events.Param{Name: "image", Values: []string{"sha256:00"}})
			},
			"seconds too many": func(j *engine.Job) {
				j.Params = append(j.Params, events.Param{Name: "seconds", Values: []string{"99999"}})
			},
			"memory too much": func(j *engine.Job) {
				j.Params = append(j.Params, events.Param{Name: "memory", Values: []string{"4096"}})
			},
		},
	})
}

func TestFailureIsAResult(t *testing.T) {
	e := opened(t, "")
	defer e.Close()
	r, _ := run(t, e, []string{"fails"})
	if r.Exit != 3 || !strings.Contains(r.Stderr, "it is broken") || r.Killed != "" {
		t.Errorf("result %+v", r)
	}
	out, err := e.Run(t.Context(), job(t, []string{"/no/such"}), func(engine.Part) error { return nil })
	if err != nil || !strings.Contains(out.Text, "No such file") {
		t.Errorf("a program that is not there: %+v, %v", out, err)
	}
}

func TestTwentyHostilePrograms(t *testing.T) {
	const secret = "hunter2-of-the-node"
	t.Setenv("INFERNET_TEST_SECRET", secret)
	e := opened(t, "&slots=4&memory=128&disk=64&tmp=16&procs=64&time=20s")
	t.Cleanup(func() { e.Close() }) // after the parallel ones
	private := filepath.Join(folder(t), "private")
	if err := os.WriteFile(private, []byte(secret), 0o644); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tcp.Close() })
	name := fmt.Sprintf("container-test-%d", os.Getpid())
	abstract, err := net.Listen("unix", "@"+name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { abstract.Close() })
	stays := func(t *testing.T, r Result) {
		if strings.Contains(r.Stdout, "escaped") || !strings.Contains(r.Stdout, "contained") {
			t.Errorf("%+v", r)
		}
	}
	ended := func(why ...string) func(*testing.T, Result) {
		return func(t *testing.T, r Result) {
			for _, one := range why {
				if r.Killed == one && !strings.Contains(r.Stdout, "escaped") {
					return
				}
			}
			t.Errorf("want it ended for %v: %+v", why, r)
		}
	}
	bounded := func(killed string) func(*testing.T, Result) { // by the kernel or by the watch, whichever is first
		return func(t *testing.T, r Result) {
			if strings.Contains(r.Stdout, "escaped") || r.Killed != killed && r.Exit == 0 && !strings.Contains(r.Stdout, "contained") {
				t.Errorf("%+v", r)
			}
		}
	}
	for _, c := range []struct {
		name  string
		args  []string
		param []string
		check func(*testing.T, Result)
	}{
		{"environment of the node", []string{"environment", secret}, nil, stays},
		{"files of the machine", []string{"files", private}, nil, stays},
		{"service on loopback", []string{"loopback", tcp.Addr().String()}, nil, stays},
		{"abstract socket", []string{"abstract", name}, nil, stays},
		{"names and network", []string{"names"}, nil, stays},
		{"namespaces of its own", []string{"unshare"}, nil, stays},
		{"mounts", []string{"mount"}, nil, stays},
		{"write the image", []string{"image"}, nil, stays},
		{"devices", []string{"devices"}, nil, stays},
		{"switches of the kernel", []string{"switches"}, nil, stays},
		{"keyring", []string{"keyring"}, nil, stays},
		{"ptrace", []string{"ptrace"}, nil, stays},
		{"io_uring", []string{"uring"}, nil, stays},
		{"fork bomb", []string{"forks"}, nil, bounded("processes")},
		{"memory bomb", []string{"memory"}, nil, bounded("memory")},
		{"shared memory bomb", []string{"shared"}, nil, ended("memory")},
		{"fill of tmpfs", []string{"tmpfs"}, nil, stays},
		{"fill of the disk", []string{"disk"}, nil, bounded("disk")},
		{"files without end", []string{"files without end"}, nil, ended("disk")},
		{"flood of output", []string{"flood"}, nil, func(t *testing.T, r Result) {
			if len(r.Stdout) != maxStdout || r.Exit != 0 {
				t.Errorf("%d bytes are kept, exit %d", len(r.Stdout), r.Exit)
			}
		}},
		{"other kinds of sockets and memory", []string{"sockets"}, nil, stays},
		{"no end", []string{"for ever"}, []string{"seconds", "1"}, ended("time")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, _ := run(t, e, c.args, c.param...)
			c.check(t, r)
			t.Logf("%.2f s: %s %s", r.Seconds, r.Killed, strings.ReplaceAll(r.Stdout[:min(len(r.Stdout), 300)], "\n", "; "))
		})
	}
}

// TestTheyEscapeWithoutACage runs some of them as they are: what contains them is the cage, and they would say so.
func TestTheyEscapeWithoutACage(t *testing.T) {
	const secret = "hunter2-of-the-node"
	t.Setenv("INFERNET_TEST_SECRET", secret)
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	private := filepath.Join(t.TempDir(), "private")
	if err := os.WriteFile(private, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	name := fmt.Sprintf("container-free-%d", os.Getpid())
	abstract, err := net.Listen("unix", "@"+name)
	if err != nil {
		t.Fatal(err)
	}
	defer abstract.Close()
	for _, args := range [][]string{{"environment", secret}, {"files", private}, {"loopback", tcp.Addr().String()}, {"abstract", name}} {
		out, err := exec.Command(program, args...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "escaped") {
			t.Errorf("%s: %s, %v", args[0], out, err)
		}
	}
}

// TestLinksLeadNowhere has a program leave links, pipes and a shut folder among its outputs: only what is its own comes out.
func TestLinksLeadNowhere(t *testing.T) {
	e := opened(t, "")
	defer e.Close()
	private := filepath.Join(folder(t), "private")
	if err := os.WriteFile(private, []byte("hunter2"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, out := run(t, e, []string{"links", private})
	for _, f := range out.Files {
		if body, err := os.ReadFile(f.Path); err != nil || string(body) != "mine" {
			t.Errorf("file %s says %q, %v", f.Path, body, err)
		}
	}
	if fmt.Sprint(r.Files) != "[good.txt shut/inside]" {
		t.Errorf("files %v", r.Files)
	}
}

// TestNothingIsLeft cancels a program that ignores every signal and has children: none of it is left, and its folder is gone.
func TestNothingIsLeft(t *testing.T) {
	e := opened(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	work := e.(*Engine).cage.jobs
	ended := make(chan error, 1)
	go func() {
		_, err := e.Run(ctx, job(t, []string{"/bin/hostile", "for ever"}), func(engine.Part) error { return nil })
		ended <- err
	}()
	var said []byte
	for deadline := time.Now().Add(20 * time.Second); len(said) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not begin")
		}
		if found, _ := filepath.Glob(filepath.Join(work, "job-*", "out", "errno")); len(found) > 0 {
			said, _ = os.ReadFile(found[0])
		}
	}
	if string(said) != "operation not permitted" {
		t.Errorf("the signal that ends it with the node: %s", said)
	}
	alive := processes(t)
	if len(alive) < 2 {
		t.Errorf("only %v run", alive)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	for deadline := time.Now().Add(10 * time.Second); len(processes(t)) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v are left", processes(t))
		}
	}
	if left, _ := filepath.Glob(filepath.Join(work, "job-*")); len(left) > 0 {
		t.Errorf("%v are left", left)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// processes are those of hostile programs that wait, or never end.
func processes(t *testing.T) (all []int) {
	t.Helper()
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range lines {
		body, _ := os.ReadFile(file)
		args := strings.Split(string(body), "\x00")
		if len(args) > 1 && (args[0] == "/bin/hostile" && args[1] == "for ever" || args[0] == "/proc/self/exe" && args[1] == "wait") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
			all = append(all, pid)
		}
	}
	return all
}

func TestImagesAreUnpackedOnceAndSafely(t *testing.T) {
	dir := folder(t)
	write := func(headers ...*tar.Header) string {
		t.Helper()
		at := filepath.Join(dir, "x.tar")
		f, err := os.Create(at)
		if err != nil {
			t.Fatal(err)
		}
		w := tar.NewWriter(f)
		for _, h := range headers {
			err = errors.Join(err, w.WriteHeader(h))
			if h.Typeflag == tar.TypeReg {
				_, wrote := w.Write(make([]byte, h.Size))
				err = errors.Join(err, wrote)
			}
		}
		if err = errors.Join(err, w.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		return at
	}
	reg := func(name string) *tar.Header {
		return &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 1}
	}
	link := func(name, to string) *tar.Header {
		return &tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
	}
	for name, headers := range map[string][]*tar.Header{
		"above":        {reg("../evil")},
		"by a link":    {link("a", ".."), reg("a/evil")},
		"absolute":     {link("a", dir), reg("a/evil")},
		"a hard link":  {{Name: "a", Typeflag: tar.TypeLink, Linkname: "../../etc/passwd"}},
		"over a mount": {link("proc", dir), reg("proc/evil")},
	} {
		to := filepath.Join(dir, "images", name)
		if err := unpack(t.Context(), write(headers...), to); err == nil {
			t.Errorf("%s: it was unpacked", name)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "images", "*")); len(left) > 0 {
			t.Errorf("%s: %v are left", name, left)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "evil")); err == nil {
		t.Error("a file lies outside")
	}
	to := filepath.Join(dir, "images", "good")
	for range 2 {
		if err := unpack(t.Context(), write(reg("/abs/file"), link("lib", "usr/lib"), reg("usr/lib/x"), reg("lib/y")), to); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"abs/file", "usr/lib/x", "usr/lib/y", "proc", "out"} {
		if _, err := os.Stat(filepath.Join(to, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestCannotOpen(t *testing.T) {
	for _, bad := range []string{"container:relative", "container://host/path", "container:///x?slots=0", "container:///x?memory=many", "container:///x?time=1ms", "container:///x?nosuch=1"} {
		u, err := url.Parse(bad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), u, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s was opened", bad)
		}
	}
}
