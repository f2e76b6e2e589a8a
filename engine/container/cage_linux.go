//go:build amd64 || arm64

package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"infernet/engine"
)

// cage runs programs by bubblewrap: namespaces of their own for everything, no rights, a filter of system calls, bounds on
// what the kernel bounds, and a watch for what it does not. Where the node is root, a program is another user: 64000 and its
// slot's number.
type cage struct {
	bwrap, prlimit string
	images, jobs   string
	root           bool // the node is
	filter         []byte
}

// firstUser is the user of the first slot's programs, where the node is root.
const firstUser = 64000

// nobody is what a program seems to be to itself.
const nobody = "65534"

// openCage finds what programs are kept apart with, and tries it.
func openCage(ctx context.Context, o options) (*cage, error) {
	work, err := workDir(o.work)
	if err != nil {
		return nil, err
	}
	c := &cage{images: filepath.Join(work, "images"), jobs: filepath.Join(work, "jobs"), root: os.Geteuid() == 0}
	for _, dir := range []string{work, c.images, c.jobs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	left, _ := filepath.Glob(filepath.Join(c.jobs, "job-*"))
	for _, dir := range left { // of a run that was killed
		if err := removeAll(dir); err != nil {
			return nil, err
		}
	}
	found, err := findBwrap(o.bwrap)
	if err != nil {
		return nil, err
	}
	if c.bwrap = found; c.root { // other users may not reach it where it is
		if c.bwrap, err = copyProgram(found, work); err != nil {
			return nil, err
		}
	}
	if c.prlimit, err = exec.LookPath("prlimit"); err != nil {
		return nil, errors.New("there is no prlimit here, of util-linux, which bounds programs")
	}
	if c.filter, err = filter(); err != nil {
		return nil, err
	}
	return c, c.check(ctx)
}

// findBwrap gives the bubblewrap to use.
func findBwrap(asked string) (string, error) {
	if asked != "" {
		return exec.LookPath(asked)
	}
	if path, err := exec.LookPath("bwrap"); err == nil {
		return filepath.Abs(path)
	}
	cache := os.Getenv("INFERNET_CACHE")
	if cache == "" {
		dir, err := os.UserCacheDir()
		if err != nil {
			return "", err
		}
		cache = filepath.Join(dir, "infernet")
	}
	cached := filepath.Join(cache, "bwrap", "usr", "bin", "bwrap")
	if path, err := exec.LookPath(cached); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%w in PATH, nor at %s", ErrNoBwrap, cached)
}

func copyProgram(from, dir string) (string, error) {
	body, err := os.ReadFile(from)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, "bwrap-")
	if err != nil {
		return "", err
	}
	_, err = f.Write(body)
	return f.Name(), errors.Join(err, f.Chmod(0o755), f.Close())
}

// check tries to keep a program apart.
func (c *cage) check(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, c.bwrap, "--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true")
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	cmd.SysProcAttr = c.user(firstUser)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: programs cannot be kept apart here: %v: %s", engine.ErrUnavailable, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// user has a process be another user, where that is possible.
func (c *cage) user(uid int) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if c.root {
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid), Groups: []uint32{}}
	}
	return attr
}

// room makes the folder of a slot's next program.
func (c *cage) room(slot int) (*room, error) {
	uid := -1
	if c.root {
		uid = firstUser + slot
	}
	return newRoom(c.jobs, uid)
}

func (c *cage) close() error {
	if c.root {
		return os.Remove(c.bwrap)
	}
	return nil
}

// end is how a program ended.
type end struct {
	exit           int
	killed         string
	stdout, stderr string
}

// args are bubblewrap's.
func (c *cage) args(root string, r *room, t task) []string {
	args := []string{
		"--nproc=" + strconv.Itoa(t.procs), "--fsize=" + strconv.FormatInt(t.disk, 10), "--data=" + strconv.FormatInt(t.memory, 10), "--core=0", "--nofile=1024",
		"--memlock=65536", "--msgqueue=65536", "--", c.bwrap,
		"--unshare-all", "--as-pid-1", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--uid", nobody, "--gid", nobody, "--hostname", "job",
		"--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev",
		"--size", strconv.FormatInt(t.tmp, 10), "--tmpfs", "/dev/shm", "--remount-ro", "/dev",
		"--size", strconv.FormatInt(t.tmp, 10), "--tmpfs", "/tmp",
		"--ro-bind", r.in(), "/in", "--bind", r.out(), "/out", "--chdir", "/out",
		"--clearenv", "--setenv", "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "--setenv", "HOME", "/tmp",
	}
	for _, name := range slices.Sorted(maps.Keys(t.env)) {
		args = append(args, "--setenv", name, t.env[name])
	}
	args = append(args, "--info-fd", "3", "--seccomp", "4", "--")
	return append(args, t.argv...)
}

// run runs a program to its end, or to that of one of its limits. The error is the node's own: of the program, end tells.
func (c *cage) run(ctx context.Context, root string, r *room, t task) (*end, error) {
	type ended struct {
		*end
		error
	}
	done := make(chan ended, 1)
	go func() {
		// never unlocked: what starts a process dies with it (Pdeathsig), and its processors are the program's
		runtime.LockOSThread()
		e, err := c.runHere(ctx, root, r, t)
		done <- ended{e, err}
	}()
	got := <-done
	return got.end, got.error
}

