package relay

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip13"

	"infernet/events"
	"infernet/nips/nip98"
)

var operator = events.GenerateKeys()

// ask asks for a method of NIP-86 as a client does, and gives the status, the result and the error.
func ask(t testing.TB, r *Relay, k *events.Keys, change func(*http.Request), method string, with ...any) (code int, result json.RawMessage, wrong string) {
	t.Helper()
	if with == nil {
		with = []any{}
	}
	body, err := json.Marshal(map[string]any{"method": method, "params": with})
	if err != nil {
		t.Fatal(err)
	}
	url := "http" + strings.TrimPrefix(r.URL(), "ws")
	req, err := http.NewRequest("POST", url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", manageType)
	if k != nil { // the NIP wants the relay's address, which is that of its WebSocket
		ev := nip98.Request{URL: r.URL(), Method: "POST", Body: body, Salt: fmt.Sprint(time.Now().UnixNano())}.Event(time.Now())
		if err := k.Sign(ctx, ev); err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", nip98.Header(ev))
	}
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(resp.Body)
	var out struct {
		Result json.RawMessage
		Error  string
	}
	json.Unmarshal(said, &out)
	return resp.StatusCode, out.Result, out.Error
}

func decide(t testing.TB, r *Relay, method string, with ...any) {
	t.Helper()
	if code, result, wrong := ask(t, r, operator, nil, method, with...); code != 200 || string(result) != "true" || wrong != "" {
		t.Fatalf("%s %v: %d %s %s", method, with, code, result, wrong)
	}
}

func operated(c *Config) { c.Admins = []string{string(operator.PublicKey())} }

// TestBansHoldAtOnceAndAfterARestart bans a key, an event, a kind and an address while clients are connected, by NIP-86; each
// is refused with the reason, what they wrote is gone or hidden, and a relay that opens the same folder knows it all.
func TestBansHoldAtOnceAndAfterARestart(t *testing.T) {
	dir := t.TempDir()
	r := start(t, func(c *Config) { operated(c); c.Dir = dir })
	c := dial(t, r)
	spam, fine := sign(t, stranger, 1, time.Now(), "spam"), sign(t, node, 1, time.Now(), "fine")
	bad := sign(t, node, 1, time.Now(), "bad")
	for _, ev := range []*nostr.Event{spam, fine, bad} {
		c.take(ev)
	}
	decide(t, r, "banpubkey", stranger.PublicKey(), "floods")
	decide(t, r, "banevent", bad.ID, "malware")
	decide(t, r, "disallowkind", 30023)
	check := func(c *client) {
		t.Helper()
		c.refuses(sign(t, stranger, 1, time.Now(), "more"), "blocked: this key was banned here: floods")
		c.refuses(bad, "blocked: the relay's operator has removed this event: malware")
		c.refuses(sign(t, node, 30023, time.Now(), "", nostr.Tag{"d", "x"}), "blocked: kind 30023 is not taken here")
		if found := c.query(nostr.Filter{Kinds: []int{1}}); len(found) != 1 || found[0].ID != fine.ID {
			t.Errorf("%d notes are shown, want the one", len(found))
		}
	}
	check(c)
	if _, result, _ := ask(t, r, operator, nil, "listbannedpubkeys"); string(result) != fmt.Sprintf(`[{"pubkey":"%s","reason":"floods"}]`, stranger.PublicKey()) {
		t.Errorf("banned are %s", result)
	}
	c.ws.CloseNow()
	r.Close()
	r = start(t, func(c *Config) { operated(c); c.Dir = dir })
	c = dial(t, r)
	check(c)
	decide(t, r, "unbanpubkey", stranger.PublicKey())
	decide(t, r, "unbanevent", bad.ID)
	decide(t, r, "allowkind", 30023)
	c.take(bad)
	c.take(sign(t, node, 30023, time.Now(), "", nostr.Tag{"d", "x"}))
	if found := c.query(nostr.Filter{Kinds: []int{1}}); len(found) != 3 {
		t.Errorf("%d notes are shown once the bans are taken back, want 3", len(found))
	}
	// a ban takes a key off the other list, and the other way round
	decide(t, r, "allowpubkey", stranger.PublicKey())
	decide(t, r, "banpubkey", stranger.PublicKey())
	if _, result, _ := ask(t, r, operator, nil, "listallowedpubkeys"); string(result) != "[]" {
		t.Errorf("allowed are %s", result)
	}
}

// TestABlockedAddressIsPutOut: who is connected from there is cut off, and nobody comes in, until it is taken back.
func TestABlockedAddressIsPutOut(t *testing.T) {
	r := start(t, operated)
	c := dial(t, r)
	c.hear("AUTH") // it is in
	decide(t, r, "blockip", "127.0.0.0/8", "an attack")
	if _, _, err := c.ws.Read(ctx); err == nil {
		t.Error("the connection goes on")
	}
	_, resp, err := websocket.Dial(ctx, r.URL(), nil)
	if err == nil {
		t.Fatal("a blocked address comes in")
	}
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 403 || !strings.Contains(string(body), "an attack") {
		t.Errorf("it is told %d %s", resp.StatusCode, body)
	}
	decide(t, r, "unblockip", "127.0.0.0/8") // the operator can still be heard
	dial(t, r).take(sign(t, node, 1, time.Now(), "back"))
	for text, want := range map[string]string{"::ffff:192.0.2.1": "192.0.2.1", "2001:db8::1/64": "2001:db8::/64", "no": ""} {
		code, _, wrong := ask(t, r, operator, nil, "blockip", text)
		_, result, _ := ask(t, r, operator, nil, "listblockedips")
		if code != 200 || (want == "") != (wrong != "") || want != "" && !strings.Contains(string(result), `"`+want+`"`) {
			t.Errorf("%s: %d %s, listed %s", text, code, wrong, result)
		}
	}
}

// TestOnlyItsOperatorManagesARelay tries what somebody else would: no signature, a stranger's, one for another body, one that was
// used, one without a payload. Nothing is decided.
func TestOnlyItsOperatorManagesARelay(t *testing.T) {
	r := start(t, operated)
	used := ""
	if code, result, _ := ask(t, r, operator, func(req *http.Request) { used = req.Header.Get("Authorization") }, "supportedmethods"); code != 200 || !strings.Contains(string(result), `"banpubkey"`) {
		t.Fatalf("%d %s", code, result)
	}
	unsigned := func(req *http.Request) { // signed, but not for its body
		raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(req.Header.Get("Authorization"), "Nostr "))
		var ev nostr.Event
		json.Unmarshal(raw, &ev)
		ev.Tags = nostr.Tags{{"u", r.URL()}, {"method", "POST"}}
		operator.Sign(ctx, &ev)
		req.Header.Set("Authorization", nip98.Header(&ev))
	}
	for name, c := range map[string]struct {
		key    *events.Keys
		change func(*http.Request)
		code   int
	}{
		"no signature":       {nil, nil, 401},
		"a stranger's":       {stranger, nil, 403},
		"used before":        {nil, func(req *http.Request) { req.Header.Set("Authorization", used) }, 401},
		"not for its body":   {operator, unsigned, 401},
		"for another method": {operator, func(req *http.Request) { req.Method = "PUT" }, 405},
		"for another body": {operator, func(req *http.Request) {
			body := []byte(`{"method":"banpubkey","params":["` + string(stranger.PublicKey()) + `"]}`)
			req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}, 401},
	} {
		if code, _, _ := ask(t, r, c.key, c.change, "banpubkey", node.PublicKey()); code != c.code {
			t.Errorf("%s: %d, want %d", name, code, c.code)
		}
	}
	for method, with := range map[string][]any{
		"nosuchmethod": nil, "banpubkey": {"npub"}, "banevent": {}, "allowkind": {"one"}, "disallowkind": {70000}, "blockip": {7}, "changerelayname": {},
	} {
		if code, result, wrong := ask(t, r, operator, nil, method, with...); code != 200 || string(result) != "null" || wrong == "" {
			t.Errorf("%s %v: %d %s %q", method, with, code, result, wrong)
		}
	}
	if d := r.rules.now.Load(); len(d.BannedKeys)+len(d.BannedEvents)+len(d.Kinds)+len(d.BlockedIPs) != 0 {
		t.Errorf("decided: %+v", d)
	}
	decide(t, r, "changerelayname", "by its operator")
	if name := r.facts().Name; name != "by its operator" {
		t.Errorf("its name is %q", name)
	}
}

