package notify

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const childEnv = "INFERNET_TEST_NOTICES"

// TestMain is also the process that tests kill: it tells notices, and says which ones were taken.
func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		o, err := Open(path, Config{Ways: []Way{&heard{name: "way"}}})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		for i := 0; ; i++ {
			told, err := o.Tell(Notice{Level: Info, Title: fmt.Sprint(i)})
			if err != nil {
				fmt.Println("error", err)
				os.Exit(1)
			}
			fmt.Println(told.ID)
		}
	}
	os.Exit(m.Run())
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// heard is a way that writes down what was told, and fails as long as it is told to.
type heard struct {
	name string
	fail func(n Notice) error

	mu    sync.Mutex
	told  []Notice
	tries []time.Time
}

func (h *heard) Name() string { return h.name }

func (h *heard) Send(_ context.Context, n Notice) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tries = append(h.tries, time.Now())
	if h.fail != nil {
		if err := h.fail(n); err != nil {
			return err
		}
	}
	h.told = append(h.told, n)
	return nil
}

func (h *heard) titles() (titles []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, n := range h.told {
		titles = append(titles, n.Title)
	}
	return titles
}

func (h *heard) wants(t testing.TB, titles ...string) {
	t.Helper()
	if got := h.titles(); !slices.Equal(got, titles) {
		t.Errorf("%s was told %q, want %q", h.name, got, titles)
	}
}

// running runs an outbox until the function it gives is called. In a bubble, for its clock is moved by sleeping.
func running(t testing.TB, path string, c Config) (*Outbox, func()) {
	t.Helper()
	o, err := Open(path, c)
	ok(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { o.Run(ctx) })
	var once sync.Once
	stop := func() { once.Do(func() { cancel(); wait.Wait(); ok(t, o.Close()) }) }
	t.Cleanup(stop)
	return o, stop
}

func tell(t testing.TB, o *Outbox, n Notice) *Notice {
	t.Helper()
	if n.Level == "" {
		n.Level = Warning
	}
	told, err := o.Tell(n)
	ok(t, err)
	return told
}

func TestAnIncidentIsToldOnceAndOnceWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		way := &heard{name: "way"}
		o, stop := running(t, filepath.Join(t.TempDir(), "notices.db"), Config{Ways: []Way{way}})
		defer stop()
		gone := Notice{Incident: "gpu-0", Title: "GPU lost"}
		back := Notice{Incident: "gpu-0", Title: "GPU back", Over: true}
		for i, n := range []Notice{back, gone, gone, gone, back, back, gone, {Incident: "gpu-1", Title: "another"}, {Title: "alone"}, {Title: "alone"}} {
			fresh := tell(t, o, n) != nil
			if want := slices.Contains([]int{1, 4, 6, 7, 8, 9}, i); fresh != want {
				t.Errorf("notice %d: news %v", i, fresh)
			}
		}
		time.Sleep(time.Second)
		way.wants(t, "GPU lost", "GPU back", "GPU lost", "another", "alone", "alone")
	})
}

// TestTheEndWaitsForTheBeginning has the first try of an incident's beginning fail: its end must not overtake it, others may.
func TestTheEndWaitsForTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := false
		way := &heard{name: "way", fail: func(n Notice) error {
			if n.Title == "begun" && !failed {
				failed = true
				return errors.New("no")
			}
			return nil
		}}
		o, stop := running(t, filepath.Join(t.TempDir(), "notices.db"), Config{Ways: []Way{way}})
		defer stop()
		tell(t, o, Notice{Incident: "a", Title: "begun"})
		tell(t, o, Notice{Incident: "a", Title: "over", Over: true})
		tell(t, o, Notice{Title: "other"})
		time.Sleep(time.Minute)
		way.wants(t, "other", "begun", "over")
	})
}

func TestFailuresAreTriedAgainWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := &heard{name: "broken", fail: func(Notice) error { return errors.New("no") }}
		well := &heard{name: "well"}
		o, stop := running(t, filepath.Join(t.TempDir(), "notices.db"), Config{Ways: []Way{broken, well}, Tries: time.Hour})
		defer stop()
		n := tell(t, o, Notice{Title: "a"})
		time.Sleep(2 * time.Hour)
		well.wants(t, "a") // one way does not wait for another
		broken.wants(t)
		broken.mu.Lock()
		defer broken.mu.Unlock()
		want := firstWait
		for i := 1; i < len(broken.tries); i++ {
			got := broken.tries[i].Sub(broken.tries[i-1])
			if got < want || got > want+want/4+lookEvery {
				t.Errorf("pause %d is %s, want about %s", i, got, want)
			}
			want = min(2*want, longest)
		}
		if n := len(broken.tries); n < 10 || n > 12 {
			t.Errorf("%d tries in an hour", n)
		}
		for tries := range 100 {
			if got := pause(tries); got < firstWait || got > longest+longest/4 {
				t.Errorf("after %d tries it waits %s", tries, got)
			}
		}
		all, err := o.Deliveries(n.Seq)
		ok(t, err)
		if len(all) != 2 || all[0].State != "given up" || all[0].Error != "no" || all[1].State != "told" {
			t.Errorf("deliveries %+v", all)
		}
	})
}

