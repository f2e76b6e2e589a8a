package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"infernet/internal/testnet"
)

// market starts a whole market in a data folder of its own, waits until it works, and points INFERNET_RELAYS and
// INFERNET_DATA_DIR at it: market [FLAGS OF up…]. At the script's end it is interrupted, and has to end well, within ten
// seconds, with nothing secret and no error in its log.
func market(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: market [FLAGS OF up…]")
	}
	dir, ready := ts.MkAbs("market"), ts.MkAbs("market-ready")
	path, err := exec.LookPath("infernet")
	ts.Check(err)
	cmd := exec.Command(path, append([]string{"up", "--listen", "127.0.0.1:0", "--engine", "echo:", "--data-dir", dir, "--ready-file", ready,
		"--log-level", "debug"}, args...)...)
	cmd.Dir = ts.Getenv("WORK")
	for _, name := range []string{"HOME", "PATH", "TMPDIR", "GORACE", "INFERNET_CACHE", "INFERNET_PROVIDE_PROBE"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	fail := ts.Value(failKey{}).(func(string, ...any)) // ts.Fatalf is not for what is deferred
	ts.Defer(func() {
		cmd.Process.Signal(os.Interrupt)
		select {
		case err := <-ended:
			if err != nil {
				fail("the market ended with %v\n%s", err, &said)
			}
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-ended
			fail("the market does not end\n%s", &said)
		}
		if shown := shows(said.String(), secretsIn(dir)); shown != "" {
			fail("the market's log shows the secret of %s", shown)
		}
		if trouble := regexp.MustCompile(`(?m)^.*(level=ERROR|panic|DATA RACE).*$`).FindString(said.String()); trouble != "" {
			fail("the market's log: %s", trouble)
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			ts.Fatalf("the market ended early with %v\n%s", err, &said)
		default:
		}
		if body, err := os.ReadFile(ready); err == nil {
			ts.Setenv("INFERNET_RELAYS", strings.TrimSpace(string(body)))
			ts.Setenv("INFERNET_DATA_DIR", dir)
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the market is not ready in 30 s")
		}
	}
}

// secretsIn reads the secrets of a data folder, and the files that hold them.
func secretsIn(dir string) map[string]string {
	secrets := map[string]string{}
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		text := strings.TrimSpace(string(body))
		if strings.HasSuffix(file, ".key") {
			secrets[text] = filepath.Base(file)
		}
		if strings.HasSuffix(file, ".wallet") {
			if u, err := url.Parse(text); err == nil && u.Query().Get("secret") != "" {
				secrets[u.Query().Get("secret")] = filepath.Base(file)
			}
		}
	}
	return secrets
}

// shows gives the file of a secret that a text shows, "" if it shows none.
func shows(text string, secrets map[string]string) string {
	for secret, file := range secrets {
		if strings.Contains(text, secret) {
			return file
		}
	}
	return ""
}

// discreet wants that what the last command said shows no secret of the market's data folder.
func discreet(ts *testscript.TestScript, neg bool, args []string) {
	secrets := secretsIn(ts.MkAbs("market"))
	if neg || len(args) > 0 || len(secrets) < 3 {
		ts.Fatalf("usage: discreet, once a market runs; there are %d secrets", len(secrets))
	}
	if shown := shows(ts.ReadFile("stdout")+ts.ReadFile("stderr"), secrets); shown != "" {
		ts.Fatalf("the secret of %s is shown", shown)
	}
}

// silent listens as a relay or an engine that takes connections and never says a word: silent NAME.
func silent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: silent NAME")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], l.Addr().String())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var open []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				break
			}
			open = append(open, c)
		}
		for _, c := range open {
			c.Close()
		}
	}()
	ts.Defer(func() {
		l.Close()
		<-ended
	})
}

// within wants a script command to end in time: within DURATION code NUMBER COMMAND….
func within(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 || args[1] != "code" {
		ts.Fatalf("usage: within DURATION code NUMBER COMMAND…")
	}
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	began := time.Now()
	code(ts, false, args[2:])
	if took := time.Since(began); took > limit {
		ts.Fatalf("it took %s", took)
	}
}

// interrupt interrupts the command that runs in the background under a name, and remembers it for exited: interrupt NAME.
// kill would do, but says nothing of the exit code.
func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	running := ts.BackgroundCmds()
	if neg || len(args) > 0 || len(running) == 0 {
		ts.Fatalf("usage: interrupt, once a command runs in the background")
	}
	last := running[len(running)-1]
	*ts.Value(lastKey{}).(**exec.Cmd) = last
	ts.Check(last.Process.Signal(os.Interrupt))
}