// TestReportsWaitForTheOperator lists what was reported (NIP-56) until it is decided.
func TestReportsWaitForTheOperator(t *testing.T) {
	r := start(t, operated)
	c := dial(t, r)
	a, b := sign(t, stranger, 1, time.Now(), "a"), sign(t, stranger, 1, time.Now(), "b")
	for _, ev := range []*nostr.Event{a, b} {
		c.take(ev)
		c.take(sign(t, node, nostr.KindReporting, time.Now(), "look at it", nostr.Tag{"e", ev.ID, "spam"}, nostr.Tag{"p", ev.PubKey}))
	}
	_, result, _ := ask(t, r, operator, nil, "listeventsneedingmoderation")
	if s := string(result); !strings.Contains(s, a.ID) || !strings.Contains(s, b.ID) || !strings.Contains(s, "spam: look at it") {
		t.Errorf("waiting are %s", s)
	}
	decide(t, r, "banevent", a.ID)
	decide(t, r, "allowevent", b.ID)
	if _, result, _ = ask(t, r, operator, nil, "listeventsneedingmoderation"); string(result) != "[]" {
		t.Errorf("waiting are %s", result)
	}
}

// TestWhereNotEverybodyMayPublish lets in by key, by a key that the connection has proved, and private messages to one.
func TestWhereNotEverybodyMayPublish(t *testing.T) {
	r := start(t, func(c *Config) { operated(c); c.Closed = true })
	c := dial(t, r)
	challenge := text(c.hear("AUTH")[1])
	c.refuses(sign(t, node, 1, time.Now(), "hi"), "auth-required:")
	decide(t, r, "allowpubkey", node.PublicKey())
	c.take(sign(t, node, 1, time.Now(), "hi"))
	c.take(sign(t, operator, 1, time.Now(), "hi"))
	c.take(sign(t, events.GenerateKeys(), nostr.KindGiftWrap, time.Now(), "for you", nostr.Tag{"p", string(node.PublicKey())}))
	c.refuses(sign(t, events.GenerateKeys(), nostr.KindGiftWrap, time.Now(), "for me", nostr.Tag{"p", string(stranger.PublicKey())}), "auth-required:")
	auth := &nostr.Event{Kind: nostr.KindClientAuthentication, CreatedAt: nostr.Now(), Tags: nostr.Tags{{"relay", r.URL()}, {"challenge", challenge}}}
	prove := func(k *events.Keys) {
		if err := k.Sign(ctx, auth); err != nil {
			t.Fatal(err)
		}
		c.say("AUTH", auth)
		c.hear("OK")
	}
	prove(stranger)
	c.refuses(auction(t), "restricted:")
	prove(node)
	c.take(auction(t)) // a job is bought with a fresh key
	if f := r.facts(); !f.Limitation.RestrictedWrites || !f.Own.Closed {
		t.Errorf("the facts say nothing of it: %+v", f.Limitation)
	}
}

