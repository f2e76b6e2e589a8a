package consumer

import (
	"time"

	"infernet/events"
)

// Alarm says that a budget has reached one of its marks.
type Alarm struct {
	Percent int // the mark: 50, 80 or 100
	Spent   events.Msat
	Of      events.Msat
}

// Marks are how many of 100 of a budget give an alarm.
var Marks = []int{50, 80, 100}

// Mark is the highest mark that spending has reached; 0 if none, or if there is no budget.
func Mark(spent, of events.Msat) (percent int) {
	for _, mark := range Marks {
		if of > 0 && float64(spent) >= float64(of)*float64(mark)/100 {
			percent = mark
		}
	}
	return percent
}

// spent is what was spent in a day, or is under way.
func (c *Consumer) spent() (events.Msat, error) {
	return c.Ledger.SpentSince(c.Now().Add(-24 * time.Hour))
}

// alarm tells, after a commitment, that a further mark of the day's budget is reached.
func (c *Consumer) alarm() {
	if c.Alarm == nil || c.PerDay == 0 {
		return
	}
	spent, err := c.spent()
	if err != nil {
		c.Log.Warn("cannot say what was spent", "err", err)
		return
	}
	mark := Mark(spent, c.PerDay)
	c.mu.Lock()
	before := c.marked
	c.marked = mark // lower again when a day has gone by
	c.mu.Unlock()
	if mark > before {
		c.Alarm(Alarm{mark, spent, c.PerDay})
	}
}