// hangup sends SIGHUP to the command that was started last in the background: it reads its settings again.
func hangup(ts *testscript.TestScript, neg bool, args []string) {
	running := ts.BackgroundCmds()
	if neg || len(args) > 0 || len(running) == 0 {
		ts.Fatalf("usage: hangup, once a command runs in the background")
	}
	ts.Check(running[len(running)-1].Process.Signal(syscall.SIGHUP))
}

type (
	lastKey struct{}
	failKey struct{}
)

// exited wants the exit code of the interrupted command, once it was waited for: exited NUMBER.
func exited(ts *testscript.TestScript, neg bool, args []string) {
	last := *ts.Value(lastKey{}).(**exec.Cmd)
	if neg || len(args) != 1 || last == nil || last.ProcessState == nil {
		ts.Fatalf("usage: exited NUMBER, after interrupt and wait")
	}
	if got := fmt.Sprint(last.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("it ended with %s", got)
	}
}

// object wants that each line of the last command's stdout is one JSON object with just the fields that docs/cli.md says
// of a command, which is what its help says: object [-may=FIELD,…] COMMAND…. The fields of -may can be left out.
func object(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: object [-may=FIELD,…] COMMAND…")
	}
	var may []string
	if list, ok := strings.CutPrefix(args[0], "-may="); ok {
		may, args = strings.Split(list, ","), args[1:]
	}
	want := documented(ts, strings.Join(args, " "))
	for _, field := range may {
		if !slices.Contains(want, field) {
			ts.Fatalf("%s is not documented: %v", field, want)
		}
	}
	text := strings.TrimSuffix(ts.ReadFile("stdout"), "\n")
	if text == "" {
		ts.Fatalf("there is no object")
	}
	for line := range strings.SplitSeq(text, "\n") {
		var have map[string]any
		if err := json.Unmarshal([]byte(line), &have); err != nil {
			ts.Fatalf("%s: %v", line, err)
		}
		for field := range have {
			if !slices.Contains(want, field) {
				ts.Fatalf("%s is not documented, only %v: %s", field, want, line)
			}
		}
		for _, field := range want {
			if _, there := have[field]; !there && !slices.Contains(may, field) {
				ts.Fatalf("%s is missing: %s", field, line)
			}
		}
	}
}

// documented reads which fields docs/cli.md says a command's answer has.
func documented(ts *testscript.TestScript, command string) (fields []string) {
	body, err := os.ReadFile(filepath.Join(repo, "docs", "cli.md"))
	ts.Check(err)
	_, section, _ := strings.Cut(string(body), "\n## infernet "+command+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, said, ok := strings.Cut(section, "\nWith --json: ")
	if !ok {
		ts.Fatalf("docs/cli.md says nothing of --json for %q", command)
	}
	said, _, _ = strings.Cut(said, "\n")
	said, _, _ = strings.Cut(strings.TrimSuffix(said, "."), ";")
	said = regexp.MustCompile(` \([^)]*\)`).ReplaceAllString(said, "")
	return strings.Split(said, ", ")
}

// remoteSigner starts a bunker (NIP-46) on the market's relay, and sets variables to its address and to the key that it
// signs for: bunker NAME KEY.
func remoteSigner(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: bunker NAME KEY")
	}
	b, stop := testnet.StartBunker(ts.Getenv("INFERNET_RELAYS"), nil)
	ts.Defer(stop)
	ts.Setenv(args[0], b.Address)
	ts.Setenv(args[1], string(b.User.PublicKey()))
}

// variable sets a variable to what the last command printed: variable NAME.
func variable(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: variable NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// vector writes the proof of events/testdata/vectors/proofs.json with a name into a file: vector NAME FILE.
func vector(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: vector NAME FILE")
	}
	body, err := os.ReadFile(filepath.Join(repo, "events", "testdata", "vectors", "proofs.json"))
	ts.Check(err)
	var all []struct {
		Name  string
		Proof json.RawMessage
	}
	ts.Check(json.Unmarshal(body, &all))
	for _, v := range all {
		if v.Name == args[0] {
			ts.Check(os.WriteFile(ts.MkAbs(args[1]), v.Proof, 0o600))
			return
		}
	}
	ts.Fatalf("there is no vector %q", args[0])
}

// repo is the repository's root; tests start in their own folder.
var repo = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}()
