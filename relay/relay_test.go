package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

var (
	ctx      = context.Background()
	customer = events.GenerateKeys()
	node     = events.GenerateKeys()
	stranger = events.GenerateKeys()
)

// clock is a relay's clock that a test can turn.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// start runs a relay for a test.
func start(t testing.TB, change func(*Config)) *Relay {
	t.Helper()
	c := Config{Dir: t.TempDir(), Listen: "127.0.0.1:0"}
	if change != nil {
		change(&c)
	}
	r, err := Open(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	runCtx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); r.Run(runCtx) }()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// client is a raw WebSocket: tests see every message.
type client struct {
	t  testing.TB
	ws *websocket.Conn
}

func dial(t testing.TB, r *Relay) *client {
	t.Helper()
	ws, _, err := websocket.Dial(ctx, r.URL(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(1 << 20)
	t.Cleanup(func() { ws.CloseNow() })
	return &client{t, ws}
}

func (c *client) say(parts ...any) {
	c.t.Helper()
	body, err := json.Marshal(parts)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.ws.Write(ctx, websocket.MessageText, body); err != nil {
		c.t.Fatal(err)
	}
}

// hear reads messages until one of a kind comes; AUTH challenges are passed over.
func (c *client) hear(kind string) []json.RawMessage {
	c.t.Helper()
	bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		_, body, err := c.ws.Read(bounded)
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", kind, err)
		}
		var parts []json.RawMessage
		if err := json.Unmarshal(body, &parts); err != nil {
			c.t.Fatal(err)
		}
		if text(parts[0]) == kind {
			return parts
		}
		if text(parts[0]) != "AUTH" {
			c.t.Fatalf("waiting for %s, heard %s", kind, body)
		}
	}
}

func text(raw json.RawMessage) (s string) {
	json.Unmarshal(raw, &s)
	return s
}

// publish publishes an event and gives the relay's answer.
func (c *client) publish(ev *nostr.Event) (ok bool, reason string) {
	c.t.Helper()
	c.say("EVENT", ev)
	parts := c.hear("OK")
	if text(parts[1]) != ev.ID {
		c.t.Fatalf("OK for %s, not for %s", parts[1], ev.ID)
	}
	return string(parts[2]) == "true", text(parts[3])
}

func (c *client) take(ev *nostr.Event) {
	c.t.Helper()
	if ok, reason := c.publish(ev); !ok {
		c.t.Fatalf("kind %d refused: %s", ev.Kind, reason)
	}
}

func (c *client) refuses(ev *nostr.Event, prefix string) {
	c.t.Helper()
	if ok, reason := c.publish(ev); ok || !strings.HasPrefix(reason, prefix) {
		c.t.Errorf("kind %d: OK %v %q, want it refused with %q", ev.Kind, ok, reason, prefix)
	}
}

// query gives what is stored.
func (c *client) query(filters ...nostr.Filter) (found []*nostr.Event) {
	c.t.Helper()
	parts := []any{"REQ", "query"}
	for _, f := range filters {
		parts = append(parts, f)
	}
	c.say(parts...)
	bounded, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		_, body, err := c.ws.Read(bounded)
		if err != nil {
			c.t.Fatal(err)
		}
		switch m := nostr.ParseMessage(string(body)).(type) {
		case *nostr.EventEnvelope:
			found = append(found, &m.Event)
		case *nostr.EOSEEnvelope:
			c.say("CLOSE", "query")
			return found
		case *nostr.ClosedEnvelope:
			c.t.Fatalf("closed: %s", m.Reason)
		}
	}
}

func sign(t testing.TB, k *events.Keys, kind int, at time.Time, content string, tags ...nostr.Tag) *nostr.Event {
	t.Helper()
	ev := &nostr.Event{Kind: kind, CreatedAt: nostr.Timestamp(at.Unix()), Content: content, Tags: tags}
	if err := k.Sign(ctx, ev); err != nil {
		t.Fatal(err)
	}
	return ev
}

func signed(t testing.TB, k *events.Keys, m events.Message) *nostr.Event {
	t.Helper()
	ev, err := events.Sign(ctx, m, k)
	if err != nil {
		t.Fatal(err)
	}
	return ev
}

