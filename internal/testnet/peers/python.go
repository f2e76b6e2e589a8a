package peers

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Python prepares a run of FOLDER/SCRIPT, as "py/buy.py", with the packages that FOLDER's requirements.txt names; the caller
// starts it. It runs in a folder of its own and ends with the test. The test is skipped where the packages are neither
// installed nor to be had; `make peers` fails there.
func Python(t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	skipShort(t)
	root := root(t)
	from := filepath.Join(root, "internal", "testnet", "peers", filepath.Dir(script))
	install := exec.Command(filepath.Join(root, "scripts", "get-python.sh"), from)
	var said bytes.Buffer
	install.Stderr = &said
	place, err := install.Output()
	if err != nil {
		t.Skipf("needs Python packages: %s", said.String())
	}
	ctx, cancel := context.WithCancel(context.Background())
	python := filepath.Join(strings.TrimSpace(string(place)), "bin", "python")
	cmd := exec.CommandContext(ctx, python, append([]string{"-u", filepath.Join(from, filepath.Base(script))}, args...)...)
	cmd.Dir, cmd.WaitDelay = t.TempDir(), time.Second
	t.Cleanup(func() {
		cancel()
		if cmd.Process != nil && cmd.ProcessState == nil {
			cmd.Wait() // whoever started it did not wait for it
		}
	})
	return cmd
}
