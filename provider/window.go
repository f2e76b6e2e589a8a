package provider

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Window is a time that comes again: hours of some days by the clock of a place, or a cron expression and for how long.
// The zero value is no time.
type Window struct {
	text     string
	zone     *time.Location
	days     [7]bool       // of the beginning, by time.Weekday
	from, to time.Duration // since midnight, by the clock on the wall; over midnight if from is not before to
	cron     cron.Schedule // instead of days, from and to
	length   time.Duration
}

// longest is how long a window of a cron expression may be: a week of its own beginning.
const longest = 7 * 24 * time.Hour

// ParseWindow reads "22:00-06:00", "mon-fri 09:00-17:00", "sat,sun 00:00-24:00", or a cron expression of five fields and a
// duration, as "0 22 * * mon-fri 8h". zone is a name of the time zone database; "" is this machine's.
func ParseWindow(text, zone string) (Window, error) {
	w := Window{text: strings.ToLower(strings.TrimSpace(text)), zone: time.Local}
	if zone != "" {
		at, err := time.LoadLocation(zone)
		if err != nil {
			return w, fmt.Errorf("time zone %q: want a name such as Europe/Berlin", zone)
		}
		w.zone = at
	}
	fields := strings.Fields(w.text)
	var err error
	switch len(fields) {
	case 1:
		w.days, err = days("mon-sun")
		if err == nil {
			w.from, w.to, err = hours(fields[0])
		}
	case 2:
		if w.days, err = days(fields[0]); err == nil {
			w.from, w.to, err = hours(fields[1])
		}
	case 6:
		w.cron, w.length, err = again(strings.Join(fields[:5], " "), fields[5], w.zone)
	default:
		err = errors.New("want a form such as 22:00-06:00, mon-fri 09:00-17:00 or 0 22 * * mon-fri 8h")
	}
	if err != nil {
		return Window{}, fmt.Errorf("hours %q: %w", text, err)
	}
	return w, nil
}

// again reads a cron expression and how long each of its times lasts.
func again(expression, lasts string, zone *time.Location) (cron.Schedule, time.Duration, error) {
	if strings.Contains(expression, "tz=") {
		return nil, 0, errors.New("the time zone has a setting of its own")
	}
	length, err := time.ParseDuration(lasts)
	if err != nil || length < time.Minute || length > longest {
		return nil, 0, fmt.Errorf("%q is no duration from 1m to %s", lasts, longest)
	}
	at, err := cron.ParseStandard(expression)
	if err != nil {
		return nil, 0, fmt.Errorf("the cron expression: %w", err)
	}
	if spec, ok := at.(*cron.SpecSchedule); ok {
		spec.Location = zone
	}
	return at, length, nil
}

var dayNames = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// days reads "mon-fri", "sat,sun" or one day.
func days(text string) (set [7]bool, err error) {
	number := func(name string) int {
		for i, n := range dayNames {
			if n == name {
				return i
			}
		}
		return -1
	}
	for _, part := range strings.Split(text, ",") {
		first, last, ranged := strings.Cut(part, "-")
		from, to := number(first), number(first)
		if ranged {
			to = number(last)
		}
		if from < 0 || to < 0 {
			return set, fmt.Errorf("%q is no day such as mon, nor days such as mon-fri", part)
		}
		for d := from; ; d = (d + 1) % 7 {
			set[d] = true
			if d == to {
				break
			}
		}
	}
	return set, nil
}

// hours reads "09:00-17:00"; the end may be 24:00.
func hours(text string) (from, to time.Duration, err error) {
	first, last, _ := strings.Cut(text, "-")
	if from, err = clock(first); err == nil {
		to, err = clock(last)
	}
	if err != nil || from == 24*time.Hour {
		return 0, 0, fmt.Errorf("%q is no time from and to, such as 09:00-17:00", text)
	}
	return from, to, nil
}

func clock(text string) (time.Duration, error) {
	if text == "24:00" {
		return 24 * time.Hour, nil
	}
	at, err := time.Parse("15:04", text)
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute, err
}

// String is the window as it was written.
func (w Window) String() string { return w.text }

// Has says whether a moment lies in the window: from its beginning to just before its end. It is the clock on the wall that
// counts, also on days when it is changed.
func (w Window) Has(at time.Time) bool {
	if w.cron != nil {
		began := w.cron.Next(at.Add(-w.length))
		return !began.IsZero() && !began.After(at)
	}
	if w.zone == nil {
		return false
	}
	at = at.In(w.zone)
	now := time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute + time.Duration(at.Second())*time.Second
	today, yesterday := w.days[at.Weekday()], w.days[(at.Weekday()+6)%7]
	if w.from < w.to {
		return today && w.from <= now && now < w.to
	}
	return today && now >= w.from || yesterday && now < w.to // over midnight
}

// Next is when the window next begins after a moment; the zero time if it never does.
func (w Window) Next(after time.Time) time.Time {
	if w.cron != nil {
		return w.cron.Next(after)
	}
	if w.zone == nil {
		return time.Time{}
	}
	after = after.In(w.zone)
	for i := range 9 {
		at := time.Date(after.Year(), after.Month(), after.Day()+i, int(w.from/time.Hour), int(w.from%time.Hour/time.Minute), 0, 0, w.zone)
		if w.days[at.Weekday()] && at.After(after) {
			return at
		}
	}
	return time.Time{}
}

// within says whether a moment lies in one of the windows, and else when the next begins. Without windows it always does.
func within(windows []Window, at time.Time) (in bool, next time.Time) {
	for _, w := range windows {
		if w.Has(at) {
			return true, next
		}
		if begins := w.Next(at); !begins.IsZero() && (next.IsZero() || begins.Before(next)) {
			next = begins
		}
	}
	return len(windows) == 0, next
}