func head() events.Head {
	now := events.At(time.Now())
	return events.Head{At: now, Expires: now.Add(events.KeepJob)}
}

func auction(t testing.TB, to ...events.PubKey) *nostr.Event {
	return signed(t, customer, &events.Request{
		Head: head(), Kind: events.KindText, Profile: true, Deadline: events.At(time.Now()) + 60, To: to,
		Inputs: []events.Input{{Value: "hi", Type: "text"}}, Bids: &events.Auction{Seconds: 1, Mode: "auto"},
	})
}

func TestBareDTagDoesNotKillTheRelay(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	c.refuses(sign(t, node, 30078, time.Now(), "", nostr.Tag{"d"}), "invalid:")
	c.take(sign(t, node, 30078, time.Now(), "", nostr.Tag{"d", "x"}))
}

func TestTimes(t *testing.T) {
	now := &clock{now: time.Now()}
	r := start(t, func(c *Config) { c.Now = now.Now })
	c := dial(t, r)
	c.refuses(sign(t, node, 1, time.Now().Add(2*time.Minute), ""), "invalid:")
	c.refuses(sign(t, node, 1, time.Now(), "", nostr.Tag{"expiration", fmt.Sprint(time.Now().Unix() - 1)}), "invalid:")
	short := sign(t, node, 1, time.Now(), "", nostr.Tag{"expiration", fmt.Sprint(time.Now().Unix() + 30)})
	c.take(short)
	if found := c.query(nostr.Filter{IDs: []string{short.ID}}); len(found) != 1 {
		t.Fatalf("found %d", len(found))
	}
	now.turn(time.Minute)
	if found := c.query(nostr.Filter{IDs: []string{short.ID}}); len(found) != 0 {
		t.Error("an expired event is served")
	}
	r.store.sweep(ctx)
	if r.store.byID(ctx, short.ID) != nil {
		t.Error("an expired event is not swept")
	}
}

func TestDuplicatesAreStoredAndDeliveredOnce(t *testing.T) {
	r := start(t, nil)
	reader, c := dial(t, r), dial(t, r)
	reader.say("REQ", "all", nostr.Filter{Kinds: []int{1}})
	reader.hear("EOSE")
	ev, last := sign(t, node, 1, time.Now(), "once"), sign(t, node, 1, time.Now(), "last")
	c.take(ev)
	for range 4 {
		if ok, reason := c.publish(ev); !ok || !strings.HasPrefix(reason, "duplicate:") {
			t.Errorf("OK %v %q", ok, reason)
		}
	}
	c.take(last)
	for _, want := range []*nostr.Event{ev, last} {
		var got nostr.Event
		json.Unmarshal(reader.hear("EVENT")[2], &got)
		if got.ID != want.ID {
			t.Errorf("heard %q, want %q", got.Content, want.Content)
		}
	}
	if found := c.query(nostr.Filter{Kinds: []int{1}}); len(found) != 2 {
		t.Errorf("stored %d times", len(found))
	}
}

func TestDeletedStaysDeleted(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	now := time.Now()
	note := sign(t, node, 1, now, "note")
	address := sign(t, node, 30078, now, "", nostr.Tag{"d", "x"})
	c.take(note)
	c.take(address)
	c.take(sign(t, stranger, 5, now, "", nostr.Tag{"e", note.ID}, nostr.Tag{"a", "30078:" + address.PubKey + ":x"}))
	if found := c.query(nostr.Filter{IDs: []string{note.ID, address.ID}}); len(found) != 2 {
		t.Fatalf("a stranger has deleted: %d left", len(found))
	}
	c.take(sign(t, node, 5, now, "", nostr.Tag{"e", note.ID}, nostr.Tag{"a", "30078:" + address.PubKey + ":x"}))
	if found := c.query(nostr.Filter{IDs: []string{note.ID, address.ID}}); len(found) != 0 {
		t.Errorf("%d are left", len(found))
	}
	c.refuses(note, "blocked:")
	c.refuses(address, "blocked:")
	c.take(sign(t, node, 30078, now.Add(time.Second), "newer", nostr.Tag{"d", "x"}))
}

