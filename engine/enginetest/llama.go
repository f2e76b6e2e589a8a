package enginetest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// LlamaServer starts a llama-server with TinyModel and gives its address, http://127.0.0.1:port. It ends with the test. The
// test is skipped where there is no llama-server. args are added to its command line.
func LlamaServer(t testing.TB, args ...string) (base string) {
	t.Helper()
	bin, err := exec.LookPath("llama-server")
	if err != nil {
		bin, err = exec.LookPath(filepath.Join(cache(), "llama", "bin", "llama-server"))
	}
	if err != nil {
		t.Skipf("needs llama-server; run scripts/get-llama.sh (%v)", err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	// one thread that sleeps when idle: all packages' tests share the cores
	args = append([]string{"-m", TinyModel(t), "--alias", "tiny", "--host", "127.0.0.1", "--port", fmt.Sprint(port), "-t", "1", "--poll", "0", "--parallel", "4", "-c", "1024"}, args...)
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() { cancel(); <-exited })

	base = fmt.Sprintf("http://127.0.0.1:%d", port)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := client.Get(base + "/health"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return base
			}
		}
		select {
		case <-tick.C:
		case <-exited:
			t.Fatalf("llama-server ended at once; try %s -m %s", bin, TinyModel(t))
		case <-late.C:
			t.Fatal("llama-server is not ready after 30 s")
		}
	}
}

// cache is the folder that the scripts fill.
func cache() string {
	if dir := os.Getenv("INFERNET_CACHE"); dir != "" {
		return dir
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "infernet")
	}
	home, _ := os.UserHomeDir() // without a home there is no cache either
	return filepath.Join(home, ".cache", "infernet")
}
