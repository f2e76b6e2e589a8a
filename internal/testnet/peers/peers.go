// Package peers runs programs of other people against ours: each folder here has a package.json and lock of npm packages,
// and scripts that use them. scripts/get-npm.sh installs what they need. Begin with Node.
package peers

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Node prepares a run of FOLDER/SCRIPT, as "nwc/client.mjs", with the packages of FOLDER's lock; the caller starts it. It
// ends with the test. The test is skipped where the packages are neither installed nor to be had; `make peers` fails there.
func Node(t testing.TB, script string, args ...string) *exec.Cmd {
	t.Helper()
	skipShort(t)
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("needs node: apt-get install nodejs npm")
	}
	root := root(t)
	from := filepath.Join(root, "internal", "testnet", "peers", filepath.Dir(script))
	install := exec.Command(filepath.Join(root, "scripts", "get-npm.sh"), from)
	var said bytes.Buffer
	install.Stderr = &said
	place, err := install.Output()
	if err != nil {
		t.Skipf("needs npm packages: %s", said.String())
	}
	// modules are looked for beside the script, so it runs from a copy beside them
	dir := t.TempDir()
	sources, err := filepath.Glob(filepath.Join(from, "*.mjs"))
	if err != nil {
		t.Fatal(err)
	}
	for _, source := range sources {
		text, err := os.ReadFile(source)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, filepath.Base(source)), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(strings.TrimSpace(string(place)), "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, node, append([]string{filepath.Join(dir, filepath.Base(script))}, args...)...)
	cmd.WaitDelay = time.Second
	t.Cleanup(func() {
		cancel()
		if cmd.Process != nil && cmd.ProcessState == nil {
			cmd.Wait() // whoever started it did not wait for it
		}
	})
	return cmd
}

// root is the folder of the project.
func root(t testing.TB) string {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "scripts", "get-npm.sh")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("no scripts/get-npm.sh in this folder or above it")
	return ""
}

// skipShort leaves other people's programs out with -short: runs that repeat, or look for races, are about ours.
func skipShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("runs other people's programs: not with -short")
	}
}