func TestReplaceableEvents(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	now := time.Now()
	c.take(sign(t, node, 0, now, "old"))
	c.take(sign(t, node, 0, now.Add(time.Second), "new"))
	if ok, _ := c.publish(sign(t, node, 0, now.Add(-time.Second), "older")); ok {
		t.Log("an older version is answered OK")
	}
	found := c.query(nostr.Filter{Kinds: []int{0}})
	if len(found) != 1 || found[0].Content != "new" {
		t.Errorf("found %v", found)
	}
}

func TestBadEventsAreRefused(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	forged := sign(t, node, 1, time.Now(), "x")
	forged.Content = "y"
	c.refuses(forged, "invalid:")
	forged = sign(t, node, 1, time.Now(), "x")
	forged.Sig = sign(t, node, 1, time.Now(), "z").Sig
	c.refuses(forged, "invalid:")
	c.refuses(sign(t, node, 1, time.Now(), strings.Repeat("x", 61_000)), "invalid:")
	c.refuses(sign(t, node, events.KindFeedback, time.Now(), "", nostr.Tag{"e", "none"}), "invalid:")
	c.say("HELLO")
	c.hear("NOTICE")
	c.say("EVENT", map[string]any{"kind": 1}) // not even an event
	c.hear("OK")
}

func TestOneAwardForOneJob(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	job := auction(t)
	c.take(job)
	award := func(k *events.Keys, to *events.Keys) *nostr.Event {
		return signed(t, k, &events.Award{Head: head(), Job: events.ID(job.ID), Offer: events.ID(strings.Repeat("ab", 32)), Node: to.PublicKey(), Until: events.At(time.Now()) + 30})
	}
	c.take(award(stranger, node)) // moves nothing, blocks nothing
	first := award(customer, node)
	c.take(first)
	if ok, reason := c.publish(award(customer, stranger)); ok || reason != "blocked: job already awarded "+first.ID {
		t.Errorf("OK %v %q", ok, reason)
	}
}

func TestAnswersComeFromWhomTheJobNames(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	job := auction(t, node.PublicKey())
	c.take(job)
	offer := func(k *events.Keys) *nostr.Event {
		return signed(t, k, &events.Offer{Head: head(), Job: events.ID(job.ID), To: customer.PublicKey(), Until: events.At(time.Now()) + 30, Delivery: events.DeliverPlain, Pay: events.PayFree, ETA: time.Now().UnixNano() % 100000})
	}
	c.refuses(offer(stranger), "blocked:")
	c.refuses(signed(t, stranger, &events.Result{Head: head(), Kind: events.KindText + 1000, Job: events.ID(job.ID), To: customer.PublicKey(), Status: "success"}), "blocked:")
	c.take(offer(node))
	c.take(offer(node))
	c.refuses(offer(node), "rate-limited:")
}

func TestWhatAnAwardedJobReliesOnStays(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	job := auction(t)
	id := events.ID(job.ID)
	offer := signed(t, node, &events.Offer{Head: head(), Job: id, To: customer.PublicKey(), Until: events.At(time.Now()) + 30, Delivery: events.DeliverPlain, Pay: events.PayFree})
	award := signed(t, customer, &events.Award{Head: head(), Job: id, Offer: events.ID(offer.ID), Node: node.PublicKey(), Until: events.At(time.Now()) + 30})
	result := signed(t, node, &events.Result{Head: head(), Kind: events.KindText + 1000, Job: id, To: customer.PublicKey(), Status: "success", Content: "x"})
	all := []string{job.ID, offer.ID, award.ID, result.ID}
	for _, ev := range []*nostr.Event{job, offer, award, result} {
		c.take(ev)
	}
	c.take(sign(t, node, 5, time.Now(), "", nostr.Tag{"e", offer.ID}, nostr.Tag{"e", result.ID}))
	cancel := signed(t, customer, &events.Cancel{Head: head(), Job: id, Kind: events.KindText, Node: node.PublicKey(), Others: []events.ID{events.ID(award.ID)}})
	c.take(cancel)
	if found := c.query(nostr.Filter{IDs: append(all, cancel.ID)}); len(found) != 5 {
		t.Errorf("%d of 5 are left", len(found))
	}
}

