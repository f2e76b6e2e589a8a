package track

import (
	"math"
	"time"

	"infernet/consumer/choose"
	"infernet/internal/durable"
)

// row is what is known of one model at one node.
type row struct {
	jobs           int64
	weight, failed float64 // of all jobs, and of those that failed: each newer one counts fresh more than the one before
	first, rate    float64 // ms, tokens a second
	dear, late     float64 // times
	inRow, until   int64   // failures in a row; unix ms
	lied           float64 // as of liedAt, unix ms
	liedAt         int64
	why            string
	at             int64 // unix ms
}

const columns = "jobs, weight, failed, first_ms, rate, dear, late, in_row, until_ms, lied, lied_ms, why, at_ms"

func (x *row) fields() []any {
	return []any{&x.jobs, &x.weight, &x.failed, &x.first, &x.rate, &x.dear, &x.late, &x.inRow, &x.until, &x.lied, &x.liedAt, &x.why, &x.at}
}

func (x row) put(tx *durable.Tx, k key) error {
	_, err := tx.Exec("insert or replace into nodes (node, model, "+columns+") values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		string(k.node), k.model, x.jobs, x.weight, x.failed, x.first, x.rate, x.dear, x.late, x.inRow, x.until, x.lied, x.liedAt, x.why, x.at)
	return err
}

const (
	fresh = 0.2 // how much the newest job counts

	// pauses of a node that fails double with each failure in a row; of one that lied they grow fourfold with each lie
	shortPause, longPause = 2 * time.Second, 5 * time.Minute
	liarPause, liarMost   = 10 * time.Minute, 30 * 24 * time.Hour

	liedHalf = 7 * 24 * time.Hour     // after which a lie counts half
	shortest = 100 * time.Millisecond // what is said to be shorter is not held against that
	maxWhy   = 200                    // bytes of a reason that are kept
)

// after is the row after one more try.
func (x row) after(o choose.Outcome) row {
	x.at = max(x.at, o.At.UnixMilli())
	if o.Silent > 0 { // it may have been about to begin: that it is no quicker is sure
		if ms := o.Silent.Seconds() * 1000; ms > x.first {
			x.first = mix(x.first, ms)
		}
		return x
	}
	x.jobs++
	x.weight = x.weight*(1-fresh) + 1
	x.failed *= 1 - fresh
	if o.Said > 0 && o.Paid > 0 {
		x.dear = mix(x.dear, float64(o.Paid)/float64(o.Said))
	}
	if o.ETA > 0 && o.Took > 0 {
		x.late = mix(x.late, float64(o.Took)/float64(max(o.ETA, shortest)))
	}
	if o.Failed == "" {
		x.inRow = 0
		if o.First > 0 {
			x.first = mix(x.first, o.First.Seconds()*1000)
		}
		if o.Rate > 0 {
			x.rate = mix(x.rate, o.Rate)
		}
		return x
	}
	x.failed++
	x.inRow++
	x.why = cut(o.Failed)
	pause := min(time.Duration(float64(shortPause)*math.Pow(2, float64(min(x.inRow, 20)-1))), longPause)
	if o.Lied {
		x.lied = x.liedNow(o.At) + 1
		x.liedAt = o.At.UnixMilli()
		pause = min(time.Duration(float64(liarPause)*math.Pow(4, math.Min(x.lied, 10)-1)), liarMost)
	}
	x.until = max(x.until, o.At.Add(pause).UnixMilli())
	return x
}

// liedNow is how much of the lies still counts.
func (x row) liedNow(now time.Time) float64 {
	if x.lied == 0 {
		return 0
	}
	return x.lied * math.Pow(0.5, float64(max(0, now.UnixMilli()-x.liedAt))/float64(liedHalf.Milliseconds()))
}

// measured is the row as the router reads it. One success is taken for granted: of one job that failed, not all did.
func (x row) measured(now time.Time) choose.Measured {
	m := choose.Measured{
		Jobs: int(x.jobs), First: time.Duration(x.first * float64(time.Millisecond)), Rate: x.rate, Dear: x.dear, Late: x.late, Lied: x.liedNow(now), Why: x.why,
	}
	if x.weight > 0 {
		m.Failed = x.failed / (x.weight + 1)
	}
	if x.until > 0 {
		m.Until = time.UnixMilli(x.until)
	}
	return m
}

func mix(old, now float64) float64 {
	if old == 0 {
		return now
	}
	return (1-fresh)*old + fresh*now
}

func cut(why string) string {
	if len(why) <= maxWhy {
		return why
	}
	end := maxWhy
	for end > 0 && why[end]&0xc0 == 0x80 { // not within a character
		end--
	}
	return why[:end] + "…"
}
