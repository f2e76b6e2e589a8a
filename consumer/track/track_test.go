package track

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"infernet/consumer/choose"
	"infernet/events"
)

func key64(c string) events.PubKey { return events.PubKey(strings.Repeat(c, 64)) }

func open(t *testing.T, path string) *Record {
	t.Helper()
	r, err := Open(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestWhatWasMeasuredSurvivesARestart notes outcomes and reads them at once, and again from the file.
func TestWhatWasMeasuredSurvivesARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "track.db")
	r, now := open(t, path), time.Now()
	a, b, c := key64("a"), key64("b"), key64("c")
	for range 3 {
		r.Note(choose.Outcome{Node: a, Model: "m", At: now, First: 100 * time.Millisecond, Rate: 40, Said: 1000, Paid: 2000})
	}
	r.Note(choose.Outcome{Node: b, Model: "m", At: now, Failed: "it fell silent"})
	r.Note(choose.Outcome{Node: c, Model: "m", At: now, Failed: "its invoice asks for 9 sat", Lied: true})
	r.Note(choose.Outcome{Node: c, Model: "m", At: now, Silent: 3 * time.Second})
	check := func(r *Record) {
		t.Helper()
		if m := r.Measured(a, "m"); m.Jobs != 3 || m.Failed != 0 || m.First != 100*time.Millisecond || m.Rate != 40 || m.Dear != 2 || !m.Until.IsZero() {
			t.Errorf("a is %+v", m)
		}
		if m := r.Measured(b, "m"); m.Failed != 0.5 || m.Why != "it fell silent" || m.Until.Sub(now).Round(time.Second) != 2*time.Second || m.Lied != 0 {
			t.Errorf("b is %+v", m)
		}
		// a lie of one model speaks against all
		for _, model := range []string{"m", "other"} {
			if m := r.Measured(c, model); m.Lied < 0.99 || m.Until.Sub(now).Round(time.Minute) != 10*time.Minute || !strings.Contains(m.Why, "9 sat") {
				t.Errorf("c with %s is %+v", model, m)
			}
		}
		if m := r.Measured(c, "m"); m.First != 3*time.Second {
			t.Errorf("c, which gave nothing for 3 s, is %+v", m)
		}
		if m := r.Measured(key64("d"), "m"); m.Jobs != 0 || m.Failed != 0 {
			t.Errorf("d is %+v", m)
		}
	}
	check(r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = open(t, path)
	defer r.Close()
	check(r)
	all, err := r.All()
	if err != nil || len(all) != 3 || all[0].Node != a || all[0].Model != "m" || all[0].At.UnixMilli() != now.UnixMilli() {
		t.Errorf("all are %+v, %v", all, err)
	}
	if known, err := r.Forget(c); !known || err != nil {
		t.Error(known, err)
	}
	if m := r.Measured(c, "m"); m.Jobs != 0 || m.Lied != 0 {
		t.Errorf("c, forgotten, is %+v", m)
	}
	if known, err := r.Forget(c); known || err != nil {
		t.Error(known, err)
	}
}

// TestManyProcessesNoteIntoOneFile has two records on one file note at once: nothing is lost.
func TestManyProcessesNoteIntoOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "track.db")
	var wait sync.WaitGroup
	for range 2 {
		r := open(t, path)
		for range 4 {
			wait.Go(func() {
				for range 25 {
					r.Note(choose.Outcome{Node: key64("a"), Model: "m", At: time.Now(), Rate: 1})
					r.Measured(key64("a"), "m")
				}
			})
		}
		defer func() {
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	wait.Wait()
	last := open(t, path)
	defer last.Close()
	for until := time.Now().Add(20 * time.Second); last.Measured(key64("a"), "m").Jobs != 200; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%d of 200 jobs are there", last.Measured(key64("a"), "m").Jobs)
		}
	}
}

// TestPausesGrow holds the circuit breaker to its times: failures double it, a success ends the row, lies weigh more.
func TestPausesGrow(t *testing.T) {
	now := time.Now()
	var x row
	for i, want := range []time.Duration{2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
		x = x.after(choose.Outcome{At: now, Failed: "no"})
		if got := x.measured(now).Until.Sub(now); got.Round(time.Second) != want*time.Second {
			t.Errorf("failure %d: a pause of %s, want %s", i+1, got, want*time.Second)
		}
	}
	later := now.Add(time.Hour)
	x = x.after(choose.Outcome{At: later, Rate: 1}).after(choose.Outcome{At: later, Failed: "no"})
	if got := x.measured(later).Until.Sub(later); got.Round(time.Second) != 2*time.Second {
		t.Errorf("after a success the pause is %s", got)
	}
	var liar row
	for i, want := range []time.Duration{10, 40, 160} {
		liar = liar.after(choose.Outcome{At: now, Failed: "no", Lied: true})
		if got := liar.measured(now).Until.Sub(now); got.Round(time.Minute) != want*time.Minute {
			t.Errorf("lie %d: a pause of %s, want %s", i+1, got, want*time.Minute)
		}
	}
	if m := liar.measured(now.Add(7 * 24 * time.Hour)); m.Lied < 1.4 || m.Lied > 1.6 {
		t.Errorf("three lies count %f after a week", m.Lied)
	}
}