func TestNothingIsLostBetweenStoredAndLive(t *testing.T) {
	r := start(t, nil)
	writer := dial(t, r)
	for round := range 60 {
		ev := sign(t, node, 1, time.Now(), fmt.Sprint(round))
		reader := dial(t, r)
		go writer.ws.Write(ctx, websocket.MessageText, mustJSON("EVENT", ev))
		reader.say("REQ", "x", nostr.Filter{IDs: []string{ev.ID}})
		got := 0
		for stop := false; !stop || got == 0; {
			bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
			_, body, err := reader.ws.Read(bounded)
			cancel()
			if err != nil {
				t.Fatalf("round %d: the event was lost: %v", round, err)
			}
			switch nostr.ParseMessage(string(body)).(type) {
			case *nostr.EventEnvelope:
				got++
			case *nostr.EOSEEnvelope:
				stop = true
			}
		}
		if got != 1 {
			t.Fatalf("round %d: came %d times", round, got)
		}
		writer.hear("OK")
		reader.ws.CloseNow()
	}
}

func mustJSON(parts ...any) []byte {
	body, err := json.Marshal(parts)
	if err != nil {
		panic(err)
	}
	return body
}

func TestSameIDReplacesTheSubscription(t *testing.T) {
	r := start(t, nil)
	reader, c := dial(t, r), dial(t, r)
	reader.say("REQ", "x", nostr.Filter{Kinds: []int{1}})
	reader.hear("EOSE")
	reader.say("REQ", "x", nostr.Filter{Kinds: []int{7}})
	reader.hear("EOSE")
	c.take(sign(t, node, 1, time.Now(), "old filter"))
	c.take(sign(t, node, 7, time.Now(), "new filter"))
	var got nostr.Event
	json.Unmarshal(reader.hear("EVENT")[2], &got)
	if got.Kind != 7 {
		t.Errorf("heard kind %d", got.Kind)
	}
}

func TestEphemeralEventsKeepTheirOrder(t *testing.T) {
	r := start(t, nil)
	reader, c := dial(t, r), dial(t, r)
	reader.say("REQ", "x", nostr.Filter{Kinds: []int{events.KindChunk}})
	reader.hear("EOSE")
	const n = 500
	go func() {
		for i := range n {
			ev, _ := events.Sign(ctx, &events.Chunk{Head: head(), Job: events.ID(strings.Repeat("ab", 32)), To: customer.PublicKey(), Seq: int64(i), Delta: "x"}, node)
			c.ws.Write(ctx, websocket.MessageText, mustJSON("EVENT", ev))
		}
	}()
	for i := range n {
		var got nostr.Event
		json.Unmarshal(reader.hear("EVENT")[2], &got)
		if seq := got.Tags.Find("seq"); seq == nil || seq[1] != fmt.Sprint(i) {
			t.Fatalf("chunk %v in place %d", seq, i)
		}
	}
	if found := c2(t, r).query(nostr.Filter{Kinds: []int{events.KindChunk}}); len(found) != 0 {
		t.Errorf("%d chunks are stored", len(found))
	}
}

func c2(t testing.TB, r *Relay) *client { return dial(t, r) }

