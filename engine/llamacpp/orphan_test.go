//go:build linux

package llamacpp

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"infernet/engine/enginetest"
)

// serverPid finds the server that listens in dir.
func serverPid(t *testing.T, dir string) int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		line, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(line), dir) && strings.Contains(string(line), "--parallel") {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			return pid
		}
	}
	t.Fatalf("no server listens in %s", dir)
	return 0
}

// waitGone waits until a process is no more.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
	}
	t.Errorf("process %d is still there", pid)
}

// TestKilledLeavesNoOrphan opens an engine in another process, kills that with SIGKILL, and waits for the server to go.
func TestKilledLeavesNoOrphan(t *testing.T) {
	if os.Getenv("INFERNET_TEST_ORPHAN") != "" {
		e, err := Open(t.Context(), address(enginetest.TinyModel(t), ""), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("opened", e.(*Engine).folder.path)
		select {}
	}
	server(t)
	child := exec.Command(os.Args[0], "-test.run=^TestKilledLeavesNoOrphan$")
	child.Env = append(os.Environ(), "INFERNET_TEST_ORPHAN=1")
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	var dir string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if d, ok := strings.CutPrefix(lines.Text(), "opened "); ok {
			dir = d
			break
		}
	}
	if dir == "" {
		t.Fatal("the other process opened nothing")
	}
	defer os.RemoveAll(dir)
	pid := serverPid(t, dir)
	if err := child.Process.Kill(); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	waitGone(t, pid)
	child.Wait() // its lock goes with it
	// the next engine removes what it left, and nothing that is in use
	mine, err := newFolder()
	if err != nil {
		t.Fatal(err)
	}
	defer mine.remove()
	sweep(os.TempDir())
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there: %v", dir, err)
	}
	if _, err := os.Stat(mine.path); err != nil {
		t.Errorf("a folder in use was removed: %v", err)
	}
}
