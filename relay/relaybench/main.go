// Relaybench measures our relay beside plain khatru over LMDB, both with the same signatures, on the same machine, in one
// run. It prints every figure, also where ours is worse.
//
// CPU is that of the server's own process; times are what a client sees over loopback, its own share in them. Servers,
// clients and all else share the machine's cores, so ratios say more than times.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"infernet/relay"
)

var (
	stored = flag.Int("stored", 1_000_000, "events in our store before it is measured")
	peer   = flag.String("peer", "", "the peer's program (relay/relaybench/peer); left out if unset")
	only   = flag.String("only", "", "run only measures whose name has this in it")
	also   = flag.String("also", "", "another relay's program with its arguments, which prints its address: an earlier version of ours")
	serve  = flag.String("serve", "", "be the relay, in this folder")
)

func main() {
	flag.Parse()
	if *serve != "" {
		if err := beRelay(*serve); err != nil {
			fmt.Fprintln(os.Stderr, "relaybench:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "relaybench:", err)
		os.Exit(1)
	}
}

// beRelay is the relay with limits that do not hold a benchmark back.
func beRelay(dir string) error {
	r, err := relay.Open(context.Background(), relay.Config{
		Dir: dir, Listen: "127.0.0.1:0", Rate: 1e9, Burst: 1e9, MaxConns: 20_000, MaxSubs: 10_000, Queue: 8192,
	})
	if err != nil {
		return err
	}
	fmt.Println(r.URL())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return r.Run(ctx)
}

// server is a relay that runs in a process of its own.
type server struct {
	name string
	addr string
	cmd  *exec.Cmd
}

func startServer(name string, program string, args ...string) (*server, error) {
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("%s did not say its address: %w", program, err)
		}
		if _, addr, ok := strings.Cut(line, "ws://"); ok {
			go func() {
				for {
					if _, err := lines.ReadString('\n'); err != nil {
						return
					}
				}
			}()
			addr, _, _ = strings.Cut(addr, `"`)
			return &server{name, strings.Trim(strings.TrimSpace(addr), "/"), cmd}, nil
		}
	}
}

func (s *server) stop() { s.cmd.Process.Kill(); s.cmd.Wait() }

func run() error {
	dir, err := os.MkdirTemp("", "relaybench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	full, empty := filepath.Join(dir, "full"), filepath.Join(dir, "empty")
	if *stored > 0 {
		if err := fill(filepath.Join(full, "events"), *stored); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	kinds := []func() (*server, error){
		func() (*server, error) {
			return startServer(fmt.Sprintf("ours, %d stored", *stored), self, "-serve", full)
		},
		func() (*server, error) { return startServer("ours, empty", self, "-serve", empty) },
	}
	if *also != "" {
		words := strings.Fields(*also)
		kinds = append(kinds, func() (*server, error) { return startServer("before, empty", words[0], words[1:]...) })
	}
	if *peer != "" {
		kinds = append(kinds, func() (*server, error) {
			return startServer("khatru+LMDB, empty", *peer, filepath.Join(dir, "peer"))
		})
	}
	for _, m := range measures {
		if !strings.Contains(m.name, *only) {
			continue
		}
		fmt.Printf("\n%s\n", m.name)
		for _, start := range kinds {
			s, err := start()
			if err != nil {
				return err
			}
			text, err := m.run(s)
			s.stop()
			if err != nil {
				text = "failed: " + err.Error()
			}
			fmt.Printf("  %-22s %s\n", s.name, text)
		}
	}
	return nil
}
