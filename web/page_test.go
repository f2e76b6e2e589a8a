package web

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// need runs one of the project's scripts and gives the last line that it prints.
func need(t *testing.T, script string, args ...string) string {
	t.Helper()
	var said strings.Builder
	cmd := exec.Command(filepath.Join("..", "scripts", script), args...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("needs %s: %v: %s", script, err, said.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}

// bench lays the page's sources and tests beside the packages that they need, and gives the folder.
func bench(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("needs node: apt-get install nodejs npm")
	}
	place, root := need(t, "get-npm.sh", "."), t.TempDir()
	dir := filepath.Join(root, "web")
	for from, to := range map[string]string{"src": "web/src", "test": "web/test", "../sdk/js/src": "sdk/js/src"} {
		if err := os.CopyFS(filepath.Join(root, to), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(place, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// script runs a script of web/test to its end.
func script(t *testing.T, within time.Duration, name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", append([]string{name}, args...)...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatalf("%s: %v", filepath.Base(name), err)
	}
}

// TestDistIsBuiltFromTheSources builds the page anew: what is committed is what its sources give, byte for byte, and small
// enough to be there at once.
func TestDistIsBuiltFromTheSources(t *testing.T) {
	bench(t)
	built := filepath.Join(t.TempDir(), "dist")
	if out, err := exec.Command("../scripts/build-web.sh", built).CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	if out, err := exec.Command("diff", "-rq", "dist", built).CombinedOutput(); err != nil {
		t.Errorf("web/dist is not what web/src gives; run: make web\n%s", out)
	}
}

// maxFirst is how many bytes, gzipped, the first load may bring: the page and the worker that checks signatures.
const maxFirst = 120_000

func TestTheFirstLoadIsSmall(t *testing.T) {
	index, err := fs.ReadFile(Page(), "index.html")
	if err != nil {
		t.Fatal(err)
	}
	total, parts := 0, 0
	err = fs.WalkDir(Page(), "assets", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".js") || !strings.Contains(string(index), filepath.Base(name)) && !strings.Contains(name, "worker") {
			return err
		}
		body, err := fs.ReadFile(Page(), name)
		total, parts = total+gzipped(body), parts+1
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d scripts, %d bytes gzipped", parts, total)
	if parts < 2 || total > maxFirst {
		t.Errorf("the first load is %d scripts of %d bytes gzipped, at most %d", parts, total, maxFirst)
	}
}

func TestThePortReplaysTheVectors(t *testing.T) {
	dir := bench(t)
	vectors, err := filepath.Abs("../events/testdata/vectors")
	if err != nil {
		t.Fatal(err)
	}
	script(t, time.Minute, filepath.Join(dir, "test", "vectors.mjs"), vectors)
}

// TestStoriesInTheBrowser has a real daemon serve the page and Chromium play each story with it. NIP07_EXTENSION_DIR has them
// run with another unpacked extension (then nobody clicks its windows but you); SHOTS=DIR keeps pictures.
func TestStoriesInTheBrowser(t *testing.T) {
	dir := bench(t)
	chromium := need(t, "get-chromium.sh")
	program, data := filepath.Join(t.TempDir(), "infernet"), t.TempDir()
	if out, err := exec.Command("go", "build", "-tags", tags(), "-o", program, "../cmd/infernet").CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, out)
	}
	page := up(t, program, data)
	second(t, program, "ws"+strings.TrimSuffix(strings.TrimPrefix(page, "http"), "/"), filepath.Join(data, "node.wallet"))
	dist, err := filepath.Abs("dist")
	if err != nil {
		t.Fatal(err)
	}
	play := func(t *testing.T, story string) {
		config, err := json.Marshal(map[string]string{
			"url": page, "wallet": filepath.Join(data, "customer.wallet"), "data": data, "program": program, "chromium": chromium, "dist": dist, "shots": os.Getenv("SHOTS"),
		})
		if err != nil {
			t.Fatal(err)
		}
		script(t, 2*time.Minute, filepath.Join(dir, "test", story+".mjs"), string(config))
	}
	trade := []string{"buy", "signin", "chat", "market", "offline"}
	if os.Getenv("INFERNET_LONG") != "" {
		trade = append(trade, "scale")
	}
	t.Run("trade", func(t *testing.T) {
		for _, story := range trade {
			t.Run(story, func(t *testing.T) {
				t.Parallel()
				play(t, story)
			})
		}
	})
	t.Run("nodes", func(t *testing.T) { play(t, "nodes") })     // alone: it pauses the node
	t.Run("hostile", func(t *testing.T) { play(t, "hostile") }) // last: nobody wants to trade there afterwards
}

// tags are those that this test was built with.
func tags() string {
	info, _ := debug.ReadBuildInfo()
	for _, setting := range info.Settings {
		if setting.Key == "-tags" {
			return setting.Value
		}
	}
	return ""
}

// up runs a market on this machine until the test ends, and gives the address of its page.
func up(t *testing.T, program, data string) string {
	t.Helper()
	ready := filepath.Join(data, "ready")
	up := exec.CommandContext(t.Context(), program, "up", "--engine", "echo:", "--data-dir", data, "--listen", "127.0.0.1:0", "--ready-file", ready)
	up.Cancel = func() error { return up.Process.Signal(os.Interrupt) }
	up.WaitDelay = 10 * time.Second
	var said strings.Builder
	up.Stdout, up.Stderr = &said, &said
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- up.Wait() }()
	t.Cleanup(func() {
		up.Process.Signal(os.Interrupt)
		<-ended
	})
	var relay []byte
	for tick := time.NewTicker(50 * time.Millisecond); len(relay) == 0; {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("infernet up ended: %v: %s", err, said.String())
		case <-tick.C:
			relay, _ = os.ReadFile(ready)
		}
	}
	return strings.Replace(strings.TrimSpace(string(relay)), "ws", "http", 1) + "/"
}

// second runs another node in the market, a dearer one, until the test ends.
func second(t *testing.T, program, relay, wallet string) {
	t.Helper()
	node := exec.CommandContext(t.Context(), program, "provide", "--relay", relay, "--engine", "echo:", "--name", "dear", "--price-base", "3000",
		"--wallet", "file:"+wallet, "--yes", "--data-dir", t.TempDir())
	node.Cancel = func() error { return node.Process.Signal(os.Interrupt) }
	node.WaitDelay = 10 * time.Second
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		node.Process.Signal(os.Interrupt)
		node.Wait()
	})
}
