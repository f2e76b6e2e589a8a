package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/pool"
	"infernet/relay"
)

// bench is a node and a relay; the node counts what it was told.
type bench struct {
	t      *testing.T
	ctx    context.Context
	url    string
	path   string // of the node's ledger
	keys   *events.Keys
	owners *Owners
	node   *Node
	pool   *pool.Pool
	shift  atomic.Int64 // of the node's clock, nanoseconds
	obeyed atomic.Int64

	mu  sync.Mutex
	set []map[string]string
}

func start(t *testing.T, fixed ...events.PubKey) *bench {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b := &bench{t: t, ctx: ctx, keys: events.GenerateKeys(), path: filepath.Join(t.TempDir(), "node.db")}
	r, err := relay.Open(ctx, relay.Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	b.url = r.URL()
	var wait sync.WaitGroup
	wait.Go(func() { r.Run(ctx) })
	t.Cleanup(func() { cancel(); wait.Wait() })
	stop := b.open(fixed...)
	t.Cleanup(stop)
	return b
}

// open starts the node on its ledger, as after a restart.
func (b *bench) open(fixed ...events.PubKey) (stop func()) {
	b.t.Helper()
	l, err := ledger.Open(b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	if b.owners, err = OpenOwners(l, b.keys.PublicKey(), fixed); err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.ctx)
	b.pool = pool.New(ctx, []string{b.url}, pool.WithSigner(b.keys))
	b.node = &Node{
		Signer: b.keys, Pool: b.pool, Owners: b.owners, Log: slog.New(slog.DiscardHandler),
		Who: func() Identity { return Identity{Node: b.keys.PublicKey(), Name: "attic"} },
		Now: func() time.Time { return time.Now().Add(time.Duration(b.shift.Load())) },
		Set: func(_ context.Context, set map[string]string) error {
			if set["provide.slots"] == "many" {
				return errors.New("many is no number")
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			b.set = append(b.set, set)
			return nil
		},
		Methods: map[string]Method{Pause: func(context.Context, json.RawMessage) (any, error) {
			b.obeyed.Add(1)
			return map[string]bool{"paused": true}, nil
		}},
	}
	var wait sync.WaitGroup
	wait.Go(func() { b.node.Run(ctx) })
	return func() { cancel(); wait.Wait(); b.pool.Close(); l.Close() }
}

func (b *bench) owner(keys events.Signer) *Owner {
	p := pool.New(b.ctx, []string{b.url}, pool.WithSigner(keys))
	b.t.Cleanup(func() { p.Close() })
	return &Owner{Signer: keys, Pool: p}
}

func (b *bench) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(b.ctx, d)
	b.t.Cleanup(cancel)
	return ctx
}

// claimed makes a key the owner; the node is not listening yet, perhaps.
func (b *bench) claimed(o *Owner) {
	b.t.Helper()
	var who Identity
	for range 20 {
		var err error
		if who, err = o.Claim(b.within(2*time.Second), b.keys.PublicKey(), b.owners.Code()); err == nil {
			break
		}
		if !errors.Is(err, ErrSilent) {
			b.t.Fatal(err)
		}
	}
	if who.Name != "attic" {
		b.t.Fatal("nobody could claim the node")
	}
}

// pause has an owner say pause until it is heard.
func (b *bench) pause(o *Owner) {
	b.t.Helper()
	for range 20 {
		err := o.Call(b.within(time.Second), b.keys.PublicKey(), Pause, nil, nil)
		if err == nil {
			return
		}
		if !errors.Is(err, ErrSilent) {
			b.t.Fatal(err)
		}
	}
	b.t.Fatal("the node does not hear its owner")
}

func TestTheCodeMakesAnOwnerOnce(t *testing.T) {
	b := start(t)
	code := b.owners.Code()
	if len(code) != 11 {
		t.Fatalf("the code is %q", code)
	}
	first, second := b.owner(events.GenerateKeys()), b.owner(events.GenerateKeys())
	var no *Error
	for range 20 {
		if _, err := first.Claim(b.within(2*time.Second), b.keys.PublicKey(), "abcde-abcde"); errors.As(err, &no) {
			break
		}
	}
	if no == nil || no.Code != CodeDenied {
		t.Errorf("a wrong code: %v", no)
	}
	if err := first.Call(b.within(5*time.Second), b.keys.PublicKey(), Pause, nil, nil); !errors.As(err, &no) || no.Code != CodeDenied {
		t.Errorf("a stranger's command before there is an owner: %v", err)
	}
	b.claimed(first)
	if b.owners.Code() != "" || !b.owners.Obeys(first.Signer.PublicKey()) {
		t.Error("the node has no owner now")
	}
	b.pause(first)
	if _, err := second.Claim(b.within(time.Second), b.keys.PublicKey(), code); !errors.Is(err, ErrSilent) {
		t.Errorf("a second owner by the same code: %v", err)
	}
	if b.owners.Obeys(second.Signer.PublicKey()) {
		t.Error("the code was good twice")
	}
}

func TestGuessingTheCodeLeavesItToItsOwner(t *testing.T) {
	b := start(t)
	code := b.owners.Code()
	stranger, owner, imposter := events.GenerateKeys().PublicKey(), events.GenerateKeys().PublicKey(), events.GenerateKeys().PublicKey()
	proof := func(code string, node, owner events.PubKey) string {
		key, err := stretch(code, node)
		if err != nil {
			t.Fatal(err)
		}
		return proofOf(key, owner)
	}
	node := b.keys.PublicKey()
	right := proof(" "+strings.ToUpper(code), node, owner)
	for what, bad := range map[string]string{
		"nothing": "", "the code itself": code, "another code": proof("abcde-abcde", node, stranger),
		"what another key has said": right, "what was said to another node": proof(code, imposter, stranger),
	} {
		if err := b.owners.claim(stranger, bad); err == nil {
			t.Fatalf("%s makes an owner", what)
		}
	}
	for i := range 100 {
		if err := b.owners.claim(stranger, fmt.Sprint(i)); err == nil {
			t.Fatal("a guess was right")
		}
	}
	if b.owners.Code() != code {
		t.Error("guesses have changed the code that its owner is about to say")
	}
	if err := b.owners.claim(owner, right); err != nil || !b.owners.Obeys(owner) {
		t.Errorf("the right code: %v", err)
	}
}

func TestHostileCommandsAreNotObeyed(t *testing.T) {
	me := events.GenerateKeys()
	b := start(t, me.PublicKey())
	o := b.owner(me)
	b.pause(o)
	obeyed := b.obeyed.Load()
	node, ctx := b.keys.PublicKey(), b.within(20*time.Second)
	sign := func(s events.Signer, at time.Time, c command) *nostr.Event {
		t.Helper()
		ev, err := seal(ctx, s, node, at, c)
		if err != nil {
			t.Fatal(err)
		}
		return ev
	}
	now := time.Now()
	good := func(seq int64) command {
		return command{ID: fmt.Sprint(seq), Seq: seq, Exp: events.At(now.Add(Fresh)), Method: Pause}
	}
	next := now.UnixMilli() + 10_000
	stranger := b.owner(events.GenerateKeys())
	past := good(next)
	past.Exp = events.At(now.Add(-time.Second))
	far := good(next)
	far.Exp = events.At(now.Add(time.Hour))
	relabelled := sign(me, now, good(next))
	relabelled.PubKey = string(stranger.Signer.PublicKey())
	relabelled.ID = relabelled.GetID()
	for name, ev := range map[string]*nostr.Event{
		"a stranger's":                  sign(stranger.Signer, now, good(next)),
		"an old number":                 sign(me, now, good(1)),
		"over":                          sign(me, now, past),
		"one that holds for long":       sign(me, now, far),
		"signed two minutes ago":        sign(me, now.Add(-2*Fresh), good(next)),
		"of another's key, not decided": relabelled,
	} {
		if ev == relabelled {
			if b.node.wants(ev) {
				t.Errorf("%s is looked at", name)
			}
			continue
		}
		if err := stranger.Pool.Publish(ctx, ev); err != nil && name != "signed two minutes ago" {
			t.Errorf("%s: %v", name, err)
		}
	}
	replay := sign(me, now, good(next+1))
	if err := stranger.Pool.Publish(ctx, replay); err != nil { // whoever reads the relay can send it again
		t.Fatal(err)
	}
	for range 5 {
		stranger.Pool.Publish(ctx, replay)
	}
	b.await("the one good command", func() bool { return b.obeyed.Load() > obeyed })
	again := sign(me, now.Add(time.Second), good(next+1)) // the owner's own, under the same number
	if err := stranger.Pool.Publish(ctx, again); err != nil {
		t.Fatal(err)
	}
	for !b.node.looked(again.ID) {
		time.Sleep(time.Millisecond)
	}
	b.pause(o) // behind all of them; Call goes on from the number that the node tells
	if got := b.obeyed.Load() - obeyed; got != 2 {
		t.Errorf("%d commands were obeyed, want the good one and the last", got)
	}
}

// looked says whether an event was looked at.
func (n *Node) looked(id string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, seen := n.seen[id]
	return seen
}

func (b *bench) await(what string, is func() bool) {
	b.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited 20 s in vain: %s", what)
		}
	}
}

