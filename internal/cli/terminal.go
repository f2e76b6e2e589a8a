package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// maxLine is the longest line that is read, in bytes.
const maxLine = 64 << 10

// terminal gives the file descriptor of stdin if a person types there.
func (a *app) terminal() (fd int, is bool) {
	file, ok := a.In.(*os.File)
	if !ok {
		return 0, false
	}
	return int(file.Fd()), term.IsTerminal(int(file.Fd()))
}

// until gives what read gives, or ctx's end, whichever is first: a read of stdin ends with the process at the latest.
func until[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type done struct {
		got T
		err error
	}
	got := make(chan done, 1)
	go func() {
		some, err := read()
		got <- done{some, err}
	}()
	select {
	case d := <-got:
		return d.got, d.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// readPassword reads a line that is not shown. The terminal shows again what is typed also after ctrl-C.
func (a *app) readPassword(ctx context.Context, fd int) (string, error) {
	shown, err := term.GetState(fd)
	if err != nil {
		return "", err
	}
	line, err := until(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	fmt.Fprintln(a.Err)
	if ctx.Err() != nil {
		err = errors.Join(err, term.Restore(fd, shown))
	}
	return string(line), err
}

// lines reads what is typed, a line at a time: with a prompt, editing and the lines before (arrow up) at a terminal, plain
// elsewhere.
type lines struct {
	fd      int
	editor  *term.Terminal // nil where nobody types
	scanner *bufio.Scanner
}

func (a *app) newLines(prompt string) *lines {
	l := &lines{}
	var typed bool
	if l.fd, typed = a.terminal(); typed {
		l.editor = term.NewTerminal(struct {
			io.Reader
			io.Writer
		}{a.In, a.Err}, prompt)
		return l
	}
	l.scanner = bufio.NewScanner(a.In)
	l.scanner.Buffer(nil, maxLine)
	return l
}

// next gives the next line; io.EOF at the end, which at a terminal is ctrl-D or ctrl-C.
func (l *lines) next(ctx context.Context) (string, error) {
	if l.editor != nil { // raw only while a line is typed: elsewhere ctrl-C interrupts
		cooked, err := term.MakeRaw(l.fd)
		if err != nil {
			return "", err
		}
		defer term.Restore(l.fd, cooked)
		if width, height, err := term.GetSize(l.fd); err == nil {
			l.editor.SetSize(width, height)
		}
	}
	return until(ctx, l.read)
}

func (l *lines) read() (string, error) {
	if l.editor != nil {
		line, err := l.editor.ReadLine()
		if errors.Is(err, term.ErrPasteIndicator) {
			err = nil
		}
		return line, err
	}
	if l.scanner.Scan() {
		return l.scanner.Text(), nil
	}
	if err := l.scanner.Err(); err != nil {
		return "", fmt.Errorf("read a line (at most %d bytes): %w", maxLine, err)
	}
	return "", io.EOF
}
