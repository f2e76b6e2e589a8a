package enginetest

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Names of the models that MediaServer has.
const (
	Hears  = "whisper-tiny.en"
	Speaks = "piper-en-us-joe"
	Paints = "tiny-painter"
)

// MediaServer starts scripts/media/server.py, real speech to text, text to speech and small pictures behind OpenAI's API, and gives its
// address, http://127.0.0.1:port. It ends with the test. The test is skipped where its Python packages are neither installed
// nor to be had; `make media` fails there.
func MediaServer(t testing.TB) (base string) {
	t.Helper()
	scripts := filepath.Join(filepath.Dir(TinyModel(t)), "..", "..", "..", "scripts")
	var why bytes.Buffer
	install := exec.Command(filepath.Join(scripts, "get-python.sh"), filepath.Join(scripts, "media"))
	install.Stderr = &why
	place, err := install.Output()
	if err != nil {
		t.Skipf("needs Python packages, make media installs them: %s", why.String())
	}
	cmd := exec.Command(filepath.Join(strings.TrimSpace(string(place)), "bin", "python"),
		filepath.Join(scripts, "media", "server.py"), "--port", "0", "--threads", "1", "--stdin")
	cmd.Env = append(os.Environ(), "OMP_NUM_THREADS=1", "PYTHONDONTWRITEBYTECODE=1")
	cmd.WaitDelay = 5 * time.Second
	stop, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() })
	var ended sync.Once
	end := func() {
		ended.Do(func() {
			stop.Close()
			late.Reset(10 * time.Second)
			io.Copy(io.Discard, out)
			cmd.Wait()
			late.Stop()
		})
	}
	t.Cleanup(func() {
		end()
		if t.Failed() {
			t.Logf("the media server said:\n%s", log.String())
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		end()
		t.Fatalf("the media server is not ready: %v\n%s", err, log.String())
	}
	late.Stop()
	return strings.TrimSpace(line)
}
