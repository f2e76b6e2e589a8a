// Package notify tells the owner what happened: one kind of notice, told in several ways.
//
// It promises that a notice that Tell has taken is told in every way, also after a crash: it is in the outbox, on the
// disk, and tried again with growing pauses. An incident is told once when it begins and once when it ends, however often
// it is reported. Quiet hours hold back what is not urgent. Begin with Open, Tell and Run.
package notify

import (
	"context"
	"errors"

	"infernet/events"
)

// Level says how much a notice matters.
type Level string

// The levels. Quiet hours hold back all but urgent ones.
const (
	Info    Level = "info"
	Warning Level = "warning"
	Urgent  Level = "urgent"
)

// Notice is something that the owner should know. It holds no secrets: it leaves the machine.
type Notice struct {
	ID       string      `json:"id"` // given by Tell
	Seq      int64       `json:"-"`  // rises with every notice of one outbox; given by Tell
	At       events.Unix `json:"at"` // now if unset
	Level    Level       `json:"level"`
	Incident string      `json:"incident,omitempty"` // what it is about; "" if it stands alone
	Over     bool        `json:"over"`               // the incident is over
	Title    string      `json:"title"`              // one line
	Text     string      `json:"text,omitempty"`
	Job      events.ID   `json:"job,omitempty"`
}

// Limits of a notice, in bytes.
const (
	maxTitle = 200
	maxText  = 4000
)

// check says what is wrong with a notice.
func (n *Notice) check() error {
	switch {
	case n.Title == "":
		return errors.New("notice: it has no title")
	case len(n.Title) > maxTitle || len(n.Text) > maxText || len(n.Incident) > maxTitle:
		return errors.New("notice: it is too long")
	case n.Level != Info && n.Level != Warning && n.Level != Urgent:
		return errors.New("notice: its level is none of info, warning, urgent")
	case n.Over && n.Incident == "":
		return errors.New("notice: no incident that could be over")
	}
	return nil
}

// Way is a way to tell a notice.
type Way interface {
	// Name names the way in the outbox: it stays the same over restarts.
	Name() string
	// Send tells a notice, and returns nil once it is told, or if there is nobody here to tell it to. A notice that is
	// sent twice can be recognised by its ID. Any error is tried again later.
	Send(ctx context.Context, n Notice) error
}