func TestNoCommandIsObeyedAgainAfterARestart(t *testing.T) {
	me := events.GenerateKeys()
	b := start(t)
	o := b.owner(me)
	b.claimed(o)
	b.pause(o)
	ev, err := seal(b.ctx, me, b.keys.PublicKey(), time.Now(), command{ID: "x", Seq: o.number(0), Exp: events.At(time.Now().Add(Fresh)), Method: Pause})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Pool.Publish(b.ctx, ev); err != nil {
		t.Fatal(err)
	}
	obeyed := b.obeyed.Load()
	b.await("the command", func() bool { return b.obeyed.Load() == 2 || b.obeyed.Load() > obeyed })
	obeyed = b.obeyed.Load()
	fresh, err := OpenOwners(b.owners.ledger, b.keys.PublicKey(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !fresh.Obeys(me.PublicKey()) || fresh.Code() != "" {
		t.Error("the owner is forgotten")
	}
	restarted := &Node{Signer: b.keys, Owners: fresh, Methods: b.node.Methods, Log: slog.New(slog.DiscardHandler), Now: time.Now}
	var asked command
	plain, err := b.keys.Decrypt(b.ctx, me.PublicKey(), ev.Content)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(plain), &asked); err != nil {
		t.Fatal(err)
	}
	if _, no := restarted.judge(b.ctx, me.PublicKey(), &asked); no == nil || no.Code != CodeStale {
		t.Errorf("said again after a restart: %v", no)
	}
	if b.obeyed.Load() != obeyed {
		t.Error("it was obeyed again")
	}
}

func TestSettingsLast(t *testing.T) {
	me := events.GenerateKeys()
	b := start(t, me.PublicKey())
	o := b.owner(me)
	rev, err := o.Lasting(b.ctx, b.keys.PublicKey(), map[string]string{"provide.slots": "3"})
	if err != nil {
		t.Fatal(err)
	}
	b.await("the first rev", func() bool { got, _ := b.node.Rev(); return got == rev })
	if rev, err = o.Lasting(b.ctx, b.keys.PublicKey(), map[string]string{"provide.hours": "22:00-06:00"}); err != nil {
		t.Fatal(err)
	}
	b.await("the second rev", func() bool { got, _ := b.node.Rev(); return got == rev })
	b.mu.Lock()
	if len(b.set) != 2 || len(b.set[1]) != 1 || b.set[1]["provide.hours"] != "22:00-06:00" {
		t.Errorf("was set: %v; want the second time only what changed", b.set)
	}
	b.mu.Unlock()
	bad, err := o.Lasting(b.ctx, b.keys.PublicKey(), map[string]string{"provide.slots": "many"})
	if err != nil {
		t.Fatal(err)
	}
	b.await("a refusal", func() bool { _, refused := b.node.Rev(); return refused != "" })
	if got, _ := b.node.Rev(); got != rev || bad <= rev {
		t.Errorf("rev %d is in force, want %d", got, rev)
	}
	other := b.owner(events.GenerateKeys())
	if _, err := other.Lasting(b.ctx, b.keys.PublicKey(), map[string]string{"provide.slots": "9"}); err != nil {
		t.Fatal(err)
	}
	if rev, err = o.Lasting(b.ctx, b.keys.PublicKey(), map[string]string{"provide.slots": "4"}); err != nil {
		t.Fatal(err)
	}
	b.await("the mended rev", func() bool { got, refused := b.node.Rev(); return got == rev && refused == "" })
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, set := range b.set {
		if set["provide.slots"] == "9" {
			t.Error("a stranger's settings were taken")
		}
	}
}

func TestTheListIsTheOwnersOwn(t *testing.T) {
	b := start(t)
	me := events.GenerateKeys()
	o := b.owner(me)
	want := []Owned{{Node: b.keys.PublicKey(), Name: "attic", Relays: []string{"ws://one.example", "ws://two.example"}}, {Node: me.PublicKey(), Name: "none"}}
	at, err := o.SaveList(b.ctx, want, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, again, err := o.List(b.ctx)
	if err != nil || again != at || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v at %d, %v", got, again, err)
	}
	found, err := o.Pool.Query(b.ctx, nostr.Filter{Kinds: []int{KindList}})
	if err != nil || len(found) != 1 || found[0].Tags.Find("p") != nil {
		t.Errorf("the list names its nodes openly: %v, %v", found, err)
	}
	if all, _, err := b.owner(events.GenerateKeys()).List(b.ctx); err != nil || len(all) != 0 {
		t.Errorf("somebody else's list: %v, %v", all, err)
	}
}

func TestMissedHeartbeatsAreNoticed(t *testing.T) {
	b := start(t)
	o := b.owner(events.GenerateKeys())
	var shift atomic.Int64
	o.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	o.Every = 10 * time.Millisecond
	beat := func(at time.Time) {
		t.Helper()
		m := &events.Heartbeat{Head: events.Head{At: events.At(at), Expires: events.At(at.Add(events.HeartbeatLife))}, Status: "ready", Kinds: []int{5050}}
		if _, err := b.pool.Say(b.ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	beat(time.Now())
	saw := make(chan Sight, 10)
	ctx, cancel := context.WithCancel(b.ctx)
	defer cancel()
	var wait sync.WaitGroup
	wait.Go(func() { o.Watch(ctx, []events.PubKey{b.keys.PublicKey()}, func(s Sight) { saw <- s }) })
	if s := <-saw; s.Down || s.Last == 0 {
		t.Errorf("first sight: %+v", s)
	}
	shift.Store(int64(events.HeartbeatLife - 30*time.Second))
	select {
	case s := <-saw:
		t.Errorf("missed too early: %+v", s)
	case <-time.After(100 * time.Millisecond):
	}
	shift.Store(int64(events.HeartbeatLife + 2*time.Second))
	if s := <-saw; !s.Down {
		t.Errorf("not missed: %+v", s)
	}
	shift.Store(0)
	beat(time.Now().Add(time.Second))
	if s := <-saw; s.Down {
		t.Errorf("not back: %+v", s)
	}
	cancel()
	wait.Wait()
	if len(saw) != 0 {
		t.Errorf("%d more were told", len(saw))
	}
}

func TestAddressesAreRead(t *testing.T) {
	key := events.GenerateKeys().PublicKey()
	a := Address{Node: key, Relays: []string{"wss://relay.example/x?y=z", "ws://10.0.0.1:3000"}, Code: "abcde-fghjk"}
	got, err := Find(context.Background(), nil, " "+a.String()+"\n")
	if err != nil || fmt.Sprint(got) != fmt.Sprint(a) {
		t.Errorf("%s is read as %v, %v", a, got, err)
	}
	if got, err := Find(context.Background(), nil, string(key)); err != nil || got.Node != key {
		t.Errorf("hex: %v, %v", got, err)
	}
	for _, bad := range []string{"infernet:npub1x", "npub1qqq", "infernet:%%%", "ftp://host", "nprofile1zz"} {
		if got, err := Find(context.Background(), nil, bad); err == nil {
			t.Errorf("%q is read as %v", bad, got)
		}
	}
	for relay, want := range map[string]string{
		"ws://127.0.0.1:3000": "ws://attic.example:3000", "wss://localhost": "wss://attic.example", "ws://[::]:80/x": "ws://attic.example:80/x", "wss://relay.example": "wss://relay.example",
	} {
		if got := reachable(relay, "attic.example"); got != want {
			t.Errorf("%s is reached as %s, want %s", relay, got, want)
		}
	}
}
