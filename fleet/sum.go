package fleet

import (
	"strings"
	"time"

	"infernet/internal/ledger"
	"infernet/internal/store"
)

// Add counts a job of the node's.
func (s *Sum) Add(j *store.Job) {
	s.Jobs++
	switch {
	case j.End == "delivered":
		s.Delivered++
	case Failed(j):
		s.Failed++
	}
	if j.Sure {
		s.Paid += j.Paid
	}
	s.Owed += j.Owed
}

// Failed says whether a job that was taken on failed by the node's own fault: it has said so, and what was paid is owed back or
// let go. A job that nobody awarded or paid, or that its customer cancelled, has not failed.
func Failed(j *store.Job) bool {
	return strings.HasSuffix(j.End, "owed back") || strings.HasSuffix(j.End, "the locked money is let go")
}

// Earn counts the jobs of the last days, up to a moment. next gives pages, newest first, until one is empty.
func Earn(now time.Time, days int, next func(before *store.Mark) ([]store.Job, error)) (*Earned, error) {
	today := now.UTC().Truncate(24 * time.Hour)
	first := today.AddDate(0, 0, 1-days)
	e := &Earned{Models: map[string]Sum{}}
	for i := range days {
		e.Days = append(e.Days, Day{Day: today.AddDate(0, 0, -i).Format(time.DateOnly)})
	}
	var before *store.Mark
	for {
		page, err := next(before)
		if err != nil || len(page) == 0 {
			return e, err
		}
		for i := range page {
			j := &page[i]
			if j.Role != ledger.Provider {
				continue
			}
			at := j.At.Time().UTC()
			if at.Before(first) {
				return e, nil
			}
			if ago := int(today.Sub(at.Truncate(24*time.Hour)).Hours()) / 24; ago >= 0 && ago < days {
				e.Days[ago].Add(j)
			}
			one := e.Models[j.Model]
			one.Add(j)
			e.Models[j.Model] = one
			e.Total.Add(j)
		}
		mark := page[len(page)-1].Mark()
		before = &mark
	}
}
