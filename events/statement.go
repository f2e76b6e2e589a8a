package events

import "github.com/nbd-wtf/go-nostr"

// Statement says where a customer's account at a node stands after one movement (7000). Always encrypted. A node that signs
// two of one seq with different sums, or sums that fall, is convicted by them.
type Statement struct {
	Head
	Job       ID     // the job that moved it
	To        PubKey // the customer
	Seq       int64  // 1, 2, 3 …: one for each movement
	Prev      ID     // the statement before; "" of the first
	Topped    Msat   // all that was ever paid in
	Drawn     Msat   // all that jobs have cost
	Withdrawn Msat   // all that was paid out, with what the way cost
	Open      Msat   // what jobs under way may still cost
}

// Balance is what the customer has there, and no job under way may cost.
func (m *Statement) Balance() Msat { return m.Topped - m.Drawn - m.Withdrawn - m.Open }

// Follows says whether a later statement of the same account can be true, if this one is: sums do not fall, and the next one
// names this as the one before.
func (m *Statement) Follows(old *Statement) bool {
	switch {
	case old == nil:
		return true
	case m.Author != old.Author || m.To != old.To:
		return false
	case m.Seq == old.Seq:
		return m.Topped == old.Topped && m.Drawn == old.Drawn && m.Withdrawn == old.Withdrawn
	case m.Seq == old.Seq+1 && m.Prev != old.ID:
		return false
	case m.Seq < old.Seq:
		return old.Follows(m)
	}
	return m.Topped >= old.Topped && m.Drawn >= old.Drawn && m.Withdrawn >= old.Withdrawn
}

// About is the job's id.
func (m *Statement) About() ID { return m.Job }

func (m *Statement) Event() *nostr.Event {
	w := feedback(m.Head, m.Job, m.To, statusSuccess, stepStatement)
	w.number("seq", m.Seq)
	w.text("prev", string(m.Prev))
	w.tag("topped", m.Topped.String())
	w.tag("drawn", m.Drawn.String())
	w.tag("withdrawn", m.Withdrawn.String())
	w.tag("open", m.Open.String())
	return w.end(m.Head, true)
}

func parseStatement(r *reader, status string) (Message, error) {
	r.expect(status, statusSuccess)
	m := &Statement{Head: r.head(), Job: r.needID("e"), To: r.needKey("p"), Seq: r.number("seq"), Prev: r.id("prev")}
	for name, to := range map[string]*Msat{"topped": &m.Topped, "drawn": &m.Drawn, "withdrawn": &m.Withdrawn, "open": &m.Open} {
		*to = Msat(r.parse(name, r.needText(name)))
	}
	switch {
	case m.Seq < 1:
		r.fail("tag %q: a statement's number begins at 1", "seq")
	case (m.Prev == "") != (m.Seq == 1):
		r.fail("tag %q: every statement but the first names the one before", "prev")
	case m.Drawn+m.Withdrawn+m.Open > m.Topped:
		r.fail("a statement of more than was paid in")
	}
	if !r.has("encrypted") {
		r.fail("a statement is always encrypted")
	}
	return m, r.err
}

// Credit lets a job be paid out of the customer's account at its node (`credit`): at most so much, once, and only with a
// result.
type Credit struct {
	Max  Msat
	Last ID // the newest statement that the customer knows
}
