// Package reconcile finds out in which events two sets differ (NIP-77, negentropy version 1): what its messages hold, a set
// as a server keeps it, and Compare, which holds two servers against each other without a set of its own.
//
// Messages come from strangers. Parse refuses whatever the library that answers them could stumble over: bounds that do not
// rise, lengths beyond the message, numbers that overflow.
package reconcile

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
)

// Version is the first byte of a message.
const Version = 0x61

// ErrVersion is a message of another version than ours.
var ErrVersion = errors.New("negentropy of another version")

// Mode says what a range holds.
type Mode int

// Modes.
const (
	Skip        Mode = 0
	Fingerprint Mode = 1
	IDList      Mode = 2
)

// Bound is where a range ends, itself not within it: a time, and of that second an id.
type Bound struct {
	At uint64
	ID [32]byte
}

// Infinity is the bound of all.
var Infinity = Bound{At: math.MaxUint64}

func (b Bound) compare(c Bound) int {
	return cmp.Or(cmp.Compare(b.At, c.At), bytes.Compare(b.ID[:], c.ID[:]))
}

// Range is a part of time with what its sender has there.
type Range struct {
	From, Until Bound
	Mode        Mode
	Print       [16]byte   // of Fingerprint
	IDs         [][32]byte // of IDList
}

// Message is ranges that follow each other, from the beginning of time.
type Message []Range

// maxTime is the latest second taken: far above all that is real, far below where sums overflow.
const maxTime = 1 << 40

// Parse reads a message in hex, as NIP-77 carries it. The error wraps ErrVersion for one of another version.
func Parse(text string) (Message, error) {
	raw, err := hex.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("not hex: %w", err)
	}
	r := &reader{rest: raw}
	if v := r.byte(); r.err == nil && v != Version {
		return nil, fmt.Errorf("%w: %#x", ErrVersion, v)
	}
	var m Message
	var from Bound
	for r.err == nil && len(r.rest) > 0 {
		one := Range{From: from, Until: r.bound(), Mode: Mode(r.number(2))}
		switch {
		case r.err != nil:
		case from == Infinity:
			r.fail("a range after the end of time")
		case one.Until.compare(from) < 0 || one.Until == from && len(m) > 0 && one.Mode != Skip:
			r.fail("range %d ends before it begins", len(m))
		case one.Mode == Fingerprint:
			copy(one.Print[:], r.take(len(one.Print)))
		case one.Mode == IDList:
			n := r.number(uint64(len(r.rest) / 32))
			for range n {
				one.IDs = append(one.IDs, [32]byte(r.take(32)))
			}
		}
		m = append(m, one)
		from = one.Until
	}
	if r.err != nil {
		return nil, r.err
	}
	return m, nil
}

type reader struct {
	rest []byte
	last uint64 // the time of the bound before
	err  error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *reader) take(n int) []byte {
	if r.err != nil || n > len(r.rest) {
		r.fail("it ends too early")
		return make([]byte, n)
	}
	head := r.rest[:n]
	r.rest = r.rest[n:]
	return head
}

func (r *reader) byte() byte { return r.take(1)[0] }

// number reads a number that is at most so large.
func (r *reader) number(most uint64) (n uint64) {
	for i := 0; r.err == nil; i++ {
		b := r.byte()
		n = n<<7 | uint64(b&0x7f)
		switch {
		case i > 8 || n > most:
			r.fail("a number above %d", most)
		case b&0x80 == 0 && r.err == nil:
			return n
		}
	}
	return 0
}

func (r *reader) bound() (b Bound) {
	delta := r.number(maxTime)
	n := int(r.number(32))
	copy(b.ID[:], r.take(n))
	if delta == 0 {
		if n > 0 {
			r.fail("the end of time has no id")
		}
		return Infinity
	}
	b.At = r.last + delta - 1
	if b.At > maxTime {
		r.fail("a time that is not real")
	}
	r.last = b.At
	return b
}

// String is the message as NIP-77 carries it. What lies between two ranges is skipped.
func (m Message) String() string {
	out := []byte{Version}
	var last uint64
	var at Bound
	bound := func(b Bound) {
		if b == Infinity {
			out = append(out, 0, 0)
			return
		}
		out = number(out, b.At-last+1)
		last = b.At
		id := bytes.TrimRight(b.ID[:], "\x00")
		out = number(out, uint64(len(id)))
		out = append(out, id...)
	}
	for _, r := range m {
		if r.From != at {
			bound(r.From)
			out = append(out, byte(Skip))
		}
		at = r.Until
		bound(r.Until)
		out = append(out, byte(r.Mode))
		switch r.Mode {
		case Fingerprint:
			out = append(out, r.Print[:]...)
		case IDList:
			out = number(out, uint64(len(r.IDs)))
			for _, id := range r.IDs {
				out = append(out, id[:]...)
			}
		}
	}
	return hex.EncodeToString(out)
}

func number(out []byte, n uint64) []byte {
	var digits []byte
	for {
		digits = append(digits, byte(n&0x7f))
		if n >>= 7; n == 0 {
			break
		}
	}
	for i := len(digits) - 1; i > 0; i-- {
		out = append(out, digits[i]|0x80)
	}
	return append(out, digits[0])
}

// sum adds ids up, as a fingerprint is made of.
type sum struct {
	total [32]byte // little-endian
	n     uint64
}

func (s *sum) add(id [32]byte) {
	carry := uint(0)
	for i := range s.total {
		carry += uint(s.total[i]) + uint(id[i])
		s.total[i] = byte(carry)
		carry >>= 8
	}
	s.n++
}

func (s *sum) print() [16]byte {
	hash := sha256.Sum256(number(s.total[:], s.n))
	return [16]byte(hash[:16])
}
