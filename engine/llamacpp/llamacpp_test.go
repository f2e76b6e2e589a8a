//go:build linux

package llamacpp

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"infernet/engine"
	"infernet/engine/enginetest"
	"infernet/events"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server gives the llama-server to test with, or skips.
func server(t *testing.T) string {
	t.Helper()
	bin, err := find("")
	if err != nil {
		t.Skipf("needs llama-server; run scripts/get-llama.sh (%v)", err)
	}
	return bin
}

// address is an engine's address for tests: one thread, no spinning, since all packages' tests share the cores.
func address(path, more string) *url.URL {
	return &url.URL{Scheme: "llamacpp", Path: path, RawQuery: "threads=1&poll=0&slots=4" + more}
}

func open(t *testing.T, u *url.URL) engine.Engine {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := Open(ctx, u, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestSuite(t *testing.T) {
	server(t)
	model := enginetest.TinyModel(t)
	enginetest.Run(t, func(t *testing.T) engine.Engine {
		return open(t, address(model, "&kinds=5050,5001,5002,5800&model=tiny"))
	}, enginetest.Tiny("tiny", true))
}

func TestSuiteAttached(t *testing.T) {
	server(t)
	owner := open(t, address(enginetest.TinyModel(t), "&kinds=5050,5001,5002,5800&model=tiny&port=0"))
	defer owner.Close()
	base := owner.(*Engine).keeper.place.config.Base
	enginetest.Run(t, func(t *testing.T) engine.Engine {
		return open(t, &url.URL{Scheme: "llamacpp+http", Host: base.Host})
	}, enginetest.Tiny("tiny", true))
}

func TestModelDigestAndSlots(t *testing.T) {
	server(t)
	t.Setenv("INFERNET_CACHE", linkedCache(t))
	e := open(t, address(enginetest.TinyModel(t), ""))
	defer e.Close()
	list, err := e.Models(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const digest = "sha256:78ee1af1f2d330ac5b5164ed9e786b51c25373ab60529b125cce5e2b23a5de55"
	if len(list) != 1 || list[0].ID != "tiny-tasks-q8_0" || list[0].Digest != digest || list[0].Slots != 4 || list[0].Context != 256 {
		t.Errorf("models %+v", list)
	}
	// the second time it comes from the cache
	if got, err := sum(t.Context(), enginetest.TinyModel(t)); err != nil || got != digest {
		t.Errorf("cached digest %s, %v", got, err)
	}
}

// linkedCache is an empty cache that still has the real one's llama-server.
func linkedCache(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(cacheDir(), "llama"), filepath.Join(dir, "llama")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestEstimateCountsWithTheModelsTokenizer(t *testing.T) {
	server(t)
	e := open(t, address(enginetest.TinyModel(t), "&model=tiny"))
	defer e.Close()
	job := enginetest.Text("tiny", "Count to 12", "max_tokens", "100")
	u, err := e.(engine.Estimator).Estimate(t.Context(), job)
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.Run(t.Context(), job, func(engine.Part) error { return nil })
	if err != nil || out.Usage.In != u.In || u.Out != 100 {
		t.Errorf("estimated %+v, used %+v, %v", u, out, err)
	}
	_, err = e.(engine.Estimator).Estimate(t.Context(), enginetest.Tiny("tiny", false).Large)
	if !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("estimate of a large job: %v", err)
	}
	// the server hangs up after every stream; the request behind it must not meet the dead connection
	for i := range 150 {
		if _, err := e.(engine.Estimator).Estimate(t.Context(), job); err != nil {
			t.Fatalf("estimate %d: %v", i, err)
		}
		if _, err := e.Run(t.Context(), enginetest.Text("tiny", "hi", "max_tokens", "1"), func(engine.Part) error { return nil }); err != nil {
			t.Fatalf("run %d: %v", i, err)
		}
	}
}

// TestCrashFailsOnlyItsJob kills the server in the middle of a job, twice.
func TestCrashFailsOnlyItsJob(t *testing.T) {
	server(t)
	e := open(t, address(enginetest.TinyModel(t), "&model=tiny"))
	defer e.Close()
	sample := enginetest.Tiny("tiny", false)
	for range 2 {
		pid := serverPid(t, e.(*Engine).folder.path)
		_, err := e.Run(t.Context(), sample.Long, func(engine.Part) error {
			if pid != 0 {
				syscall.Kill(pid, syscall.SIGKILL)
				waitGone(t, pid)
				pid = 0
			}
			return nil
		})
		// all of so short an answer may have been in the socket already; an error must say that the engine died
		if err != nil && (!errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "signal: killed")) {
			t.Errorf("the job in the crash: %v", err)
		}
		out, err := e.Run(t.Context(), sample.Jobs[0].Job, func(engine.Part) error { return nil })
		if err != nil || !strings.Contains(out.Text, sample.Jobs[0].Want) {
			t.Fatalf("the next job: %+v, %v", out, err)
		}
	}
}

// TestCrashOfALongJob kills the server in an answer that takes a second: two jobs fail with its last words, the next works.
func TestCrashOfALongJob(t *testing.T) {
	e := open(t, address(smolLM(t), "&model=smol"))
	defer e.Close()
	pid := serverPid(t, e.(*Engine).folder.path)
	job := enginetest.Text("smol", "Write a long story about the sea.", "max_tokens", "400")
	var both sync.WaitGroup
	var once sync.Once
	for range 2 {
		both.Go(func() {
			_, err := e.Run(t.Context(), job, func(engine.Part) error {
				once.Do(func() { syscall.Kill(pid, syscall.SIGKILL) })
				return nil
			})
			if !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "signal: killed") {
				t.Errorf("a job in the crash: %v", err)
			}
		})
	}
	both.Wait()
	start := time.Now()
	if _, err := e.Run(t.Context(), enginetest.Text("smol", "hi", "max_tokens", "3"), func(engine.Part) error { return nil }); err != nil {
		t.Errorf("the next job: %v", err)
	}
	t.Logf("the next job was done %s after the crash", time.Since(start).Round(time.Millisecond))
}

func TestClosedLeavesNothing(t *testing.T) {
	server(t)
	e := open(t, address(enginetest.TinyModel(t), ""))
	dir := e.(*Engine).folder.path
	pid := serverPid(t, dir)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	waitGone(t, pid)
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
}

func TestCannotOpen(t *testing.T) {
	model := enginetest.TinyModel(t)
	text := filepath.Join(t.TempDir(), "notes.gguf")
	broken := filepath.Join(t.TempDir(), "broken.gguf")
	for path, data := range map[string]string{text: "shopping list", broken: "GGUF\x03\x00\x00\x00 and nothing more"} {
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name, path, query string
		want              []string
		needs             bool
	}{
		{"missing model", "/no/such/model.gguf", "", []string{"/no/such/model.gguf", "no such model"}, true},
		{"not a model", text, "", []string{"no GGUF"}, true},
		{"broken model", broken, "", []string{"llama-server ended", "hint: "}, true},
		{"missing binary", model, "bin=/no/such/llama-server", []string{"no llama-server at /no/such/llama-server"}, false},
		{"a binary that is none", model, "bin=/bin/false", []string{"exit status 1"}, false},
		{"no option", model, "fast=1", []string{"no option fast"}, false},
		{"bad slots", model, "slots=many", []string{"slots", "many"}, false},
		{"relative path", "", "", []string{"three slashes"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.needs {
				server(t)
			}
			_, err := Open(t.Context(), &url.URL{Scheme: "llamacpp", Path: c.path, RawQuery: c.query}, slog.New(slog.DiscardHandler))
			if err == nil {
				t.Fatal("it was opened")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}

func TestNoBinaryAnywhere(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("INFERNET_CACHE", t.TempDir())
	if _, err := find(""); err == nil || !errors.Is(err, ErrNoServer) {
		t.Errorf("find: %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	server(t)
	e := open(t, address(enginetest.TinyModel(t), "&port=0"))
	defer e.Close()
	port := e.(*Engine).keeper.place.config.Base.Port()
	_, err := Open(t.Context(), address(enginetest.TinyModel(t), "&port="+port), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "port "+port) {
		t.Errorf("a second server on port %s: %v", port, err)
	}
}

// smolLM gives the real small model, or skips.
func smolLM(t *testing.T) string {
	t.Helper()
	server(t)
	path := filepath.Join(cacheDir(), "models", "SmolLM2-135M-Instruct.Q4_1.gguf")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("needs the model; run scripts/get-model.sh (%v)", err)
	}
	return path
}

// TestSmolLM runs the real small model where scripts/get-model.sh has put it.
func TestSmolLM(t *testing.T) {
	start := time.Now()
	e := open(t, address(smolLM(t), ""))
	defer e.Close()
	ready := time.Since(start)
	start = time.Now()
	var first time.Duration
	job := enginetest.Text("smollm2-135m-instruct.q4_1", "Write two sentences about the sea.", "temperature", "0", "max_tokens", "80")
	out, err := e.Run(t.Context(), job, func(engine.Part) error {
		if first == 0 {
			first = time.Since(start)
		}
		return nil
	})
	if err != nil || !strings.Contains(out.Text, "sea") {
		t.Fatalf("%+v, %v", out, err)
	}
	t.Logf("ready after %s; first token after %s; %.0f tok/s; %q", ready.Round(time.Millisecond), first.Round(time.Millisecond), float64(out.Usage.Out-1)/(time.Since(start)-first).Seconds(), out.Text)
	job.Kind, job.Inputs[0].Text = events.KindSummary, "The ferry to the island leaves at nine. It takes two hours. Tickets cost ten euros and can be bought on board."
	job.Params = append(job.Params, events.Param{Name: "length", Values: []string{"one sentence"}})
	out, err = e.Run(t.Context(), job, func(engine.Part) error { return nil })
	if err != nil || out.Text == "" {
		t.Fatalf("summary: %+v, %v", out, err)
	}
	t.Logf("summary: %q", out.Text)
}

// TestALoopOfCrashesIsSaid kills the server three times: once is an accident, three times in minutes is not.
func TestALoopOfCrashesIsSaid(t *testing.T) {
	server(t)
	e := open(t, address(enginetest.TinyModel(t), "&model=tiny"))
	defer e.Close()
	for i := range loopOf {
		if err := engine.Check(t.Context(), e); err != nil {
			t.Errorf("after %d deaths: %v", i, err)
		}
		pid := serverPid(t, e.(*Engine).folder.path)
		syscall.Kill(pid, syscall.SIGKILL)
		waitGone(t, pid)
		if _, err := e.Run(t.Context(), enginetest.Text("tiny", "hi", "max_tokens", "1"), func(engine.Part) error { return nil }); err != nil && !errors.Is(err, engine.ErrUnavailable) {
			t.Fatal(err)
		}
		if _, err := e.Models(t.Context()); err != nil { // it runs again
			t.Fatal(err)
		}
	}
	if err := engine.Check(t.Context(), e); !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "3 times") {
		t.Errorf("after %d deaths: %v", loopOf, err)
	}
}