// TestAMarketTakesWhatItNeeds: of a relay for a market only, kinds that it needs pass, others by name or by decision.
func TestAMarketTakesWhatItNeeds(t *testing.T) {
	r := start(t, func(c *Config) { operated(c); c.MarketOnly, c.Kinds = true, []int{30078} })
	c := dial(t, r)
	c.take(auction(t))
	for _, kind := range []int{0, 5999, 10002, 1059, 23194, 24133} {
		c.take(sign(t, stranger, kind, time.Now(), ""))
	}
	c.take(sign(t, stranger, 30078, time.Now(), "", nostr.Tag{"d", "x"}))
	c.refuses(sign(t, stranger, 1, time.Now(), "hi"), "blocked: kind 1 ")
	decide(t, r, "allowkind", 1)
	c.take(sign(t, stranger, 1, time.Now(), "hi"))
	decide(t, r, "disallowkind", 23194)
	c.refuses(sign(t, stranger, 23194, time.Now(), "pay"), "blocked: kind 23194 ")
	f := r.facts()
	if fmt.Sprintf("%v %v %v", f.Own.Kinds, f.Own.KindsAlso, f.Own.KindsNot) != "market [1 30078] [23194]" {
		t.Errorf("the facts say %v %v %v", f.Own.Kinds, f.Own.KindsAlso, f.Own.KindsNot)
	}
}

