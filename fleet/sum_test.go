package fleet

import (
	"testing"
	"time"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/store"
)

func TestEarningsAreCounted(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 30, 0, 0, time.UTC)
	job := func(ago time.Duration, end string, paid, owed events.Msat, sure bool) store.Job {
		return store.Job{Role: ledger.Provider, Model: "smol", At: events.At(now.Add(-ago)), End: end, Paid: paid, Sure: sure, Owed: owed}
	}
	rows := []store.Job{
		{Role: ledger.Customer, At: events.At(now), End: "delivered", Paid: 7000, Sure: true},
		job(time.Minute, "delivered", 5000, 0, true),
		job(10*time.Minute, "", 9000, 0, false),
		job(time.Hour, "UNAVAILABLE: broken: 3 sat owed back", 3000, 3000, true),
		job(2*time.Hour, "not awarded", 0, 0, false),
		job(24*time.Hour, "delivered", 1000, 0, true),
		job(48*time.Hour, "delivered", 1000, 0, true),
	}
	e, err := Earn(now, 2, func(before *store.Mark) ([]store.Job, error) {
		for i := range rows {
			if before == nil || rows[i].Mark().Compare(*before) > 0 {
				return rows[i:min(i+2, len(rows))], nil
			}
		}
		return nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := e.Days[0], (Day{"2026-03-01", Sum{Jobs: 2, Delivered: 1, Paid: 5000}}); got != want {
		t.Errorf("today %+v, want %+v", got, want)
	}
	if got, want := e.Days[1], (Day{"2026-02-28", Sum{Jobs: 3, Delivered: 1, Failed: 1, Paid: 4000, Owed: 3000}}); got != want {
		t.Errorf("yesterday %+v, want %+v", got, want)
	}
	if got, want := e.Total, (Sum{Jobs: 5, Delivered: 2, Failed: 1, Paid: 9000, Owed: 3000}); got != want || e.Models["smol"] != want {
		t.Errorf("total %+v, want %+v", got, want)
	}
}
