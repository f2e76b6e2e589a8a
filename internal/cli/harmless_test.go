package cli

import (
	"errors"
	"os"
	"strings"
	"testing"

	"infernet/consumer"
	"infernet/events"
)

func TestStrangersDoNotMoveTheCursor(t *testing.T) {
	const evil = "ok\x1b]0;owned\x07\x1b[2J\u009b1A\r\nnext\tcolumn"
	if got := harmless(evil); strings.ContainsAny(got, "\x1b\x07\r\u009b") || !strings.Contains(got, "\nnext\tcolumn") {
		t.Errorf("got %q", got)
	}
	refusal := &events.Refusal{Code: events.CodeDenied, Text: evil}
	for where, text := range map[string]string{"a cell": cell(evil), "an event": oneLine(refusal)} {
		if strings.ContainsAny(text, "\x1b\x07\r\n\t\u009b") {
			t.Errorf("%s: %q", where, text)
		}
	}
	for where, err := range map[string]error{
		"a refusal":   &consumer.RefusedError{Refusal: refusal},
		"a near name": &consumer.NoOffersError{Kind: 5050, Model: "x", Near: []string{evil}},
		"its own":     errors.New(evil),
	} {
		_, message, hint := explain(err, []string{"run", "hi"})
		if strings.ContainsAny(message+hint, "\x1b\x07\r\u009b") {
			t.Errorf("%s: %q, hint %q", where, message, hint)
		}
	}
}

// TestAnswersAtATerminalAreHarmless: also through the writer that remembers that stdout failed.
func TestAnswersAtATerminalAreHarmless(t *testing.T) {
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("a terminal is needed: %v", err)
	}
	defer tty.Close()
	a := &app{IO: IO{Out: &answer{to: tty}}}
	if got := a.shown("\x1b[2J"); strings.Contains(got, "\x1b") {
		t.Errorf("a terminal is shown %q", got)
	}
	a.Out = &answer{to: &strings.Builder{}}
	if got := a.shown("\x1b[2J"); got != "\x1b[2J" {
		t.Errorf("a program is given %q", got)
	}
}
