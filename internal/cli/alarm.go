package cli

import (
	"fmt"
	"time"

	"infernet/consumer"
	"infernet/internal/notify"
)

// alarm tells that a budget has reached a mark: at the terminal, and as a notice. whose is what the budget is called, as a
// part of the notice's name, too: each mark of a day is told once.
func (a *app) alarm(whose string, m consumer.Alarm) {
	title := fmt.Sprintf("Budget of %s: %d %% spent, %s of %s", whose, m.Percent, m.Spent.Human(), m.Of.Human())
	if talk := a.talk.Load(); !a.json && talk != nil {
		talk.tell("budget " + title[len("Budget "):])
	} else if !a.json {
		a.tell("budget", "%s", title[len("Budget "):])
	}
	level := notify.Info
	if m.Percent >= 80 {
		level = notify.Warning
	}
	o, err := a.openOutbox(nil, nil, nil, nil)
	if err != nil {
		a.log.Warn("cannot tell that a budget has reached a mark", "err", err)
		return
	}
	defer o.Close()
	if _, err := o.Tell(notify.Notice{
		Level: level, Incident: fmt.Sprintf("budget/%s/%s/%d/%d", whose, time.Now().UTC().Format(time.DateOnly), m.Of, m.Percent), Title: title,
		Text: "What it was spent on: infernet costs",
	}); err != nil {
		a.log.Warn("cannot tell that a budget has reached a mark", "err", err)
	}
}
