package consumer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip13"

	"infernet/events"
	"infernet/internal/pool"
)

// A relay that many ask at once may want a little work of who is not known there (NIP-13). Then the job is made once more,
// with it.

const (
	maxWork  = 26 // bits; about a minute of one core
	maxMoves = 3  // how often a relay may ask for more
)

// workAsked is how many bits of work a relay wants that has refused a job for them; 0 if that is not why.
func workAsked(err error) (bits int) {
	var refused *pool.RefusedError
	if !errors.As(err, &refused) || refused.Prefix() != "pow" {
		return 0
	}
	for word := range strings.FieldsFuncSeq(refused.Reason, func(r rune) bool { return r < '0' || r > '9' }) {
		if n, err := strconv.Atoi(word); err == nil && n <= 256 {
			bits = max(bits, n) // what it wants is more than what it got
		}
	}
	return bits
}

// worker signs events that have work done for them.
type worker struct {
	events.Signer
	bits int
}

func (w worker) Sign(ctx context.Context, ev *nostr.Event) error {
	if w.bits > 0 {
		ev.PubKey = string(w.PublicKey())
		bounded, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		nonce, err := nip13.DoWork(bounded, *ev, w.bits)
		if err != nil {
			return fmt.Errorf("work for %d bits: %w", w.bits, err)
		}
		ev.Tags = append(ev.Tags, nonce)
	}
	return w.Signer.Sign(ctx, ev)
}

// worked buys an order once, with as much work as the relays want.
func (c *Consumer) worked(ctx context.Context, o Order, watch func(Step)) (*Delivery, error) {
	for move := 1; ; move++ {
		j, err := c.submit(ctx, o, watch)
		if err != nil {
			return nil, err
		}
		got, err := c.finish(ctx, j)
		bits := workAsked(err)
		if bits <= o.Work || bits > maxWork || move > maxMoves || j.storage > 0 || ctx.Err() != nil {
			return got, err
		}
		if watch != nil {
			watch(Step{Job: j.req.ID, Note: fmt.Sprintf("many ask there: the relay wants %d bits of work first", bits)})
		}
		o.Work, o.Retry = bits, j.req.ID
	}
}
