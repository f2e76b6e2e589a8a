package fleet

import (
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"infernet/events"
	"infernet/internal/notify"
	"infernet/internal/store"
)

// told are an outbox's notices: their titles, with ! before those that end an incident.
func told(t *testing.T, o *notify.Outbox) (all []string) {
	t.Helper()
	notices, err := o.Notices(0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range notices {
		title := n.Title
		if n.Over {
			title = "!" + title
		}
		all = append(all, title)
	}
	return all
}

// alarmed makes alarms on an outbox, as after a start.
func alarmed(t *testing.T, path string, limits *Limits) (*Alarms, *notify.Outbox) {
	t.Helper()
	o, err := notify.Open(path, notify.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return &Alarms{Name: "attic", Limits: func() Limits { return *limits }, Outbox: func() *notify.Outbox { return o }, Log: slog.New(slog.DiscardHandler)}, o
}

func wants(t *testing.T, o *notify.Outbox, want ...string) {
	t.Helper()
	if got := told(t, o); !slices.Equal(got, want) {
		t.Errorf("told:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

var card = Card{ID: "GPU-1", Name: "RTX 4090"}

func TestCardsAreToldWhenLostOrHot(t *testing.T) {
	limits := &Limits{Hot: 85}
	path := filepath.Join(t.TempDir(), "notices.db")
	a, o := alarmed(t, path, limits)
	look := func(celsius float64) {
		a.Sampled(Sample{Free: -1, Cards: []Reading{{ID: card.ID, Celsius: celsius}}}, []Card{card})
	}
	lost := func() { a.Sampled(Sample{Free: -1, Lost: []string{card.ID}}, []Card{card}) }
	for _, c := range []float64{60, 86, 84, 86, 70, -1, 86, -1, 84} { // never twice in a row, or not known
		look(c)
	}
	lost()
	look(60)
	wants(t, o)
	for _, c := range []float64{86, 91, 92, 84, 81, 88, 79, 60, 86} { // wavering around the limit is one incident
		look(c)
	}
	wants(t, o, "attic: RTX 4090 is hot: 91 °C", "!attic: RTX 4090 has cooled down: 79 °C")
	for range 5 {
		lost()
	}
	a, o = alarmed(t, path, limits) // a restart in the middle
	for range 5 {
		lost()
	}
	look(50)
	look(50)
	wants(t, o, "attic: RTX 4090 is hot: 91 °C", "!attic: RTX 4090 has cooled down: 79 °C",
		"attic: RTX 4090 is lost: it says nothing any more", "!attic: RTX 4090 is back")
}

func TestDisksAreToldWhenNearlyFull(t *testing.T) {
	limits := &Limits{Free: 1000 << 20}
	a, o := alarmed(t, filepath.Join(t.TempDir(), "notices.db"), limits)
	for _, mib := range []int64{5000, 1000, 999, 500, 1050, 990, 1100, 1050, -1} {
		if mib > 0 {
			mib <<= 20
		}
		a.Sampled(Sample{Free: mib}, nil)
	}
	wants(t, o, "attic: the disk is nearly full: 999 MiB are free", "!attic: the disk has room again: 1100 MiB")
	limits.Free = 0
	a.Sampled(Sample{Free: 0}, nil)
	if got := told(t, o); len(got) != 2 {
		t.Errorf("told without a limit: %v", got)
	}
}

func TestPartsAreToldWhenTheyFailAgainAndAgain(t *testing.T) {
	a, o := alarmed(t, filepath.Join(t.TempDir(), "notices.db"), &Limits{})
	down := errors.New("llama-server ended (exit status 1) 3 times in 10 minutes")
	for _, err := range []error{nil, down, nil, down, down, down, nil, nil} {
		a.Asked("engine", err)
	}
	for range 3 {
		a.Asked("relays", errors.New("none answers"))
	}
	a.Asked("wallet", errors.New(strings.Repeat("ä", 3000)))
	a.Asked("relays", nil)
	a.Asked("wallet", errors.New(strings.Repeat("ä", 3000)))
	got := told(t, o)
	if len(got) != 3 || got[0] != "attic: engine: "+down.Error() || got[1] != "!attic: engine: well again" || !strings.HasPrefix(got[2], "attic: wallet: ää") {
		t.Errorf("told: %v", got)
	}
}

func TestFailedJobsAreToldOncePerIncident(t *testing.T) {
	a, o := alarmed(t, filepath.Join(t.TempDir(), "notices.db"), &Limits{})
	end := func(id, model, end string) { a.Ended(&store.Job{ID: events.ID(id), Model: model, End: end}) }
	const broken = "UNAVAILABLE: broken: 3 sat owed back"
	end("1", "smol", "delivered")
	end("2", "smol", "not awarded")
	end("3", "smol", broken)
	end("3", "smol", broken)
	end("4", "smol", broken)
	end("5", "big", "delivered")
	end("6", "smol", "delivered")
	end("4", "smol", broken) // its row has changed once more: it was settled
	end("7", "big", "INVALID_PARAMETER: x: the locked money is let go")
	wants(t, o, "attic: a job failed: "+broken, "!attic: jobs of smol are delivered again", "attic: a job failed: INVALID_PARAMETER: x: the locked money is let go")
}

func TestDaysAreToldWhenTheyGoBadly(t *testing.T) {
	a, o := alarmed(t, filepath.Join(t.TempDir(), "notices.db"), &Limits{Success: 80, Earnings: 1000 * events.Sat})
	day := func(delivered, failed int, paid events.Msat, whole bool) {
		a.Day(Sum{Delivered: delivered, Failed: failed, Paid: paid}, whole)
	}
	day(0, 9, 0, false) // too few, too young
	day(9, 2, 1000*events.Sat, true)
	day(7, 3, 2000*events.Sat, true)
	day(5, 5, 999*events.Sat, true)
	day(5, 5, 10*events.Sat, true)
	day(8, 2, 1000*events.Sat, true)
	wants(t, o, "attic: only 70 % of the last day's jobs were delivered, 7 of 10", "attic: the last day has earned 999 sat",
		"!attic: 80 % of the last day's jobs were delivered", "!attic: the last day has earned 1000 sat")
}

func TestNothingIsLostWhileTheOutboxIsNotOpen(t *testing.T) {
	a, o := alarmed(t, filepath.Join(t.TempDir(), "notices.db"), &Limits{Free: 1 << 30})
	open := a.Outbox
	a.Outbox = func() *notify.Outbox { return nil }
	a.Sampled(Sample{Free: 1}, nil)
	a.Outbox = open
	a.Sampled(Sample{Free: 1}, nil)
	wants(t, o, "attic: the disk is nearly full: 0 MiB are free")
}
