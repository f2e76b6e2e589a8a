package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/pool"
)

// Node is the node's side: it hears the commands of its owners and answers them.
type Node struct {
	Signer  events.Signer
	Pool    *pool.Pool
	Owners  *Owners
	Methods map[string]Method
	Who     func() Identity                                             // answers Claim
	Set     func(ctx context.Context, settings map[string]string) error // applies lasting settings, all or none
	Changed func()                                                      // there is an owner, or another code; may be nil
	Log     *slog.Logger
	Now     func() time.Time // the system's clock if unset

	mu      sync.Mutex
	seen    map[string]time.Time // events that were looked at, as long as they are fresh
	second  int64
	heard   map[events.PubKey]int // in this second
	refused string                // why the newest lasting settings were not applied; "" if they were
}

// maxHeard is how many commands of one key, and how many claims of all keys, are looked at in a second.
const maxHeard = 20

// Run obeys until ctx ends.
func (n *Node) Run(ctx context.Context) error {
	if n.Now == nil {
		n.Now = time.Now
	}
	n.seen, n.heard = map[string]time.Time{}, map[events.PubKey]int{}
	var working sync.WaitGroup
	defer working.Wait()
	for ctx.Err() == nil {
		owners := n.Owners.Keys()
		hearing, stop := context.WithCancel(ctx)
		working.Go(func() { n.follow(hearing, stop) })
		for ev := range n.Pool.Subscribe(hearing, n.filters(owners)...).Events {
			if ev.Kind == KindLasting {
				n.last(ctx, ev)
			} else if n.wants(ev) {
				working.Go(func() { n.obey(ctx, ev, stop) })
			}
		}
		stop()
	}
	return ctx.Err()
}

// follow listens anew when another process has changed who the owner is.
func (n *Node) follow(ctx context.Context, again func()) {
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		changed, err := n.Owners.look()
		if err != nil {
			n.Log.Error("who owns the node is not known", "err", err)
		}
		if changed {
			if n.Changed != nil {
				n.Changed()
			}
			again()
		}
	}
}

// filters ask for what the node obeys: relays keep the rest to themselves.
func (n *Node) filters(owners []events.PubKey) nostr.Filters {
	me := string(n.Signer.PublicKey())
	since := nostr.Timestamp(n.Now().Add(-Fresh).Unix())
	commands := nostr.Filter{Kinds: []int{KindCommand}, Tags: nostr.TagMap{"p": {me}}, Since: &since}
	if len(owners) == 0 {
		return nostr.Filters{commands} // whoever knows the code
	}
	for _, key := range owners {
		commands.Authors = append(commands.Authors, string(key))
	}
	return nostr.Filters{commands, {Kinds: []int{KindLasting}, Authors: commands.Authors, Tags: nostr.TagMap{"d": {lastingName(n.Signer.PublicKey())}}}}
}