// TestReaderThatNeverReadsSlowsNobody has a subscriber that stops reading while a publisher goes on.
func TestReaderThatNeverReadsSlowsNobody(t *testing.T) {
	r := start(t, func(c *Config) { c.Queue = 64 })
	raw, err := net.Dial("tcp", strings.TrimPrefix(r.URL(), "ws://"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	raw.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(raw, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	frame := func(body []byte) []byte { // one masked text frame; the mask is zero
		head := []byte{0x81, 0x80 | byte(len(body)), 0, 0, 0, 0}
		return append(head, body...)
	}
	raw.Write(frame([]byte(`["REQ","x",{"kinds":[1]}]`)))
	c := dial(t, r)
	healthy := dial(t, r)
	healthy.say("REQ", "x", nostr.Filter{Kinds: []int{1}, Limit: 1})
	healthy.hear("EOSE")
	heard := make(chan int, 1)
	const n = 1500
	go func() {
		got := 0
		for ; got < n; got++ {
			if _, _, err := healthy.ws.Read(ctx); err != nil {
				break
			}
		}
		heard <- got
	}()
	content := strings.Repeat("x", 8000)
	slowest := time.Duration(0)
	for i := range n {
		ev := sign(t, node, 1, time.Now(), fmt.Sprint(i, content))
		began := time.Now()
		c.take(ev)
		slowest = max(slowest, time.Since(began))
	}
	if slowest > 5*time.Second {
		t.Errorf("a publisher waited %s", slowest)
	}
	select {
	case got := <-heard:
		if got != n {
			t.Errorf("the healthy reader heard %d of %d", got, n)
		}
	case <-time.After(20 * time.Second):
		t.Error("the healthy reader was held up")
	}
	deadline := time.Now().Add(15 * time.Second)
	for {
		r.mu.Lock()
		left := len(r.sessions)
		r.mu.Unlock()
		if left == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions are left: the reader that never reads was not dropped", left)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Logf("slowest of %d publishes: %s", n, slowest)
}

func TestShutdownKeepsWhatWasPromised(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(ctx, Config{Dir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	runCtx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); r.Run(runCtx) }()
	c := dial(t, r)
	var ids []string
	for i := range 50 {
		ev := sign(t, node, 1, time.Now(), fmt.Sprint(i))
		c.take(ev)
		ids = append(ids, ev.ID)
	}
	cancel()
	if _, _, err := c.ws.Read(ctx); websocket.CloseStatus(err) != websocket.StatusGoingAway {
		t.Errorf("the client was told %v", err)
	}
	<-done
	again := start(t, func(c *Config) { c.Dir = dir })
	if found := dial(t, again).query(nostr.Filter{IDs: ids}); len(found) != len(ids) {
		t.Errorf("%d of %d events are left", len(found), len(ids))
	}
}

func TestURLOfAllAddressesIsThisMachines(t *testing.T) {
	r := start(t, func(c *Config) { c.Listen = "0.0.0.0:0" })
	if !strings.HasPrefix(r.URL(), "ws://127.0.0.1:") || events.CheckRelay(r.URL()) != nil {
		t.Errorf("URL %s", r.URL())
	}
	dial(t, r)
}

func TestPortInUse(t *testing.T) {
	r := start(t, nil)
	_, err := Open(ctx, Config{Listen: strings.TrimPrefix(r.URL(), "ws://")})
	if err == nil || !strings.Contains(err.Error(), "another program uses the port") {
		t.Errorf("got %v", err)
	}
}

func TestEncryptedJobsAreTheirPartiesOnly(t *testing.T) {
	r := start(t, func(c *Config) { c.PrivateJobs = true })
	c := dial(t, r)
	job := signed(t, customer, &events.Request{
		Head: head(), Kind: events.KindText, Profile: true, Deadline: events.At(time.Now()) + 60, To: []events.PubKey{node.PublicKey()},
		Inputs: []events.Input{{Value: "secret", Type: "text"}}, Encrypted: true,
	})
	c.take(job)
	read := dial(t, r)
	challenge := text(read.hear("AUTH")[1])
	if found := read.query(nostr.Filter{IDs: []string{job.ID}}); len(found) != 0 {
		t.Fatal("a stranger reads it")
	}
	for _, k := range []*events.Keys{stranger, node} { // several keys on one connection
		ev := sign(t, k, nostr.KindClientAuthentication, time.Now(), "", nostr.Tag{"relay", r.URL()}, nostr.Tag{"challenge", challenge})
		read.say("AUTH", ev)
		if parts := read.hear("OK"); string(parts[2]) != "true" {
			t.Fatalf("AUTH: %s", parts[3])
		}
	}
	if found := read.query(nostr.Filter{IDs: []string{job.ID}}); len(found) != 1 {
		t.Error("its node does not read it")
	}
}

func TestOffersOfUnknownKeysNeedWork(t *testing.T) {
	r := start(t, func(c *Config) { c.OfferPow = 20 })
	c := dial(t, r)
	job := auction(t)
	c.take(job)
	offer := &events.Offer{Head: head(), Job: events.ID(job.ID), To: customer.PublicKey(), Until: events.At(time.Now()) + 30, Delivery: events.DeliverPlain, Pay: events.PayFree}
	c.refuses(signed(t, stranger, offer), "pow:")
	c.take(sign(t, node, events.KindAnnouncement, time.Now().Add(-time.Hour), `{"name":"n"}`, nostr.Tag{"d", "n"}))
	c.take(signed(t, node, offer))
}
