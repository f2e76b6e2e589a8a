package cli

import (
	"context"
	"errors"
	"io"
	"time"

	tea "charm.land/bubbletea/v2"

	"infernet/fleet"
)

// topLive shows nodes on a terminal until q, ctrl-C or ctx ends.
func (a *app) topLive(ctx context.Context, nodes []*watched, every time.Duration, in io.Reader, screen io.Writer) error {
	b := &board{ctx: ctx, nodes: nodes, every: every, seen: make([]seen, len(nodes)), width: 80, height: 24, colour: a.Env("NO_COLOR") == ""}
	_, err := tea.NewProgram(b, tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(screen), tea.WithWindowSize(b.width, b.height), tea.WithoutSignalHandler()).Run()
	if ctx.Err() != nil || errors.Is(err, tea.ErrInterrupted) {
		return nil
	}
	return err
}

// board is what is on the screen. It is changed by Update only, which is never called twice at once.
type board struct {
	ctx    context.Context // of the looks; a model cannot be handed one
	nodes  []*watched
	every  time.Duration
	seen   []seen // of each node
	at     int    // the node whose details are shown
	said   string // of the last command
	width  int
	height int
	colour bool
}

// seen is the last look at a node.
type seen struct {
	glance
	at time.Time // zero while there was none
}

// Messages of the board to itself.
type (
	sawMsg struct {
		node int
		glance
	}
	lookMsg struct{ node int }
	didMsg  struct{ text string }
)

var _ tea.Model = (*board)(nil)

// Init begins to look at every node.
func (b *board) Init() tea.Cmd {
	var all []tea.Cmd
	for i := range b.nodes {
		all = append(all, b.look(i))
	}
	return tea.Batch(all...)
}

func (b *board) look(i int) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(b.ctx, askIn)
		defer cancel()
		return sawMsg{i, b.nodes[i].look(ctx)}
	}
}

// order has the chosen node do something.
func (b *board) order(method string) tea.Cmd {
	w, name := b.nodes[b.at], b.name(b.at)
	return tea.Sequence(func() tea.Msg {
		ctx, cancel := context.WithTimeout(b.ctx, askIn)
		defer cancel()
		if err := w.call(ctx, method, nil, nil); err != nil {
			return didMsg{name + ": " + err.Error()}
		}
		return didMsg{name + " " + word(method)}
	}, b.look(b.at))
}

// Update takes a key, a new size, or what a node has answered.
func (b *board) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch m := msg.(type) {
	case tea.WindowSizeMsg:
		b.width, b.height = m.Width, m.Height
	case sawMsg:
		old := b.seen[m.node]
		if m.Error != "" && old.Report != nil { // what was seen last is better than nothing
			old.Error = m.Error
			b.seen[m.node] = old
		} else {
			b.seen[m.node] = seen{m.glance, time.Now()}
		}
		return b, tea.Tick(b.every, func(time.Time) tea.Msg { return lookMsg{m.node} })
	case lookMsg:
		return b, b.look(m.node)
	case didMsg:
		b.said = m.text
	case tea.KeyPressMsg:
		return b.key(m.String())
	}
	return b, nil
}

func (b *board) key(name string) (tea.Model, tea.Cmd) {
	switch name {
	case "q", "esc", "ctrl+c":
		return b, tea.Quit
	case "up", "k":
		b.at = max(0, b.at-1)
	case "down", "j":
		b.at = min(len(b.nodes)-1, b.at+1)
	case "p":
		return b, b.order(fleet.Pause)
	case "r":
		return b, b.order(fleet.Resume)
	}
	return b, nil
}

// View draws the screen.
func (b *board) View() tea.View {
	v := tea.NewView(b.frame())
	v.AltScreen = true
	v.WindowTitle = "infernet top"
	return v
}
