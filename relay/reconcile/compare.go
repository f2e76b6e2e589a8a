package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Peer is one of two servers that are compared: it answers a message about what it has.
type Peer func(ctx context.Context, message string) (string, error)

// Difference is what only one of two servers has.
type Difference struct {
	First, Second [][32]byte
	Rounds        int
	Whole         bool // false if there is more, which another comparison finds
}

// maxMessage is how many bytes of ranges one message carries.
const maxMessage = 40_000

// maxRounds bounds how often a server may answer with something that brings no end.
const maxRounds = 20_000

// Compare finds in which events two servers differ, at most about so many at once. It has no set of its own: what one server
// says of a part of time is put to the other, until both have named what they have there. It costs the more, the more they
// differ, whatever they have in common.
func Compare(ctx context.Context, first, second Peer, most int) (d Difference, err error) {
	c := &comparison{Difference: Difference{Whole: true}, most: most}
	// a fingerprint that nothing has: the first server says what it has
	c.todo[0] = []Range{{Until: Infinity, Mode: Fingerprint}}
	peers := [2]Peer{first, second}
	for side := 0; len(c.todo[0])+len(c.todo[1]) > 0; side = 1 - side {
		if len(c.todo[side]) == 0 {
			continue
		}
		if c.Rounds++; c.Rounds > maxRounds {
			return c.Difference, errors.New("the two come to no end: one of them does not speak negentropy as it should")
		}
		asked := c.batch(side)
		answer, err := peers[side](ctx, Message(asked).String())
		if err != nil {
			return c.Difference, err
		}
		said, err := Parse(answer)
		if err != nil {
			return c.Difference, fmt.Errorf("negentropy: %w", err)
		}
		c.learn(side, asked, said)
		if len(c.First)+len(c.Second) >= c.most {
			c.Whole = false
			break
		}
	}
	return c.Difference, nil
}

type comparison struct {
	Difference
	most int
	todo [2][]Range // what the other side said of a range, to be put to this one; in order
}

// batch takes from what is to be put to a side as much as one message carries.
func (c *comparison) batch(side int) []Range {
	size, n := 0, 0
	for i := range c.todo[side] {
		r := &c.todo[side][i]
		if r.Mode == IDList && 32*len(r.IDs) > maxMessage/2 {
			shorten(r)
		}
		if size += 80 + 32*len(r.IDs); n > 0 && size > maxMessage {
			break
		}
		n++
	}
	asked := slices.Clone(c.todo[side][:n])
	c.todo[side] = c.todo[side][n:]
	return asked
}

// shorten says of a long list only its fingerprint.
func shorten(r *Range) {
	var s sum
	for _, id := range r.IDs {
		s.add(id)
	}
	r.Mode, r.Print, r.IDs = Fingerprint, s.print(), nil
}

// learn reads a side's answer to what it was asked.
func (c *comparison) learn(side int, asked []Range, said Message) {
	var next, again []Range
	for _, r := range said {
		if r.Mode == Skip {
			continue
		}
		i := slices.IndexFunc(asked, func(a Range) bool { return a.From.compare(r.From) <= 0 && r.Until.compare(a.Until) <= 0 })
		switch {
		case i < 0: // over several ranges: the answer was cut off, and this is about all that follows
			for _, a := range asked {
				switch {
				case a.Until.compare(r.From) <= 0:
				case a.From.compare(r.From) >= 0:
					again = append(again, a)
				default:
					next = append(next, Range{From: r.From, Until: a.Until, Mode: Fingerprint})
				}
			}
		case r.Mode == IDList && asked[i].Mode == IDList && asked[i].From == r.From && asked[i].Until == r.Until:
			c.differ(side, asked[i].IDs, r.IDs)
		default:
			next = append(next, r)
		}
	}
	c.todo[side] = merge(c.todo[side], again)
	c.todo[1-side] = merge(c.todo[1-side], next)
}

// merge puts ranges that do not overlap into their order.
func merge(a, b []Range) []Range {
	all := slices.Concat(a, b)
	slices.SortStableFunc(all, func(x, y Range) int { return x.From.compare(y.From) })
	return all
}

// differ holds what both have of a range against each other; side has theirs.
func (c *comparison) differ(side int, others, theirs [][32]byte) {
	lists := [2][][32]byte{theirs, others}
	if side == 1 {
		lists = [2][][32]byte{others, theirs}
	}
	c.First = append(c.First, without(lists[0], lists[1])...)
	c.Second = append(c.Second, without(lists[1], lists[0])...)
}

func without(all, known [][32]byte) (left [][32]byte) {
	have := make(map[[32]byte]bool, len(known))
	for _, id := range known {
		have[id] = true
	}
	for _, id := range all {
		if !have[id] {
			have[id] = true
			left = append(left, id)
		}
	}
	return left
}

func isVersion(err error) bool { return errors.Is(err, ErrVersion) }
