package cli

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"infernet/events"
)

// oneLine says what a message of a job says: time (UTC), step, who, id, facts.
func oneLine(m events.Message) string {
	h := m.Signed()
	name, facts := words(m)
	head := fmt.Sprintf("%s  %-8s by %s  %s", h.At.Time().UTC().Format("15:04:05"), name, cutKey(string(h.Author)), cutKey(string(h.ID)))
	return cell(strings.Join(append([]string{head}, facts...), "  "))
}

// words are a message's name and what it says, in short.
func words(m events.Message) (name string, facts []string) {
	say := func(format string, args ...any) { facts = append(facts, fmt.Sprintf(format, args...)) }
	switch m := m.(type) {
	case *events.Request:
		name = "request"
		say("kind %d", m.Kind)
		if model := m.Model(); model != "" {
			say("model %s", model)
		}
		if m.Bid != nil {
			say("up to %s", m.Bid.Human())
		}
		switch {
		case m.Bids == nil:
		case m.Bids.Mode == "first":
			say("the first offer of %d s", m.Bids.Seconds)
		default:
			say("offers for %d s", m.Bids.Seconds)
		}
		if m.Encrypted {
			say("encrypted to %s", cutKey(string(m.To[0])))
		}
		if m.Order != "" {
			say("orders offer %s", cutKey(string(m.Order)))
		}
	case *events.Offer:
		name = "offer"
		say("%s", m.Amount.Human())
		if m.Model != "" {
			say("%s", m.Model)
		}
		if m.Pay == m.Delivery && m.Pay != "" {
			say("%s", m.Pay)
		} else if m.Pay != "" {
			say("%s, %s", m.Pay, m.Delivery)
		}
		if m.ETA > 0 {
			say("in about %.1f s", float64(m.ETA)/1000)
		}
	case *events.Refusal:
		name = "refusal"
		say("%s", m.Error())
		if m.Owed > 0 {
			say("owes %s", m.Owed.Human())
		}
	case *events.Award:
		name = "award"
		say("%s", m.Amount.Human())
		say("to %s", cutKey(string(m.Node)))
	case *events.Invoice:
		name = "invoice"
		say("%s", m.Amount.Human())
		say("%s…", m.Bolt11[:min(24, len(m.Bolt11))])
	case *events.Running:
		name = "running"
		if m.Lease > 0 {
			say("lease until %s", m.Lease.Time().UTC().Format("15:04:05"))
		}
		if m.Progress > 0 {
			say("%d %%", m.Progress)
		}
	case *events.Chunk:
		name = "chunk"
		say("#%d", m.Seq)
		say("%d bytes", len(m.Delta))
	case *events.Result:
		name = "result"
		say("%d bytes", len(m.Content))
		if m.Model != "" {
			say("%s", m.Model)
		}
		if m.Usage.In+m.Usage.Out > 0 {
			say("%d in, %d out", m.Usage.In, m.Usage.Out)
		}
		if m.Sealed != nil {
			say("sealed, opens for %s", m.Amount.Human())
		} else if m.Encrypted {
			say("encrypted")
		}
	case *events.Receipt:
		name = "receipt"
		say("%s received", m.Amount.Human())
		say("for result %s", cutKey(string(m.Result)))
	case *events.Cancel:
		name = "cancel"
	case *events.Review:
		name = "review"
		say("%d of 5", m.Rating)
	case *events.Closed:
		name = "closed"
		say("encrypted to %s", cutKey(string(m.To)))
	case *events.Notice:
		name = "notice"
		say("%s %s", m.Status, m.Text)
	default:
		name = fmt.Sprintf("%T", m)
	}
	return name, facts
}

// fold breaks a line of the conversation between its parts where a terminal is too narrow for it.
func (a *app) fold(line, between string) string {
	file, ok := a.Err.(*os.File)
	if !ok {
		return line
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil || width < 20 {
		return line
	}
	return foldTo(line, between, width)
}

func foldTo(line, between string, width int) string {
	var out strings.Builder
	at := 0
	for i, part := range strings.Split(line, between) {
		n := len([]rune(between + part))
		switch {
		case i == 0:
			n = len([]rune(part))
		case at+n > width:
			out.WriteString("\n          ")
			at, n = 10, n-len([]rune(between))
		default:
			out.WriteString(between)
		}
		out.WriteString(part)
		at += n
	}
	return out.String()
}

// cutKey is a key or id as people can compare it.
func cutKey(s string) string { return s[:min(8, len(s))] }
