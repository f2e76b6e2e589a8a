package enginetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Ollama starts a real Ollama server that has TinyModel under the name tiny, and gives its address, http://127.0.0.1:port.
// It ends with the test. The test is skipped where there is no ollama.
func Ollama(t testing.TB) (base string) {
	t.Helper()
	bin, err := exec.LookPath(filepath.Join(cache(), "ollama", "bin", "ollama"))
	if err != nil {
		bin, err = exec.LookPath("ollama")
	}
	if err != nil {
		t.Skipf("needs ollama; run scripts/get-ollama.sh (%v)", err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, bin, "serve")
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+home, "OLLAMA_HOST="+address, "OLLAMA_MODELS="+filepath.Join(home, "models"), "OLLAMA_NUM_PARALLEL=4", "OLLAMA_NO_CLOUD=1", "GOMAXPROCS=2")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it ends its runners then
	cmd.WaitDelay = 10 * time.Second
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		cancel()
		<-exited
		if t.Failed() {
			said := log.Bytes()
			t.Logf("ollama said:\n%s", said[max(0, len(said)-4000):])
		}
	})

	base = "http://" + address
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := client.Get(base + "/api/version"); err == nil {
			resp.Body.Close()
			makeTiny(t, client, base)
			return base
		}
		select {
		case <-tick.C:
		case <-exited:
			t.Fatalf("ollama ended at once; try %s serve\n%s", bin, log.String())
		case <-late.C:
			t.Fatal("ollama is not ready after a minute")
		}
	}
}

// makeTiny gives the server TinyModel, with the template that it was trained on: Ollama does not read the file's own.
func makeTiny(t testing.TB, client *http.Client, base string) {
	t.Helper()
	model, err := os.ReadFile(TinyModel(t))
	if err != nil {
		t.Fatal(err)
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(model))
	create, err := json.Marshal(map[string]any{
		"model": "tiny", "files": map[string]string{"tiny.gguf": digest}, "stream": false,
		"template":   "{{ range .Messages }}<|{{ .Role }}|>{{ .Content }}</s>{{ end }}<|assistant|>",
		"parameters": map[string]any{"num_ctx": 256, "num_thread": 1, "stop": []string{"</s>"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		path string
		body []byte
	}{{"/api/blobs/" + digest, model}, {"/api/create", create}} {
		resp, err := client.Post(base+step.path, "application/json", bytes.NewReader(step.body))
		if err != nil {
			t.Fatal(err)
		}
		said, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode/100 != 2 {
			t.Fatalf("ollama %s: %s: %s", step.path, resp.Status, said)
		}
	}
}
