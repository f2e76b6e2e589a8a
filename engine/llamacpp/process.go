package llamacpp

import (
	"bytes"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// command prepares one llama-server in a process group of its own.
func command(o options, p place, tail *tail) *exec.Cmd {
	cmd := exec.Command(o.bin, append(o.args(), p.args...)...)
	cmd.Stdout, cmd.Stderr = tail, tail
	cmd.WaitDelay = 2 * time.Second // a grandchild may hold the pipe
	group(cmd)
	return cmd
}

// tail keeps the last lines of what a process says.
type tail struct {
	mu    sync.Mutex
	lines []string
	part  []byte
}

const tailLines = 12

// Write takes the next piece of output; it never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.part = append(t.part, p...)
	for {
		line, rest, ok := bytes.Cut(t.part, []byte("\n"))
		if !ok {
			break
		}
		if text := strings.TrimSpace(string(line)); text != "" {
			t.lines = append(t.lines, text)
			t.lines = t.lines[max(0, len(t.lines)-tailLines):]
		}
		t.part = rest
	}
	t.part = t.part[max(0, len(t.part)-4096):]
	return len(p), nil
}

// String gives the lines that matter: those about errors if there are any, else the last three.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var bad []string
	for _, line := range t.lines {
		if l := strings.ToLower(line); strings.Contains(l, " e ") || strings.Contains(l, "error") || strings.Contains(l, "failed") || strings.Contains(l, "abort") {
			bad = append(bad, line)
		}
	}
	if bad == nil {
		bad = t.lines
	}
	return strings.Join(bad[max(0, len(bad)-3):], " | ")
}
