package testnet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/pool"
	"infernet/internal/testnet/lightning"
	"infernet/internal/testnet/peers"
	"infernet/provider"
	"infernet/relay"
	"infernet/wallet"
	"infernet/wallet/play"
)

// process is a party that runs in a process of its own, so that it can be killed.
type process struct {
	Role     string // relay, bank, provider or consumer
	Relay    string
	Dir      string
	Wallet   string
	Secret   string // of a bank or a provider
	Listen   string // of a relay
	Engine   string
	Crash    string        // the step at which it kills itself with SIGKILL
	Arm      string        // a file that holds a step: who gets there first takes the file away and kills itself
	Away     time.Duration // how long it stays away before it starts again
	Order    *consumer.Order
	Resume   bool
	Skew     time.Duration // how far its clock is off
	Pause    string        // the step at which it waits until there is the file Go
	Go       string
	Free     bool      // a provider wants no money
	Pay      []string  // ways that a provider is paid
	Shopping *shopping // a consumer buys many jobs
	Batch    *batching // a consumer buys the lines of a file

	hear func(line string) // told each line that it says; may be nil
}

func (p *process) now() time.Time { return time.Now().Add(p.Skew) }

const processEnv = "INFERNET_TEST_PROCESS"

func TestMain(m *testing.M) {
	if raw := os.Getenv(processEnv); raw != "" {
		var p process
		if err := json.Unmarshal([]byte(raw), &p); err != nil {
			panic(err)
		}
		if err := p.run(); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	code := lightning.Run(m)
	peers.Forget()
	os.Exit(code)
}

// at kills the process with no chance to tidy up.
func (p *process) at(_ events.ID, step string) {
	fmt.Println("step:", step)
	for step == p.Pause {
		if _, err := os.Stat(p.Go); err == nil {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	armed := false
	if p.Arm != "" {
		body, err := os.ReadFile(p.Arm)
		armed = err == nil && string(body) == step && os.Rename(p.Arm, p.Arm+".taken") == nil
	}
	if step == p.Crash || armed {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (p *process) run() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // the parent's end is ours
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	switch p.Role {
	case "relay":
		return p.relay(ctx)
	case "bank":
		return p.bank(ctx)
	}
	if _, err := os.Stat(filepath.Join(p.Dir, p.Role+".db")); err == nil {
		time.Sleep(p.Away)
	}
	w, err := Wallets.Open(ctx, p.Wallet, nil)
	if err != nil {
		return err
	}
	l, err := ledger.Open(filepath.Join(p.Dir, p.Role+".db"))
	if err != nil {
		return err
	}
	if p.Role == "provider" {
		return p.provide(ctx, w.(wallet.Receiver), l)
	}
	return p.buy(ctx, w.(wallet.Payer), l)
}

func (p *process) relay(ctx context.Context) error {
	r, err := relay.Open(ctx, relay.Config{Dir: filepath.Join(p.Dir, "relay"), Listen: p.Listen, Now: p.now})
	if err != nil {
		return err
	}
	fmt.Println("ready", r.URL())
	return r.Run(ctx)
}

func (p *process) bank(ctx context.Context) error {
	keys, err := events.NewKeys(p.Secret)
	if err != nil {
		return err
	}
	s, err := play.NewService(play.Config{Relays: []string{p.Relay}, Keys: keys, Path: filepath.Join(p.Dir, "bank.db"), Now: p.now})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return s.Run(ctx)
}

func (p *process) provide(ctx context.Context, w wallet.Receiver, l *ledger.Ledger) error {
	keys, err := events.NewKeys(p.Secret)
	if err != nil {
		return err
	}
	e, err := Engines.Open(ctx, p.Engine, nil)
	if err != nil {
		return err
	}
	price := Price
	if p.Free {
		price = events.Price{}
	}
	n, err := provider.New(ctx, provider.Config{
		Name: "killed", Signer: keys, Pool: pool.New(ctx, []string{p.Relay}, pool.WithSigner(keys)), Relays: []string{p.Relay}, Ledger: l,
		Engine: e, Wallet: w, Policy: provider.Policy{Price: price}, Step: p.at, Now: p.now, Pay: p.Pay,
	})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return n.Run(ctx)
}

func (p *process) buy(ctx context.Context, w wallet.Payer, l *ledger.Ledger) error {
	c, err := consumer.New(consumer.Config{Pool: pool.New(ctx, []string{p.Relay}), Relays: []string{p.Relay}, Ledger: l, Wallet: w, Step: p.at, Now: p.now})
	if err != nil {
		return err
	}
	if p.Shopping != nil {
		return p.shop(ctx, c, l)
	}
	if p.Batch != nil {
		return p.batch(ctx, c)
	}
	var got *consumer.Delivery
	if p.Resume {
		open, err := c.Unfinished()
		if err != nil || len(open) != 1 {
			return fmt.Errorf("%d jobs to resume, %v", len(open), err)
		}
		got, err = c.Resume(ctx, open[0], nil)
		if err != nil {
			return err
		}
	} else if got, err = c.Do(ctx, *p.Order, nil); err != nil {
		return err
	}
	fmt.Printf("got: %s %d %s\n", got.Job, got.Paid, got.Text)
	return nil
}

// running is a started process and the lines it says.
type running struct {
	cmd   *exec.Cmd
	in    io.Closer
	lines chan string
	done  chan struct{}
}

// start starts a process for as long as the test lasts.
func (p process) start(t *testing.T) *running {
	t.Helper()
	r, err := p.launch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.stop)
	return r
}

func (p process) launch() (*running, error) {
	raw, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), processEnv+"="+string(raw))
	return begin(cmd, p.hear)
}

// begin starts a program and hears the lines it says.
func begin(cmd *exec.Cmd, hear func(line string)) (*running, error) {
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = cmd.Stdout
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r := &running{cmd: cmd, in: in, lines: make(chan string, 1000), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		scan := bufio.NewScanner(out)
		scan.Buffer(nil, 1<<20) // one line may hold an event
		for scan.Scan() {
			if hear != nil {
				hear(scan.Text())
			}
			select {
			case r.lines <- scan.Text():
			default:
			}
		}
		cmd.Wait()
	}()
	return r, nil
}

func (r *running) stop() {
	r.in.Close()
	r.cmd.Process.Kill()
	<-r.done
}

// wait reads lines until one begins with want.
func (r *running) wait(t testing.TB, want string) string {
	t.Helper()
	var said []string
	timeout := time.After(30 * time.Second)
	for {
		select {
		case line := <-r.lines:
			if strings.HasPrefix(line, want) {
				return line
			}
			said = append(said, line)
		case <-timeout:
			t.Fatalf("waited 30 s for %q, heard %q", want, said)
		case <-r.done:
			for len(r.lines) > 0 {
				if line := <-r.lines; strings.HasPrefix(line, want) {
					return line
				} else {
					said = append(said, line)
				}
			}
			t.Fatalf("ended without %q, said %q", want, said)
		}
	}
}

// killed waits until the process has killed itself.
func (r *running) killed(t testing.TB) {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(30 * time.Second):
		t.Fatal("waited 30 s for the process to be killed")
	}
	if status := r.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
		var said []string
		for len(r.lines) > 0 {
			said = append(said, <-r.lines)
		}
		t.Fatalf("it was not killed but ended with %v: %q", r.cmd.ProcessState, said)
	}
}
