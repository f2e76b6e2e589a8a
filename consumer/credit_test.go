package consumer

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/pool"
)

// TestStatementsThatCannotBothBeTrue shows a customer one statement after another: what follows is kept, older ones are known
// already, and what contradicts the last one convicts the node and is not kept.
func TestStatementsThatCannotBothBeTrue(t *testing.T) {
	l, err := ledger.Open(filepath.Join(t.TempDir(), "l.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p := pool.New(context.Background(), nil)
	defer p.Close()
	c, err := New(Config{Pool: p, Ledger: l})
	if err != nil {
		t.Fatal(err)
	}
	const node, me = events.PubKey("n"), events.PubKey("c")
	at := func(id events.ID, seq int64, prev events.ID, topped, drawn, withdrawn events.Msat) *events.Statement {
		return &events.Statement{Head: events.Head{ID: id, Author: node}, To: me, Seq: seq, Prev: prev, Topped: topped, Drawn: drawn, Withdrawn: withdrawn}
	}
	for _, s := range []struct {
		name string
		m    *events.Statement
		good bool
		last events.ID
	}{
		{"the first", at("1", 1, "", 100, 0, 0), true, "1"},
		{"the next", at("2", 2, "1", 100, 10, 0), true, "2"},
		{"one that was left out", at("4", 4, "3", 100, 10, 50), true, "4"},
		{"an older one", at("2", 2, "1", 100, 10, 0), true, "4"},
		{"the same again, signed later", at("4b", 4, "3", 100, 10, 50), true, "4b"},
		{"the same number, other sums", at("4c", 4, "3", 100, 11, 50), false, "4b"},
		{"more was drawn before than later", at("3", 3, "2", 100, 20, 50), false, "4b"},
		{"the next one of another history", at("5", 5, "4c", 100, 20, 50), false, "4b"},
		{"less was paid in", at("6", 6, "5", 90, 20, 50), false, "4b"},
		{"less was paid out", at("6", 6, "5", 100, 20, 40), false, "4b"},
		{"later, and right", at("6", 6, "5", 200, 20, 50), true, "6"},
	} {
		err := c.noteStatement(s.m)
		var wrong *StatementError
		if s.good != (err == nil) || !s.good && (!errors.As(err, &wrong) || wrong.New != s.m || wrong.Old.ID != s.last) {
			t.Errorf("%s: %v", s.name, err)
		}
		all, err := c.Statements()
		if err != nil || all[node] == nil || all[node].ID != s.last {
			t.Errorf("%s: then %+v, %v", s.name, all[node], err)
		}
	}
}
