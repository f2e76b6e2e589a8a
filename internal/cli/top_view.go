package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"

	"infernet/fleet"
)

var (
	faint = lipgloss.NewStyle().Faint(true)
	bold  = lipgloss.NewStyle().Bold(true)
	good  = lipgloss.NewStyle().Foreground(lipgloss.Green)
	alarm = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
	warm  = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
)

// in draws a text in a style, where there are colours.
func (b *board) in(style lipgloss.Style, text string) string {
	if !b.colour {
		return text
	}
	return style.Render(text)
}

// name is what a node is called.
func (b *board) name(i int) string {
	if s := b.seen[i]; s.Name != "" {
		return cell(s.Name)
	}
	if b.nodes != nil && b.nodes[i].name != "" {
		return b.nodes[i].name
	}
	return "this node"
}

// frame is the whole screen: the list of nodes if there are several, the chosen one, and the keys.
func (b *board) frame() string {
	var top strings.Builder
	if len(b.nodes) > 1 {
		most := max(1, min(len(b.nodes), b.height/2)) // the rest is reached by the arrows
		first := max(0, min(b.at-most/2, len(b.nodes)-most))
		for i := first; i < first+most; i++ {
			line := b.row(i)
			if i == b.at {
				line = "> " + line
			} else {
				line = "  " + line
			}
			top.WriteString(b.fit(line, b.width) + "\n")
		}
	}
	keys := "q ends   p pauses   r resumes"
	if len(b.nodes) > 1 {
		keys += "   ↑↓ choose"
	}
	if b.said != "" {
		keys += "   " + cell(b.said)
	}
	used := strings.Count(top.String(), "\n")
	body := strings.Split(strings.TrimSuffix(b.details(b.width, max(0, b.height-used-1)), "\n"), "\n")
	room := max(0, b.height-used-1)
	body = body[:min(len(body), room)]
	for len(body) < room {
		body = append(body, "")
	}
	if room > 0 {
		top.WriteString(strings.Join(body, "\n") + "\n")
	}
	return top.String() + b.fit(b.in(faint, keys), b.width)
}

// fit cuts a line to a width; a wider one would break, and push the rest off the screen.
func (b *board) fit(line string, width int) string {
	if width <= 0 {
		return line
	}
	return ansi.Truncate(line, width, "…")
}

// row is a node in one line.
func (b *board) row(i int) string {
	s := b.seen[i]
	switch {
	case s.Report == nil && s.Error != "":
		return fmt.Sprintf("%-16s %s", b.name(i), b.in(alarm, cell(s.Error)))
	case s.Report == nil:
		return fmt.Sprintf("%-16s %s", b.name(i), b.in(faint, "asks…"))
	}
	r := s.Report
	return fmt.Sprintf("%-16s %s %d/%d slots %d wait  %s today%s", b.name(i), b.state(&s), r.Running, r.Slots, r.Waiting, r.Today.Paid.Human(), b.alerts(len(s.Open)))
}

func (b *board) alerts(n int) string {
	if n == 0 {
		return ""
	}
	return "  " + b.in(alarm, fmt.Sprintf("alerts: %d", n))
}

func (b *board) state(s *seen) string {
	text := fmt.Sprintf("%-9s", s.Report.State)
	switch {
	case s.Error != "":
		return b.in(alarm, fmt.Sprintf("%-9s", "silent"))
	case s.Report.Why != "":
		return b.in(warm, text)
	}
	return b.in(good, text)
}

