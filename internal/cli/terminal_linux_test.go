package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pty gives both sides of a terminal of this test's own.
func pty(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("needs /dev/ptmx: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// said is what a command says, which another goroutine looks at.
type said struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// TestCtrlCAtThePrompts interrupts commands that wait for somebody to type: each ends at once, as interrupted, and the
// terminal shows again what is typed.
func TestCtrlCAtThePrompts(t *testing.T) {
	for _, c := range []struct {
		name, asks string
		hides      bool
	}{
		{"run -", "the prompt; ctrl-D ends it:", false},
		{"job submit -", "the prompt; ctrl-D ends it:", false},
		{"key encrypt", "new password for", true},
		{"key import", "the key, on one line:", true},
		{"receipt verify -", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, program := pty(t)
			home := t.TempDir()
			if c.name == "key encrypt" {
				if _, err := keys(filepath.Join(home, "node.key")); err != nil {
					t.Fatal(err)
				}
			}
			before, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			out := &said{}
			ended := make(chan int, 1)
			go func() {
				env := func(name string) string { return map[string]string{"HOME": home, "INFERNET_DATA_DIR": home}[name] }
				ended <- Main(ctx, IO{In: program, Out: io.Discard, Err: out, Env: env}, strings.Fields(c.name))
			}()
			waits := func() bool { // for somebody to type
				now, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
				return err == nil && strings.Contains(out.String(), c.asks) && (now.Lflag != before.Lflag) == c.hides
			}
			for deadline := time.Now().Add(20 * time.Second); !waits(); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("it asks nothing: %q", out)
				}
			}
			interrupt()
			select {
			case code := <-ended:
				if code != exitInterrupted || !strings.Contains(out.String(), "infernet: interrupted\n") {
					t.Errorf("it ended with %d: %q", code, out)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("it does not end")
			}
			after, err := unix.IoctlGetTermios(int(program.Fd()), unix.TCGETS)
			if err != nil || after.Lflag != before.Lflag {
				t.Errorf("the terminal was left as %x, it was %x: %v", after.Lflag, before.Lflag, err)
			}
		})
	}
}

// TestATerminalGetsNoBinary pours files onto a terminal: text is shown, without what moves the cursor; bytes are not.
func TestATerminalGetsNoBinary(t *testing.T) {
	person, program := pty(t)
	a := &app{IO: IO{Out: &answer{to: program}}, args: []string{"file", "get", "x"}}
	pour := func(content string) error {
		file, err := os.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteString(content); err != nil {
			t.Fatal(err)
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		return a.pour(file, "00ff00ff")
	}
	code, message, hint := explain(pour("\x00\x01\xff"), a.args)
	if code != exitUsage || message != "file 00ff00ff is no text, and stdout is a terminal" || hint != "infernet file get x --out 00ff00ff.bin" {
		t.Errorf("bytes: %d %q %q", code, message, hint)
	}
	if err := pour("text\x1b[2J\n"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := person.Read(buf)
	if err != nil || string(buf[:n]) != "text\ufffd[2J\r\n" {
		t.Errorf("text: %q, %v", buf[:n], err)
	}
}
