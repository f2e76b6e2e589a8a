package main

import (
	"os"
	"path/filepath"
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
			env.Setenv("INFERNET_CACHE", filepath.Join(home, "cache"))
			env.Setenv("INFERNET_PROVIDE_PROBE", "http://127.0.0.1:1/v1") // whatever runs on this machine stays out of it
			env.Setenv("INFERNET_RELAYS", "ws://127.0.0.1:1")
			return os.Mkdir(home, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"await": await},
	})
}

// await waits until a file that a daemon writes holds a line, and sets a variable to it: await FILE NAME.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await FILE NAME")
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		body, err := os.ReadFile(ts.MkAbs(args[0]))
		if line, _, ok := strings.Cut(string(body), "\n"); err == nil && ok {
			ts.Setenv(args[1], line)
			return
		}
	}
	ts.Fatalf("nothing was written to %s in 30 s", args[0])
}