// details are all about the chosen node; with a height the list of jobs is as long as there is room.
func (b *board) details(width, height int) string {
	s := &b.seen[b.at]
	var lines []string
	line := func(what, format string, args ...any) {
		lines = append(lines, b.fit(fmt.Sprintf("%s %s", b.in(faint, fmt.Sprintf("%-8s", what)), fmt.Sprintf(format, args...)), width))
	}
	if s.Report == nil {
		what := "asks " + b.name(b.at) + " …"
		if s.Error != "" {
			what = b.in(alarm, b.name(b.at)+": "+cell(s.Error))
		}
		return b.fit(what, width) + "\n"
	}
	r := s.Report
	state := b.state(s)
	if r.Why != "" {
		state += " " + cell(r.Why)
	}
	line("node", "%s  %s  up %s  version %s", b.in(bold, cell(r.Name)), state, roughly(s.at.Sub(r.Since.Time())), cell(r.Version))
	if s.Error != "" {
		line("silent", "%s", b.in(alarm, fmt.Sprintf("for %s: %s", roughly(time.Since(s.at)), cell(s.Error))))
	}
	line("jobs", "%d of %d slots %s  %d wait  %d open", r.Running, r.Slots, gauge(100*float64(r.Running)/float64(max(1, r.Slots)), 10), r.Waiting, r.Open)
	line("today", "%s  %d jobs: %d delivered, %d failed%s", b.in(bold, r.Today.Paid.Human()), r.Today.Jobs, r.Today.Delivered, r.Today.Failed, owes(r.Today.Owed))
	line("7 days", "%s", week(s.Days))
	line("cpu", "%s %s  memory %s of %s  disk %s free", spark(s.Samples, func(x *fleet.Sample) float64 { return x.CPU }), percent(r.Load, func(x *fleet.Sample) float64 { return x.CPU }),
		used(r), size(r.Machine.Memory), free(r))
	for _, c := range r.Machine.Cards {
		line("gpu", "%s %s  %s", spark(s.Samples, func(x *fleet.Sample) float64 { return busy(x, c.ID) }), cell(c.Name), b.card(&c, r.Load))
	}
	for _, relay := range r.Seen {
		shown := cell(relay.URL)
		if !relay.Connected {
			shown = b.in(alarm, shown+" does not answer")
		}
		line("relay", "%s", shown)
	}
	for _, incident := range s.Open {
		line("alert", "%s", b.in(alarm, cell(incident)))
	}
	rows := s.Jobs
	if height > 0 {
		rows = rows[:max(0, min(len(rows), height-len(lines)-2))]
	}
	if len(rows) > 0 {
		lines = append(lines, "", b.fit(b.in(faint, fmt.Sprintf("%-9s %-9s %-24s %8s %8s %10s %14s  %s", "JOB", "TAKEN", "MODEL", "IN", "OUT", "TIME", "PAID", "STATE")), width))
	}
	for _, j := range rows {
		lines = append(lines, b.fit(fmt.Sprintf("%-9s %-9s %-24s %8d %8d %10s %14s  %s", cutKey(string(j.ID)), j.At.Time().Local().Format(time.TimeOnly),
			ansi.Truncate(cell(or(j.Model, "-")), 24, "…"), j.In, j.Out, time.Duration(j.Ms)*time.Millisecond, j.Paid.Human(), stateWord(j.End)), width))
	}
	return strings.Join(lines, "\n") + "\n"
}

// card is how a card does; a lost one is loud.
func (b *board) card(c *fleet.Card, load *fleet.Sample) string {
	if load == nil {
		return "not read yet"
	}
	text := cardLine(c, load)
	if slices.Contains(load.Lost, c.ID) {
		return b.in(alarm, text)
	}
	return text
}

func used(r *fleet.Report) string {
	if r.Load == nil {
		return "?"
	}
	return size(r.Load.Memory)
}

func free(r *fleet.Report) string {
	if r.Load == nil {
		return "?"
	}
	return size(r.Load.Free)
}

func percent(s *fleet.Sample, of func(*fleet.Sample) float64) string {
	if s == nil {
		return "?"
	}
	return knownAs(of(s), " %")
}

func busy(s *fleet.Sample, card string) float64 {
	for _, r := range s.Cards {
		if r.ID == card {
			return r.Busy
		}
	}
	return -1
}

// bars are the heights of a bar, lowest first.
var bars = []rune("▁▂▃▄▅▆▇█")

// sparkWide is how many samples a line of bars shows.
const sparkWide = 20

// spark draws the newest samples, of 0 to 100, as bars; a space is not known.
func spark(samples []fleet.Sample, of func(*fleet.Sample) float64) string {
	var out strings.Builder
	samples = samples[max(0, len(samples)-sparkWide):]
	for range sparkWide - len(samples) {
		out.WriteByte(' ')
	}
	for i := range samples {
		if v := of(&samples[i]); v < 0 {
			out.WriteByte(' ')
		} else {
			out.WriteRune(bar(v, 100))
		}
	}
	return out.String()
}

func bar(v, most float64) rune {
	if most <= 0 {
		return bars[0]
	}
	return bars[min(len(bars)-1, max(0, int(v/most*float64(len(bars)))))]
}

// gauge draws a share of 100 as a row of blocks.
func gauge(percent float64, wide int) string {
	full := min(wide, max(0, int(percent/100*float64(wide)+0.5)))
	return strings.Repeat("█", full) + strings.Repeat("░", wide-full)
}

// week draws what the last days have earned, oldest first.
func week(days []fleet.Day) string {
	var most float64
	for _, d := range days {
		most = max(most, float64(d.Paid))
	}
	var out strings.Builder
	for _, d := range slices.Backward(days) {
		out.WriteRune(bar(float64(d.Paid), most))
	}
	var sum fleet.Sum
	for _, d := range days {
		sum.Paid, sum.Jobs = sum.Paid+d.Paid, sum.Jobs+d.Jobs
	}
	return fmt.Sprintf("%s  %s, %d jobs", out.String(), sum.Paid.Human(), sum.Jobs)
}
