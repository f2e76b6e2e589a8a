package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"golang.org/x/term"
)

// columns writes a table. On a terminal it is as wide as that: what is too long is cut, or goes on in the next line where it
// is text. A program gets all of it.
func (a *app) columns(head string, rows func(w io.Writer)) error {
	w := tabwriter.NewWriter(marking{a.Out}, 0, 4, 2, ' ', 0)
	width := a.width()
	if width == 0 {
		fmt.Fprintln(w, head)
		rows(w)
		return w.Flush()
	}
	var all strings.Builder
	fmt.Fprintln(&all, head)
	rows(&all)
	var cells [][]string
	for line := range strings.SplitSeq(strings.TrimSuffix(all.String(), "\n"), "\n") {
		cells = append(cells, strings.Split(line, "\t"))
	}
	for _, row := range fitted(cells, width) {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// width is how wide the terminal is that stdout goes to; 0 where it goes elsewhere.
func (a *app) width() int {
	to := a.Out
	if out, ok := to.(*answer); ok {
		to = out.to
	}
	file, ok := to.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil || width < 40 {
		return 0
	}
	return width
}

// minColumn is how narrow a column may become, in characters.
const minColumn = 8

// texts are the columns whose cells go on in the next line, rather than being cut.
var texts = []string{"NOTICE", "VALUE", "WHY"}

// fitted is a table, its head first, whose lines fit a width: the widest columns become narrower, as far as needed.
func fitted(cells [][]string, width int) [][]string {
	wide := make([]int, len(cells[0]))
	for _, row := range cells {
		for i, cell := range row[:min(len(row), len(wide))] {
			wide[i] = max(wide[i], len([]rune(cell)))
		}
	}
	over := 2*(len(wide)-1) - width
	for _, n := range wide {
		over += n
	}
	for ; over > 0; over-- {
		i := slices.Index(wide, slices.Max(wide))
		if wide[i] <= minColumn {
			break
		}
		wide[i]--
	}
	var fit [][]string
	for _, row := range cells {
		lines := [][]string{make([]string, len(row))}
		for i, cell := range row {
			pieces := []string{cell}
			switch {
			case i >= len(wide):
			case slices.Contains(texts, cells[0][i]):
				pieces = folded(cell, wide[i])
			default:
				pieces[0] = short(cell, wide[i])
			}
			for n, piece := range pieces {
				if n == len(lines) {
					lines = append(lines, make([]string, len(row)))
				}
				lines[n][i] = piece
			}
		}
		fit = append(fit, lines...)
	}
	return fit
}

// folded breaks a text into lines between its words, and words that are longer.
func folded(text string, width int) (lines []string) {
	line := []rune{}
	for word := range strings.SplitSeq(text, " ") {
		next := []rune(word)
		if len(line) > 0 && len(line)+1+len(next) > width {
			lines, line = append(lines, string(line)), nil
		} else if len(line) > 0 {
			next = append(append(line, ' '), next...)
		}
		for line = next; len(line) > width; line = line[width:] {
			lines = append(lines, string(line[:width]))
		}
	}
	return append(lines, string(line))
}
