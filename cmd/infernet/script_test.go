package main

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"infernet": main})
}

// TestScripts runs each script in a home of its own, with real processes: relay, provider, play money and buyer.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			env.Setenv("HOME", home)
			env.Setenv("REPO", repo)
			env.Setenv("INFERNET_CACHE", filepath.Join(home, "cache"))
			env.Setenv("INFERNET_PROVIDE_PROBE", "http://127.0.0.1:1/v1") // whatever runs on this machine stays out of it
			env.Setenv("INFERNET_RELAYS", "ws://127.0.0.1:1")
			if cache := cmp.Or(os.Getenv("INFERNET_CACHE"), cacheDir()); cache != "" { // where scripts/get-pebble.sh puts it
				env.Setenv("PATH", env.Getenv("PATH")+string(filepath.ListSeparator)+filepath.Join(cache, "pebble"))
			}
			env.Setenv("GORACE", "atexit_sleep_ms=0") // else every process of a race build lingers for a second
			env.Setenv("BWRAP", sandbox())
			room := filepath.Join(os.TempDir(), filepath.Base(filepath.Dir(env.WorkDir))+"-"+filepath.Base(env.WorkDir)) // programs of other users reach it
			env.Setenv("WORKROOM", room)
			env.Defer(func() { os.RemoveAll(room) })
			env.Values[lastKey{}] = new(*exec.Cmd)
			env.Values[failKey{}] = env.T().(interface{ Errorf(string, ...any) }).Errorf
			return os.Mkdir(home, 0o700)
		},
		Condition: condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": await, "certificate": writeCertificate, "code": code, "get": get, "post": post, "eventually": eventually,
			"market": market, "discreet": discreet, "silent": silent, "within": within, "interrupt": interrupt, "hangup": hangup, "authority": authority, "exited": exited, "object": object, "vector": vector, "variable": variable, "bunker": remoteSigner},
	})
}

// cacheDir is where what tests need is installed, if nobody says.
func cacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "infernet")
}

// await waits until a file that a daemon writes holds a line, and sets a variable to it, and another to its address
// without ws://: await FILE NAME [ADDRESS].
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: await FILE NAME [ADDRESS]")
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		body, err := os.ReadFile(ts.MkAbs(args[0]))
		if line, _, ok := strings.Cut(string(body), "\n"); err == nil && ok {
			ts.Setenv(args[1], line)
			if len(args) > 2 {
				ts.Setenv(args[2], strings.TrimPrefix(line, "ws://"))
			}
			return
		}
	}
	ts.Fatalf("nothing was written to %s in 30 s", args[0])
}

// code runs a command and wants this exit code: code NUMBER COMMAND….
func code(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	if neg || err != nil {
		ts.Fatalf("usage: code NUMBER COMMAND…")
	}
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case err == nil && want != 0:
		ts.Fatalf("it ended well")
	case err != nil && !errors.As(err, &exit):
		ts.Fatalf("%v", err)
	case exit != nil && exit.ExitCode() != want:
		ts.Fatalf("it ended with %d", exit.ExitCode())
	}
	for line := range strings.Lines(ts.ReadFile("stderr")) { // what people are told to type is what a shell reads
		if hint, ok := strings.CutPrefix(line, "hint: "); ok {
			if out, err := exec.Command("bash", "-n", "-c", hint).CombinedOutput(); err != nil {
				ts.Fatalf("the hint is no command: %s", out)
			}
		}
	}
}

// eventually runs a command until it ends well: eventually COMMAND….
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: eventually COMMAND…")
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if ts.Exec(args[0], args[1:]...) == nil {
			return
		}
	}
	ts.Fatalf("%s did not end well in 30 s", strings.Join(args, " "))
}