// wants says whether a command is looked at, before anything is decrypted: it is of an owner, or there is none yet; it is
// fresh, was not seen, and is not one of too many.
func (n *Node) wants(ev *nostr.Event) bool {
	from, now := events.PubKey(ev.PubKey), n.Now()
	if ev.Kind != KindCommand || ev.Tags.FindWithValue("p", string(n.Signer.PublicKey())) == nil || from == n.Signer.PublicKey() {
		return false
	}
	if !n.Owners.Obeys(from) {
		if n.Owners.Code() == "" {
			return false
		}
		from = "" // strangers are one
	}
	if age := now.Sub(ev.CreatedAt.Time()); age.Abs() > Fresh {
		n.Log.Debug("a command is not fresh", "id", ev.ID, "age", age)
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, again := n.seen[ev.ID]; again {
		return false
	}
	if now.Unix() != n.second {
		n.second = now.Unix()
		clear(n.heard)
		for id, at := range n.seen {
			if now.Sub(at) > 3*Fresh {
				delete(n.seen, id)
			}
		}
	}
	if n.heard[from]++; n.heard[from] > maxHeard {
		return false
	}
	n.seen[ev.ID] = now
	return true
}

// obey does what a command asks for and answers it. again has the node listen anew: it has got an owner.
func (n *Node) obey(ctx context.Context, ev *nostr.Event, again func()) {
	from := events.PubKey(ev.PubKey)
	plain, err := n.Signer.Decrypt(ctx, from, ev.Content)
	var asked command
	if err == nil {
		err = json.Unmarshal([]byte(plain), &asked)
	}
	if err == nil && (asked.ID == "" || len(asked.ID) > 64 || asked.Method == "") {
		err = errors.New("no id, or no method")
	}
	if err != nil { // an answer, or nothing that is ours
		n.Log.Debug("not a command", "id", ev.ID, "err", err)
		return
	}
	out := answer{ID: asked.ID}
	out.Result, out.Error = n.judge(ctx, from, &asked)
	if asked.Method == Claim && out.Error == nil {
		defer again()
	}
	if asked.Method == Claim && n.Changed != nil {
		n.Changed()
	}
	level := slog.LevelInfo
	if out.Error != nil {
		level = slog.LevelWarn
	}
	n.Log.Log(ctx, level, "a command", "from", from, "method", asked.Method, "error", text(out.Error))
	reply, err := seal(ctx, n.Signer, from, n.Now(), out)
	if err == nil {
		err = n.Pool.Publish(ctx, reply)
	}
	if err != nil && ctx.Err() == nil {
		n.Log.Warn("a command is not answered", "method", asked.Method, "err", err)
	}
}

func text(e *Error) string {
	if e == nil {
		return ""
	}
	return e.Error()
}

// judge answers a command, if it may be obeyed.
func (n *Node) judge(ctx context.Context, from events.PubKey, asked *command) (json.RawMessage, *Error) {
	now := events.At(n.Now())
	if asked.Exp < now || asked.Exp > now.Add(maxExp+Fresh) {
		return nil, Refuse(CodeStale, "exp %d is not soon after %d", asked.Exp, now)
	}
	owner := n.Owners.Obeys(from)
	if asked.Method == Claim && !owner {
		var in ClaimAsked
		if json.Unmarshal(asked.Params, &in) != nil {
			return nil, Refuse(CodeInvalid, "claim: want a proof")
		}
		if err := n.Owners.claim(from, in.Proof); err != nil {
			return nil, refusal(err)
		}
		owner = true
	}
	if !owner {
		return nil, Refuse(CodeDenied, "this node is not yours")
	}
	if err := n.Owners.next(from, asked.Seq); err != nil {
		return nil, refusal(err)
	}
	if asked.Method == Claim {
		body, err := json.Marshal(n.Who())
		if err != nil {
			return nil, refusal(err)
		}
		return body, nil
	}
	return respond(ctx, n.Methods, asked.Method, asked.Params)
}

func refusal(err error) *Error {
	var no *Error
	if errors.As(err, &no) {
		return no
	}
	return Refuse(CodeFailed, "%v", err)
}

// Rev is the rev of the lasting settings in force, and why newer ones were refused.
func (n *Node) Rev() (rev int64, refused string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.Owners.rev(), n.refused
}

// last applies lasting settings whose rev is greater than the last: those of them that changed.
func (n *Node) last(ctx context.Context, ev *nostr.Event) {
	from := events.PubKey(ev.PubKey)
	if !n.Owners.Obeys(from) || ev.CreatedAt.Time().After(n.Now().Add(events.MaxFuture)) {
		return
	}
	fresh, err := openLasting(ctx, n.Signer, from, n.Signer.PublicKey(), ev)
	if err != nil {
		n.Log.Warn("lasting settings cannot be read", "from", from, "err", err)
		return
	}
	old, err := n.Owners.applied(from)
	if err != nil {
		n.Log.Error("lasting settings", "err", err)
		return
	}
	if fresh.Rev <= old.Rev {
		return
	}
	changed := map[string]string{}
	for name, value := range fresh.Settings {
		if was, had := old.Settings[name]; !had || was != value {
			changed[name] = value
		}
	}
	if len(changed) > 0 {
		err = n.Set(ctx, changed)
	}
	refused := ""
	if err != nil {
		refused = err.Error()
	} else if err = n.Owners.apply(from, fresh); err != nil {
		n.Log.Error("lasting settings", "err", err)
	}
	n.mu.Lock()
	n.refused = refused
	n.mu.Unlock()
	names := slices.Sorted(maps.Keys(changed))
	if refused != "" {
		n.Log.Warn("lasting settings are refused", "from", from, "rev", fresh.Rev, "names", strings.Join(names, " "), "err", refused)
		return
	}
	n.Log.Info("lasting settings", "from", from, "rev", fresh.Rev, "names", strings.Join(names, " "))
}
