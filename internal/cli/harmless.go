package cli

import (
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// Text of strangers may hold what moves a terminal's cursor, hides lines or changes its title. A person is shown a mark in
// its place; a program gets the text as it is.

// harmless keeps lines and tabs, and marks every other control character.
func harmless(s string) string { return mark(s, "\n\t") }

// cell is a text within one line.
func cell(s string) string { return mark(s, "") }

func mark(s, but string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && !strings.ContainsRune(but, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// shown is a text as it goes to stdout: harmless where a person reads.
func (a *app) shown(s string) string {
	if a.onTerminal() {
		return harmless(s)
	}
	return s
}

// onTerminal says whether stdout is a terminal.
func (a *app) onTerminal() bool {
	to := a.Out
	if out, ok := to.(*answer); ok {
		to = out.to
	}
	file, ok := to.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// marking is a writer of text that is always for people.
type marking struct{ io.Writer }

func (w marking) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.Writer, harmless(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