func (c *cage) runHere(ctx context.Context, root string, r *room, t task) (*end, error) {
	fail := func(err error) (*end, error) { return nil, fmt.Errorf("%w: %w", engine.ErrUnavailable, err) }
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err == nil {
		for cpu, left := 0, t.cpus; cpu < 1024; cpu++ {
			if cpus.IsSet(cpu) {
				if left--; left < 0 {
					cpus.Clear(cpu)
				}
			}
		}
		if err := unix.SchedSetaffinity(0, &cpus); err != nil {
			return fail(err)
		}
	}
	unix.Setpriority(unix.PRIO_PROCESS, 0, 10) // the node goes first; it is a wish
	infoRead, infoWrite, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	defer infoRead.Close()
	filterRead, filterWrite, err := os.Pipe()
	if err != nil {
		infoWrite.Close()
		return fail(err)
	}
	said, wrong := &head{most: maxStdout}, &tail{most: maxStderr}
	cmd := exec.Command(c.prlimit, c.args(root, r, t)...)
	cmd.Env = []string{} // what bubblewrap itself gets is seen by the program, as that of process 1
	cmd.Stdout, cmd.Stderr = said, wrong
	cmd.ExtraFiles = []*os.File{infoWrite, filterRead}
	cmd.SysProcAttr = c.user(r.uid)
	cmd.WaitDelay = 2 * time.Second
	err = cmd.Start()
	infoWrite.Close()
	filterRead.Close()
	if err != nil {
		filterWrite.Close()
		return fail(err)
	}
	filterWrite.Write(c.filter) // it fits into the pipe
	filterWrite.Close()
	var info struct {
		Child int `json:"child-pid"`
	}
	body, err := io.ReadAll(io.LimitReader(infoRead, 4096)) // bubblewrap closes it once the program is about to start
	if err == nil {
		err = json.Unmarshal(body, &info)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	kill := func() {
		if info.Child > 1 {
			syscall.Kill(info.Child, syscall.SIGKILL) // the first of its namespace: all others go with it
		}
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if err != nil {
		kill()
		<-exited
		return fail(fmt.Errorf("bubblewrap: %s", wrong.String()))
	}
	e := &end{}
	e.killed = c.watch(ctx, info.Child, r, t, exited, kill)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	e.exit, e.stdout, e.stderr = -1, said.String(), wrong.String()
	if e.killed == "" {
		e.exit = cmd.ProcessState.ExitCode()
	}
	return e, nil
}

// look is how often a program is watched.
const look = 25 * time.Millisecond

// maxEntries is how many files and folders a program may make.
const maxEntries = 10_000

// watch waits for a program to end, or ends it: with ctx, or with the first of its limits, which it names.
func (c *cage) watch(ctx context.Context, pid int, r *room, t task, exited <-chan error, kill func()) (killed string) {
	limit := time.NewTimer(t.time)
	defer limit.Stop()
	tick := time.NewTicker(look)
	defer tick.Stop()
	over := func(why string) string {
		kill()
		<-exited
		return why
	}
	for n := 0; ; n++ {
		select {
		case <-exited:
			return ""
		case <-ctx.Done():
			return over("cancelled")
		case <-limit.C:
			return over("time")
		case <-tick.C:
		}
		memory, procs := footprint(pid)
		if memory > t.memory {
			return over("memory")
		}
		if procs > t.procs {
			return over("processes")
		}
		if n%4 == 0 {
			if bytes, count := r.size(); bytes > t.disk || count > maxEntries {
				return over("disk")
			}
		}
	}
}

// footprint is the memory of a process and all that it has started, and how many they are: what is theirs alone, and what they
// share without a file.
func footprint(pid int) (bytes int64, procs int) {
	todo := []string{strconv.Itoa(pid)}
	for len(todo) > 0 && procs < 1<<16 {
		one := todo[0]
		todo = todo[1:]
		procs++
		status, err := os.ReadFile("/proc/" + one + "/status")
		if err != nil {
			continue // it is gone
		}
		for line := range strings.SplitSeq(string(status), "\n") {
			name, value, _ := strings.Cut(line, ":")
			if name == "RssAnon" || name == "RssShmem" {
				kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
				bytes += kib << 10
			}
		}
		tasks, _ := filepath.Glob("/proc/" + one + "/task/*/children")
		for _, file := range tasks {
			children, _ := os.ReadFile(file)
			todo = append(todo, strings.Fields(string(children))...)
		}
	}
	return bytes, procs
}

// Bounds of what is kept of what a program says.
const (
	maxStdout = 8 << 10
	maxStderr = 2 << 10
)

// head keeps the beginning of what is written, tail the end; neither stops who writes.
type head struct {
	mu   sync.Mutex
	most int
	kept []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept = append(h.kept, p[:min(len(p), h.most-len(h.kept))]...)
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.ToValidUTF8(string(h.kept), "\uFFFD")
}

type tail struct {
	mu   sync.Mutex
	most int
	kept []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	if len(t.kept) > t.most {
		t.kept = slices.Clone(t.kept[len(t.kept)-t.most:])
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.ToValidUTF8(string(t.kept), "\uFFFD")
}

// onDisk is how much room a file takes.
func onDisk(info os.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * 512
	}
	return info.Size()
}
