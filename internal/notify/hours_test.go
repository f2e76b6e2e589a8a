package notify

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata"
)

func TestHours(t *testing.T) {
	for _, c := range []struct {
		hours, zone, at string
		want            bool
	}{
		{"", "", "2026-01-01T00:00:00Z", false},
		{"22:00-07:00", "UTC", "2026-01-01T21:59:59Z", false},
		{"22:00-07:00", "UTC", "2026-01-01T22:00:00Z", true},
		{"22:00-07:00", "UTC", "2026-01-01T06:59:59Z", true},
		{"22:00-07:00", "UTC", "2026-01-01T07:00:00Z", false},
		{"12:30-13:00", "UTC", "2026-01-01T12:45:00Z", true},
		{"12:30-13:00", "UTC", "2026-01-01T13:00:00Z", false},
		{"00:00-00:00", "UTC", "2026-01-01T13:00:00Z", true},
		{"22:00-07:00", "Asia/Kolkata", "2026-01-01T16:29:00Z", false}, // 21:59, half an hour beside the others
		{"22:00-07:00", "Asia/Kolkata", "2026-01-01T16:30:00Z", true},
		{"22:00-07:00", "Europe/Berlin", "2026-01-01T06:30:00Z", false}, // 07:30 in winter
		{"22:00-07:00", "Europe/Berlin", "2026-07-01T05:30:00Z", false}, // 07:30 in summer
		{"22:00-07:00", "Europe/Berlin", "2026-07-01T04:59:00Z", true},
		{"22:00-07:00", "America/Los_Angeles", "2026-07-02T05:00:00Z", true}, // 22:00 the day before
		// the clock jumps from 02:00 to 03:00: what lies between does not happen
		{"02:15-02:45", "Europe/Berlin", "2026-03-29T00:59:59Z", false},
		{"02:15-02:45", "Europe/Berlin", "2026-03-29T01:00:00Z", false},
		{"02:15-03:15", "Europe/Berlin", "2026-03-29T01:00:00Z", true},
		// it goes back from 03:00 to 02:00: what lies between happens twice
		{"02:15-02:45", "Europe/Berlin", "2026-10-25T00:20:00Z", true},
		{"02:15-02:45", "Europe/Berlin", "2026-10-25T00:50:00Z", false},
		{"02:15-02:45", "Europe/Berlin", "2026-10-25T01:20:00Z", true},
	} {
		h, err := ParseHours(c.hours, c.zone)
		ok(t, err)
		at, err := time.Parse(time.RFC3339, c.at)
		ok(t, err)
		if got := h.Has(at); got != c.want {
			t.Errorf("%s %s has %s: %v", c.hours, c.zone, c.at, got)
		}
	}
	for _, bad := range [][2]string{{"22", ""}, {"22:00", ""}, {"22:00-25:00", ""}, {"a-b", ""}, {"22:00-07:00", "Europe/Nowhere"}} {
		if _, err := ParseHours(bad[0], bad[1]); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// TestQuietHours lives through a night in Berlin in which the clocks change.
func TestQuietHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		berlin, err := time.LoadLocation("Europe/Berlin")
		ok(t, err)
		quiet, err := ParseHours("22:00-03:30", "Europe/Berlin")
		ok(t, err)
		way := &heard{name: "way"}
		time.Sleep(time.Until(time.Date(2000, 3, 26, 1, 45, 0, 0, berlin))) // at 2 it is 3
		o, stop := running(t, filepath.Join(t.TempDir(), "notices.db"), Config{Ways: []Way{way}, Quiet: quiet})
		defer stop()
		tell(t, o, Notice{Title: "warning"})
		tell(t, o, Notice{Title: "urgent", Level: Urgent})
		time.Sleep(time.Until(time.Date(2000, 3, 26, 3, 29, 50, 0, berlin)))
		way.wants(t, "urgent")
		time.Sleep(time.Until(time.Date(2000, 3, 26, 3, 30, 6, 0, berlin)))
		way.wants(t, "urgent", "warning")
	})
}
