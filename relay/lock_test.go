package relay

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestALockThatIsJustLeftIsWaitedFor holds a store's lock, as a program does that is being started while another relay
// of the same process closes: for a moment, and for good.
func TestALockThatIsJustLeftIsWaitedFor(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "events"), 0o700); err != nil {
		t.Fatal(err)
	}
	held, err := os.Open(filepath.Join(dir, "events"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	lock := func(how int) {
		t.Helper()
		if err := syscall.Flock(int(held.Fd()), how); err != nil {
			t.Fatal(err)
		}
	}
	lock(syscall.LOCK_EX)
	if _, err := Open(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), "Another process is using") {
		t.Fatalf("in use: %v", err)
	}
	left := make(chan struct{})
	time.AfterFunc(lockedFor/10, func() { defer close(left); syscall.Flock(int(held.Fd()), syscall.LOCK_UN) })
	defer func() { <-left }()
	r, err := Open(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}
