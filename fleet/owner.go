package fleet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/pool"
)

// Owner is the owner's side: it commands nodes from anywhere, through relays that it shares with them.
type Owner struct {
	Signer events.Signer
	Pool   *pool.Pool
	Now    func() time.Time // the system's clock if unset
	Every  time.Duration    // how often Watch looks whether somebody is missed; 5 s if unset

	mu  sync.Mutex
	seq int64
}

// ErrSilent says that a node did not answer.
var ErrSilent = errors.New("the node does not answer")

func (o *Owner) now() time.Time {
	if o.Now == nil {
		return time.Now()
	}
	return o.Now()
}

// number gives a command's seq: milliseconds, so that an owner's devices go on from each other.
func (o *Owner) number(least int64) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seq = max(o.now().UnixMilli(), o.seq+1, least)
	return o.seq
}

// Call has a node do something and waits for its answer, while ctx lasts. The answer is read into result, unless that is nil.
// Errors: ErrSilent, *Error.
func (o *Owner) Call(ctx context.Context, node events.PubKey, method string, params, result any) error {
	err := o.call(ctx, node, method, o.number(0), params, result)
	var no *Error
	if errors.As(err, &no) && no.Code == CodeStale && no.Seq > 0 { // another device of the owner's is ahead
		err = o.call(ctx, node, method, o.number(no.Seq+1), params, result)
	}
	return err
}

func (o *Owner) call(ctx context.Context, node events.PubKey, method string, seq int64, params, result any) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, err := json.Marshal(params)
	if err != nil {
		return err
	}
	now := o.now()
	asked := command{ID: rand.Text(), Seq: seq, Exp: events.At(now.Add(Fresh)), Method: method, Params: body}
	ev, err := seal(ctx, o.Signer, node, now, asked)
	if err != nil {
		return err
	}
	me := string(o.Signer.PublicKey())
	since := nostr.Timestamp(now.Add(-Fresh).Unix())
	answers := o.Pool.Subscribe(ctx, nostr.Filter{Kinds: []int{KindCommand}, Authors: []string{string(node)}, Tags: nostr.TagMap{"p": {me}}, Since: &since})
	select { // an answer is not kept by relays: who asks listens first
	case <-answers.EOSE:
	case <-ctx.Done():
		return silent(node, ctx)
	}
	if err := o.Pool.Publish(ctx, ev); err != nil {
		return fmt.Errorf("command %s: %w", method, err)
	}
	for ev := range answers.Events {
		plain, err := o.Signer.Decrypt(ctx, node, ev.Content)
		var got answer
		if err != nil || json.Unmarshal([]byte(plain), &got) != nil || got.ID != asked.ID {
			continue
		}
		if got.Error != nil {
			return got.Error
		}
		if result == nil {
			return nil
		}
		if err := json.Unmarshal(got.Result, result); err != nil {
			return fmt.Errorf("the node's answer to %s: %w", method, err)
		}
		return nil
	}
	return silent(node, ctx)
}

func silent(node events.PubKey, ctx context.Context) error {
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %s", ErrSilent, node)
}