// TestNothingIsLostOverARestart stops an outbox while its way is down, and while quiet hours hold notices back.
func TestNothingIsLostOverARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "notices.db")
		down := &heard{name: "way", fail: func(Notice) error { return errors.New("down") }}
		o, stop := running(t, path, Config{Ways: []Way{down}})
		tell(t, o, Notice{Incident: "a", Title: "one"})
		time.Sleep(time.Minute)
		stop()
		muted := Config{Ways: []Way{down}, Muted: func() time.Time { return time.Now().Add(time.Hour) }}
		o, stop = running(t, path, muted)
		tell(t, o, Notice{Title: "two"})
		if tell(t, o, Notice{Incident: "a", Title: "one again"}) != nil {
			t.Error("a restart forgot the incident")
		}
		tries := len(down.tries)
		time.Sleep(time.Minute)
		stop()
		if len(down.tries) != tries {
			t.Error("it was told while muted")
		}
		up := &heard{name: "way"}
		_, stop = running(t, path, Config{Ways: []Way{up}})
		time.Sleep(10 * time.Minute)
		stop()
		up.wants(t, "one", "two")
		again := &heard{name: "way"}
		_, stop = running(t, path, Config{Ways: []Way{again}})
		time.Sleep(10 * time.Minute)
		stop()
		again.wants(t)
	})
}

// TestWhatWasTakenSurvivesKills kills a process that tells, again and again.
func TestWhatWasTakenSurvivesKills(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notices.db")
	said := map[string]bool{}
	for range 5 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		out, err := cmd.StdoutPipe()
		ok(t, err)
		ok(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for i := 0; i < 10 && lines.Scan(); i++ {
			said[lines.Text()] = true
		}
		cmd.Process.Kill()
		for lines.Scan() {
			if len(lines.Text()) == 26 { // whole
				said[lines.Text()] = true
			}
		}
		cmd.Wait()
	}
	if len(said) < 50 {
		t.Fatalf("only %d notices were taken", len(said))
	}
	way := &heard{name: "way"}
	o, stop := running(t, path, Config{Ways: []Way{way}})
	defer stop()
	all, err := o.Notices(0, 1_000_000)
	ok(t, err)
	for len(way.titles()) < len(all) {
		time.Sleep(5 * time.Millisecond)
	}
	way.mu.Lock()
	defer way.mu.Unlock()
	for _, n := range way.told {
		delete(said, n.ID)
	}
	if len(said) > 0 || len(way.told) != len(all) {
		t.Errorf("%d notices were taken and not told; %d told of %d", len(said), len(way.told), len(all))
	}
}

// TestTwoProcessesTellEachNoticeOnce runs two outboxes on one file.
func TestTwoProcessesTellEachNoticeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notices.db")
	way := &heard{name: "way"}
	a, stopA := running(t, path, Config{Ways: []Way{way}})
	defer stopA()
	b, stopB := running(t, path, Config{Ways: []Way{way}})
	defer stopB()
	for i := range 50 {
		tell(t, []*Outbox{a, b}[i%2], Notice{Title: fmt.Sprint(i)})
	}
	for len(way.titles()) < 50 {
		time.Sleep(5 * time.Millisecond)
	}
	stopA()
	stopB()
	titles := way.titles()
	slices.Sort(titles)
	if len(slices.Compact(titles)) != 50 || len(way.titles()) != 50 {
		t.Errorf("told %d times, %d notices", len(way.titles()), len(titles))
	}
}

func TestBadNotices(t *testing.T) {
	o, err := Open(filepath.Join(t.TempDir(), "notices.db"), Config{})
	ok(t, err)
	defer o.Close()
	for _, n := range []Notice{{Level: Info}, {Title: "a"}, {Title: "a", Level: "loud"}, {Title: "a", Level: Info, Over: true}, {Title: string(make([]byte, 201)), Level: Info}} {
		if _, err := o.Tell(n); err == nil {
			t.Errorf("%+v was taken", n)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "x.db"), Config{Ways: []Way{&heard{name: "a"}, &heard{name: "a"}}}); err == nil {
		t.Error("two ways of one name")
	}
}