// TestAFloodOfUnknownCustomersPaysForItself: while few ask, nobody works. When many ask, more and more is asked of unknown ones,
// those who work or are known get through, and when the flood is over nobody works again.
func TestAFloodOfUnknownCustomersPaysForItself(t *testing.T) {
	now := &clock{now: time.Now()}
	r := start(t, func(c *Config) { operated(c); c.Work, c.WorkFrom, c.Now = 16, 20, now.Now })
	c := dial(t, r)
	request := func(k *events.Keys, bits int) *nostr.Event {
		ev := &nostr.Event{Kind: 5999, PubKey: string(k.PublicKey()), CreatedAt: nostr.Timestamp(now.Now().Unix()), Content: fmt.Sprint(time.Now().UnixNano())}
		if bits > 0 {
			tag, err := nip13.DoWork(context.Background(), *ev, bits)
			if err != nil {
				t.Fatal(err)
			}
			ev.Tags = append(ev.Tags, tag)
		}
		if err := k.Sign(ctx, ev); err != nil {
			t.Fatal(err)
		}
		return ev
	}
	for range 20 {
		c.take(request(events.GenerateKeys(), 0))
		now.turn(100 * time.Millisecond) // ten a second
	}
	passed, refused := 0, 0
	for range 300 { // at once
		if ok, why := c.publish(request(events.GenerateKeys(), 0)); ok {
			passed++
		} else if refused++; !strings.HasPrefix(why, "pow: ") {
			t.Fatal(why)
		}
	}
	if passed > 60 {
		t.Errorf("%d of a flood of 300 passed without work", passed)
	}
	want := r.facts().Own.WorkNow
	t.Logf("of 300 at once %d passed; then %d bits are asked for", passed, want)
	c.take(request(events.GenerateKeys(), want))
	decide(t, r, "allowpubkey", customer.PublicKey())
	c.take(request(customer, 0))
	c.take(request(operator, 0))
	for worked := 0; worked < 200; worked++ { // a flood that works is asked for more
		if ok, _ := c.publish(request(events.GenerateKeys(), r.facts().Own.WorkNow)); !ok {
			t.Fatal("who brings what is asked for is refused")
		}
		if r.facts().Own.WorkNow == 16 {
			break
		}
	}
	if got := r.facts().Own.WorkNow; got <= want {
		t.Errorf("after a flood that works %d bits are asked for, before %d", got, want)
	}
	for range 20 {
		now.turn(time.Second)
		r.facts()
	}
	c.take(request(events.GenerateKeys(), 0))
}

