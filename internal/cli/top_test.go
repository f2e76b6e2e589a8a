package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"infernet/events"
	"infernet/fleet"
	"infernet/internal/store"
)

// fake is a node that answers as it is told to, and counts what it was asked to do.
type fake struct {
	mu     sync.Mutex
	paused bool
	down   bool
	orders []string
}

func (f *fake) call(_ context.Context, method string, _, result any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return errors.New("the node does not answer")
	}
	var out any
	switch method {
	case fleet.Pause, fleet.Resume:
		f.orders, f.paused = append(f.orders, method), method == fleet.Pause
		return nil
	case fleet.Status:
		r := fleet.Report{Identity: fleet.Identity{Name: "attic"}, State: "ready", Version: "v1", Since: events.At(time.Now().Add(-time.Hour)), Running: 3, Slots: 4, Waiting: 2,
			Seen:    []fleet.Relay{{URL: "wss://relay.example", Connected: true}, {URL: "wss://away.example\x1b[2J"}},
			Machine: fleet.Machine{Cores: 8, Memory: 64 << 30, Cards: []fleet.Card{{ID: "GPU-1", Name: "RTX 4090", Memory: 24 << 30}, {ID: "GPU-2", Name: "RTX 3090", Memory: 24 << 30}}},
			Load:    &fleet.Sample{CPU: 43, Memory: 12 << 30, Free: 300 << 30, Cards: []fleet.Reading{{ID: "GPU-1", Busy: 87, Used: 20 << 30, Celsius: 71, Watts: 320}}, Lost: []string{"GPU-2"}},
			Today:   fleet.Sum{Jobs: 41, Delivered: 40, Failed: 1, Paid: 1234 * events.Sat}}
		if f.paused {
			r.State, r.Why = "paused", "the node is paused"
		}
		out = r
	case fleet.Metrics:
		out = fleet.Samples{Samples: []fleet.Sample{{CPU: 0}, {CPU: -1}, {CPU: 50, Cards: []fleet.Reading{{ID: "GPU-1", Busy: 87}}}, {CPU: 100}}}
	case fleet.Jobs:
		var jobs []store.Job
		for i := range 30 {
			jobs = append(jobs, store.Job{ID: events.ID(fmt.Sprintf("%064x", i)), Model: strings.Repeat("長い", 20), Paid: 7 * events.Sat, End: "delivered", Ms: 1234})
		}
		out = fleet.Done{Jobs: jobs}
	case fleet.Earnings:
		out = fleet.Earned{Days: []fleet.Day{{Day: "2026-03-02", Sum: fleet.Sum{Paid: 100 * events.Sat, Jobs: 3}}, {Day: "2026-03-01", Sum: fleet.Sum{Paid: 900 * events.Sat, Jobs: 9}}}}
	case fleet.Alerts:
		out = fleet.Told{Open: []string{"gpu lost/GPU-2"}}
	}
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, result)
}

func TestTopFitsEveryScreen(t *testing.T) {
	f := &fake{}
	for _, nodes := range []int{1, 3} {
		b := &board{ctx: t.Context(), seen: make([]seen, nodes), colour: true}
		for i := range nodes {
			b.nodes = append(b.nodes, &watched{name: fmt.Sprint("node", i), call: f.call})
		}
		for i := range nodes {
			b.Update(sawMsg{i, b.nodes[i].look(t.Context())})
		}
		for _, at := range [][2]int{{80, 24}, {200, 60}, {40, 10}, {10, 3}, {1, 1}} {
			b.Update(tea.WindowSizeMsg{Width: at[0], Height: at[1]})
			lines := strings.Split(b.frame(), "\n")
			if len(lines) > max(2, at[1]) {
				t.Errorf("%d lines on a screen of %d", len(lines), at[1])
			}
			for _, line := range lines {
				if wide := ansi.StringWidth(line); wide > at[0] {
					t.Errorf("a line of %d on a screen of %d: %q", wide, at[0], line)
				}
			}
			if at[0] == 200 {
				plain := ansi.Strip(b.frame())
				for _, want := range []string{"3 of 4 slots ████████░░  2 wait", "1234 sat  41 jobs: 40 delivered, 1 failed", "▁ ▅█ 43 %  memory 12 GB of 64 GB  disk 300 GB free",
					"RTX 4090  87 % busy, 20 GB of 24 GB, 71 °C, 320 W", "lost: it says nothing any more", "█▁  1000 sat, 12 jobs", "gpu lost/GPU-2", "away.example", "1.234s"} {
					if !strings.Contains(plain, want) {
						t.Errorf("%q is not shown in\n%s", want, plain)
					}
				}
				if strings.Contains(b.frame(), "\x1b[2J") {
					t.Error("a relay's name clears the screen")
				}
			}
		}
	}
}

// TestTopIsSteered runs the real program: it looks, pauses the chosen node, notices that it is gone, and ends with q.
func TestTopIsSteered(t *testing.T) {
	first, second := &fake{}, &fake{}
	in, keys := io.Pipe()
	defer keys.Close()
	var screen safeBuffer
	ended := make(chan error, 1)
	a := &app{IO: IO{Env: func(string) string { return "" }}}
	go func() {
		ended <- a.topLive(t.Context(), []*watched{{name: "one", call: first.call}, {name: "two", call: second.call}}, 10*time.Millisecond, in, &screen)
	}()
	shows := func(what string) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !strings.Contains(ansi.Strip(screen.String()), what); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%q is never shown in %q", what, screen.String())
			}
		}
	}
	shows("40 delivered")
	io.WriteString(keys, "j")
	io.WriteString(keys, "p")
	shows("two takes no new jobs")
	second.mu.Lock()
	if len(second.orders) != 1 || second.orders[0] != fleet.Pause || len(first.orders) != 0 {
		t.Errorf("asked to do: %v of the second, %v of the first", second.orders, first.orders)
	}
	second.down = true
	second.mu.Unlock()
	shows("silent")
	io.WriteString(keys, "q")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTopEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in, keys := io.Pipe()
	defer keys.Close()
	ended := make(chan error, 1)
	a := &app{IO: IO{Env: func(string) string { return "" }}}
	go func() {
		ended <- a.topLive(ctx, []*watched{{name: "one", call: (&fake{}).call}}, time.Hour, in, io.Discard)
	}()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// safeBuffer is written by one and read by another.
type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
