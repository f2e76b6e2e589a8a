package peers

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// built is a package of ours as its users have it: packed once for all tests of a program, and unpacked.
var built struct {
	sync.Mutex
	dir  string // made with the first; lives as long as the program
	fail string
}

// SDK gives a folder where infernet-sdk is installed as npm would: built from sdk/js, packed, unpacked beside its own
// dependency. Its tests and documents are copied beside it. The test is skipped where the packages that build it are neither installed nor to be had.
func SDK(t testing.TB) (dir string) {
	t.Helper()
	skipShort(t)
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("needs node: apt-get install nodejs npm")
	}
	built.Lock()
	defer built.Unlock()
	if built.dir == "" && built.fail == "" {
		built.dir, built.fail = build(t)
	}
	if built.fail != "" {
		t.Fatal(built.fail)
	}
	return built.dir
}

func build(t testing.TB) (app, fail string) {
	from := filepath.Join(root(t), "sdk", "js")
	install := exec.Command(filepath.Join(root(t), "scripts", "get-npm.sh"), from)
	var said bytes.Buffer
	install.Stderr = &said
	place, err := install.Output()
	if err != nil {
		t.Skipf("needs npm packages: %s", said.String())
	}
	packages := filepath.Join(strings.TrimSpace(string(place)), "node_modules")
	dir, err := os.MkdirTemp("", "infernet-sdk-")
	if err != nil {
		return "", err.Error()
	}
	const script = `set -eu
cp -R "$1/src" "$1/test" "$1"/*.json "$1"/*.mjs "$1/README.md" "$2" && cd "$2" && ln -s "$3" node_modules
node build.mjs
npm pack --silent --offline --ignore-scripts --pack-destination "$2" >/dev/null
mkdir -p app/node_modules && cd app && tar xzf ../infernet-sdk-*.tgz && mv package node_modules/infernet-sdk
for dir in ws nostr-tools @noble @scure nostr-wasm @types undici-types typescript; do [ ! -e "$3/$dir" ] || ln -s "$3/$dir" node_modules/; done
cp ../test/* .`
	out, err := exec.Command("sh", "-c", script, "sh", from, dir, packages).CombinedOutput()
	if err != nil {
		os.RemoveAll(dir)
		return "", "build the SDK: " + err.Error() + "\n" + string(out)
	}
	return filepath.Join(dir, "app"), ""
}

// Forget removes what SDK has built; for the end of a program's tests.
func Forget() {
	built.Lock()
	defer built.Unlock()
	if built.dir != "" {
		os.RemoveAll(filepath.Dir(built.dir))
		built.dir = ""
	}
}

// Run runs a script of the SDK's folder with node, and gives what it printed. It ends with the test, or after a minute.
func Run(t testing.TB, dir string, env []string, args ...string) (out string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = dir, append(os.Environ(), env...), time.Second
	said, err := cmd.CombinedOutput()
	return string(said), err
}