// TestOneKeyHasOneRate: over many connections a key gets no more events in than over one, and others are not slowed.
func TestOneKeyHasOneRate(t *testing.T) {
	r := start(t, func(c *Config) { c.KeyRate, c.KeyBurst = 100, 10 })
	began := time.Now()
	done := make(chan struct{})
	const conns, each = 4, 15
	for i := range conns {
		c := dial(t, r)
		go func() {
			defer func() { done <- struct{}{} }()
			for n := range each {
				c.take(sign(t, stranger, 20001, time.Now(), fmt.Sprint(i, " ", n)))
			}
		}()
	}
	other := dial(t, r)
	slowest := time.Duration(0)
	for range 20 {
		at := time.Now()
		other.take(sign(t, events.GenerateKeys(), 20001, time.Now(), "x"))
		slowest = max(slowest, time.Since(at))
	}
	for range conns {
		<-done
	}
	took := time.Since(began)
	if least := time.Duration(conns*each-10-conns) * time.Second / 100; took < least {
		t.Errorf("%d events of one key took %s, at 100 a second at least %s", conns*each, took, least)
	}
	t.Logf("%d events of one key at 100 a second took %s; the slowest of another key took %s", conns*each, took.Round(time.Millisecond), slowest.Round(time.Microsecond))
}

// TestOneAddressHasOneRate, over all its connections; this machine's has none.
func TestOneAddressHasOneRate(t *testing.T) {
	var p pace[string]
	now := time.Now()
	waited := time.Duration(0)
	for range 100 {
		waited = max(waited, p.take("192.0.2.0/24", 1, 10, 20, now))
	}
	if waited != 8*time.Second {
		t.Errorf("the hundredth at once waits %s, want 8s", waited)
	}
	if w := p.take("198.51.100.0/24", 1, 10, 20, now); w != 0 {
		t.Errorf("another waits %s", w)
	}
	if w := p.take("192.0.2.0/24", 1, 10, 20, now.Add(time.Minute)); w != 0 {
		t.Errorf("a minute later it waits %s", w)
	}
	for i := range 3 * maxPaced {
		p.take(fmt.Sprint(i), 1, 10, 20, now)
	}
	if n := len(p.recent) + len(p.older); n > 2*maxPaced {
		t.Errorf("%d are remembered", n)
	}
}

// TestTheFactsTellEveryLimit looks into NIP-11 as a client reads it.
func TestTheFactsTellEveryLimit(t *testing.T) {
	r := start(t, func(c *Config) { operated(c); c.KeyRate, c.AddressRate, c.Work, c.Version = 500, 4000, 20, "1.2.3" })
	req, err := http.NewRequest("GET", "http"+strings.TrimPrefix(r.URL(), "ws"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/nostr+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var said struct {
		Version    string         `json:"version"`
		PubKey     string         `json:"pubkey"`
		NIPs       []int          `json:"supported_nips"`
		Limitation map[string]any `json:"limitation"`
		Own        map[string]any `json:"infernet"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&said); err != nil {
		t.Fatal(err)
	}
	if said.Version != "1.2.3" || said.PubKey != string(operator.PublicKey()) || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%+v", said)
	}
	for name, want := range map[string]float64{
		"max_message_length": maxFrame, "max_subscriptions": 64, "max_filters": 20, "max_limit": 1000, "default_limit": 1000, "max_subid_length": 64,
		"max_event_tags": 2000, "max_content_length": events.MaxEvent, "created_at_upper_limit": events.MaxFuture.Seconds(),
	} {
		if said.Limitation[name] != want {
			t.Errorf("limitation.%s is %v, want %v", name, said.Limitation[name], want)
		}
	}
	for name, want := range map[string]float64{
		"max_event_length": events.MaxEvent, "rate": 1000, "burst": 2000, "key_rate": 500, "key_burst": 2000, "address_rate": 4000, "address_burst": 8000,
		"work": 20, "work_from": 50, "work_now": 0, "max_connections": 4096, "max_connections_each": 64, "max_queue": 2048, "max_queue_bytes": 16 << 20,
		"max_offers": maxOffers, "max_feedback": maxSaid,
	} {
		if said.Own[name] != want {
			t.Errorf("infernet.%s is %v, want %v", name, said.Own[name], want)
		}
	}
}
