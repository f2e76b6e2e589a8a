package notify

import (
	"fmt"
	"strings"
	"time"
)

// Hours are hours of the day, by the clock of a place, such as 22:00-07:00. The zero value is no hours.
type Hours struct {
	from, to time.Duration // since midnight, by the clock on the wall
	zone     *time.Location
}

// ParseHours reads "22:00-07:00", and the place's name in the time zone database; "" is this machine's. No text means no
// hours, the same time twice the whole day.
func ParseHours(text, zone string) (Hours, error) {
	if text = strings.TrimSpace(text); text == "" {
		return Hours{}, nil
	}
	h := Hours{zone: time.Local}
	from, to, _ := strings.Cut(text, "-")
	var err error
	if h.from, err = clock(from); err == nil {
		h.to, err = clock(to)
	}
	if err != nil {
		return Hours{}, fmt.Errorf("hours %q: want a form such as 22:00-07:00", text)
	}
	if zone != "" {
		if h.zone, err = time.LoadLocation(zone); err != nil {
			return Hours{}, fmt.Errorf("time zone %q: want a name such as Europe/Berlin", zone)
		}
	}
	return h, nil
}

func clock(text string) (time.Duration, error) {
	at, err := time.Parse("15:04", strings.TrimSpace(text))
	return wall(at), err
}

// wall is what the clock on the wall shows, since midnight.
func wall(at time.Time) time.Duration {
	hour, minute, second := at.Clock()
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
}

// Has says whether a moment lies in the hours: from the first to just before the second. It is the clock on the wall that
// counts, also on the days when it is changed.
func (h Hours) Has(at time.Time) bool {
	if h.zone == nil {
		return false
	}
	now := wall(at.In(h.zone))
	if h.from < h.to {
		return h.from <= now && now < h.to
	}
	return now >= h.from || now < h.to // over midnight
}
