package relay

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip45/hyperloglog"

	"infernet/relay/eventlog"
)

// maxCounted is how many events one COUNT counts. Of more it says so many, and that this is approximate.
const maxCounted = 500_000

// countedPerMessage is how many events that are looked at cost a connection as much as one message.
const countedPerMessage = 500

// count answers a COUNT (NIP-45): all filters together, no event twice.
func (s *session) count(ctx context.Context, body []byte) {
	m := &nostr.ReqEnvelope{} // the same but for its label, which it does not read; the library's own takes one filter only
	if err := m.FromJSON(string(body)); err != nil {
		s.notice("invalid: not a COUNT that this relay reads: " + cut(string(body), 80))
		return
	}
	why := s.refuseFilters(m)
	if why == "" && slices.ContainsFunc(m.Filters, func(f nostr.Filter) bool { return f.Search != "" }) {
		why = "unsupported: a search is not counted"
	}
	if why != "" {
		s.push(frame("CLOSED", m.SubscriptionID, why))
		return
	}
	c := &tally{registers: registersOf(m.Filters)}
	var ok bool
	if !s.r.inTurn(ctx, func(pause func() bool) { ok = s.r.store.count(ctx, m.Filters, c, s.shows(), pause) }) {
		return
	}
	s.tokens -= float64(c.looked) / countedPerMessage
	answer := map[string]any{"count": c.total()}
	switch {
	case !ok:
		answer["approximate"] = true
	case c.registers != nil:
		answer["hll"] = hex.EncodeToString(c.registers.GetRegisters())
	}
	s.push(frame("COUNT", m.SubscriptionID, answer))
}

// tally counts events, each once, by the first eight bytes of its id: who makes two that begin alike miscounts only its own.
type tally struct {
	ids       []uint64
	looked    int
	registers *hyperloglog.HyperLogLog // nil where the NIP names none
}

func (c *tally) add(id, author [32]byte) {
	c.ids = append(c.ids, binary.BigEndian.Uint64(id[:8]))
	if c.registers != nil {
		c.registers.AddBytes(author[:])
	}
}

func (c *tally) total() int {
	slices.Sort(c.ids)
	return min(len(slices.Compact(c.ids)), maxCounted)
}

// count counts what filters find; their limits do not matter. It says false if it has not counted all.
func (s *store) count(ctx context.Context, filters nostr.Filters, c *tally, show func(*nostr.Event) bool, pause func() bool) (all bool) {
	now := nostr.Timestamp(s.now().Unix())
	all = true
	for _, f := range filters {
		f.Limit, f.LimitZero = 0, false
		for _, ev := range s.underWay(f) {
			id, _ := rawID(ev.ID)
			author, _ := rawID(ev.PubKey)
			if !expired(ev, now) && (show == nil || show(ev)) {
				c.add(id, author)
			}
		}
		if c.roomy() {
			s.log.Query(ctx, eventlog.Search{Filter: f, Bytes: 1, Pause: func() bool {
				all = pause() && c.roomy()
				return all
			}, Keep: func(found *eventlog.Found) bool {
				if c.looked++; found.Expires > now && (show == nil || show(found.Event())) {
					c.add(found.ID, found.Author)
				}
				return false // nothing is gathered
			}})
		}
		if all = all && c.roomy(); !all {
			return false
		}
	}
	return all
}

// roomy makes room among what was counted; it says false when it is enough.
func (c *tally) roomy() bool {
	if len(c.ids) >= 2*maxCounted {
		slices.Sort(c.ids)
		c.ids = slices.Compact(c.ids)
	}
	return len(c.ids) < 2*maxCounted && c.looked < 4*maxCounted
}

// registersOf makes the registers of a count where the NIP says what they are: one filter with one tag.
func registersOf(filters nostr.Filters) *hyperloglog.HyperLogLog {
	if len(filters) != 1 || len(filters[0].Tags) != 1 {
		return nil
	}
	for _, values := range filters[0].Tags {
		if len(values) == 1 {
			return hyperloglog.New(offsetOf(values[0]))
		}
	}
	return nil
}

// offsetOf is where of an author's key the registers look, for a tag's value (NIP-45).
func offsetOf(value string) int {
	if parts := strings.SplitN(value, ":", 3); len(parts) == 3 && isHex64(parts[1]) {
		if kind, err := strconv.Atoi(parts[0]); err == nil && kind >= 0 && kind <= math.MaxUint16 {
			value = parts[1]
		}
	}
	if !isHex64(value) {
		sum := sha256.Sum256([]byte(value))
		value = hex.EncodeToString(sum[:])
	}
	digit, _ := strconv.ParseUint(value[32:33], 16, 8)
	return int(digit) + 8
}
