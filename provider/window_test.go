package provider

import (
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, zone, text string) time.Time {
	t.Helper()
	place, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	moment, err := time.ParseInLocation("2006-01-02 15:04", text, place)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

func TestWindowsComeAndGo(t *testing.T) {
	const berlin = "Europe/Berlin"
	for _, c := range []struct {
		window string
		at     string // a Wednesday is 2026-11-25
		in     bool
		next   string
	}{
		{"09:00-17:00", "2026-11-25 09:00", true, "2026-11-26 09:00"},
		{"09:00-17:00", "2026-11-25 16:59", true, ""},
		{"09:00-17:00", "2026-11-25 17:00", false, "2026-11-26 09:00"},
		{"22:00-06:00", "2026-11-25 23:00", true, "2026-11-26 22:00"},
		{"22:00-06:00", "2026-11-25 05:59", true, "2026-11-25 22:00"},
		{"22:00-06:00", "2026-11-25 06:00", false, "2026-11-25 22:00"},
		{"mon-fri 22:00-06:00", "2026-11-28 05:00", true, "2026-11-30 22:00"},  // Friday's night
		{"mon-fri 22:00-06:00", "2026-11-30 05:00", false, "2026-11-30 22:00"}, // Sunday's is none
		{"fri-mon 00:00-24:00", "2026-11-29 23:59", true, "2026-11-30 00:00"},
		{"sat,sun 00:00-24:00", "2026-11-25 12:00", false, "2026-11-28 00:00"},
		{"0 22 * * mon-fri 8h", "2026-11-28 05:59", true, "2026-11-30 22:00"},
		{"0 22 * * mon-fri 8h", "2026-11-28 06:01", false, "2026-11-30 22:00"},
		{"*/30 * * * * 10m", "2026-11-25 12:35", true, "2026-11-25 13:00"},
		{"*/30 * * * * 10m", "2026-11-25 12:45", false, "2026-11-25 13:00"},
		{"0 0 30 2 * 1h", "2026-11-25 12:00", false, "never"},
		{"01:00-04:00", "2026-03-29 03:30", true, ""},                     // the night that has no 02:30
		{"02:30-04:00", "2026-03-29 03:30", true, ""},                     //
		{"02:00-03:00", "2026-10-25 02:30", true, ""},                     // the night that has it twice
		{"09:00-17:00", "2026-03-28 18:00", false, "2026-03-29 09:00"},    // 14 hours later, not 15
		{"0 9 * * * 8h", "2026-03-28 18:00", false, "2026-03-29 09:00"},   //
		{"09:00-17:00", "2026-10-24 18:00", false, "2026-10-25 09:00"},    //
		{"mon 09:00-17:00", "2026-11-23 09:00", true, "2026-11-30 09:00"}, // a week on
	} {
		w, err := ParseWindow(c.window, berlin)
		if err != nil {
			t.Errorf("%s: %v", c.window, err)
			continue
		}
		now := at(t, berlin, c.at)
		if got := w.Has(now.UTC()); got != c.in { // in whichever zone it is asked
			t.Errorf("%s has %s: %t", c.window, c.at, got)
		}
		switch next := w.Next(now.UTC()); {
		case c.next == "never" && next.IsZero(), c.next == "":
		case c.next == "never" || !next.Equal(at(t, berlin, c.next)):
			t.Errorf("%s after %s begins at %s, want %s", c.window, c.at, next, c.next)
		}
	}
}

func TestWindowsThatAreNone(t *testing.T) {
	for _, c := range []struct{ text, zone, says string }{
		{"", "", "want a form such as"}, {"all day", "", "no day"}, {"9-17", "", "no time from and to"}, {"24:00-06:00", "", "no time from and to"},
		{"mon-foo 09:00-17:00", "", "no day"}, {"61 * * * * 1h", "", "cron expression"}, {"0 9 * * * 1s", "", "no duration from 1m"},
		{"0 9 * * * 9999h", "", "no duration from 1m"}, {"09:00-17:00", "Mars/Base", "such as Europe/Berlin"},
	} {
		if _, err := ParseWindow(c.text, c.zone); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q in %q: %v, want %q", c.text, c.zone, err, c.says)
		}
	}
	if (Window{}).Has(time.Now()) {
		t.Error("no window has a moment")
	}
	if in, _ := within(nil, time.Now()); !in {
		t.Error("without windows it is always open")
	}
}
