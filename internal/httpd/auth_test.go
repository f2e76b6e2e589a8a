package httpd

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/nips/nip98"
)

func TestSignedRequests(t *testing.T) {
	s := open(t, func(c *Config) { c.MaxBody = 64 })
	s.Mount("/known/{part}", Rules{}, echo)
	s.Mount("/nobody", Rules{Allow: func(Caller) bool { return false }}, echo)
	run(t, s)
	public, err := nostr.GetPublicKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	at := s.URL() + "/known/a%2Fb?x=1"
	resp, said := ask(t, s, "GET", "/known/a%2Fb?x=1", "", signed(t, nip98.Request{URL: at, Method: "GET"}, now))
	want(t, "a GET", resp, said, 200, `"part":"a/b","pubkey":"`+public+`"`)
	body := nip98.Request{URL: at, Method: "POST", Body: []byte("hello")}
	resp, said = ask(t, s, "POST", "/known/a%2Fb?x=1", "hello", signed(t, body, now))
	want(t, "a POST", resp, said, 200, `"body":"hello"`)

	for name, c := range map[string]struct {
		method, path, body string
		signed             nip98.Request
		at                 time.Duration
		code               int
		says               string
	}{
		"another path":       {"GET", "/known/c?x=1", "", nip98.Request{URL: at, Method: "GET"}, 0, 401, "another URL"},
		"another query":      {"GET", "/known/a%2Fb?x=2", "", nip98.Request{URL: at, Method: "GET"}, 0, 401, "another URL"},
		"another server":     {"GET", "/known/a", "", nip98.Request{URL: "http://127.0.0.1:1/known/a", Method: "GET"}, 0, 401, "another URL"},
		"a name of ours":     {"GET", "/known/a", "", nip98.Request{URL: strings.Replace(s.URL(), "127.0.0.1", "localhost", 1) + "/known/a", Method: "GET"}, 0, 401, "another URL"},
		"another method":     {"DELETE", "/known/a%2Fb?x=1", "", nip98.Request{URL: at, Method: "GET"}, 0, 401, "another method"},
		"another body":       {"POST", "/known/a%2Fb?x=1", "hullo", body, 0, 401, "another body"},
		"no body":            {"POST", "/known/a%2Fb?x=1", "", body, 0, 401, "another body"},
		"a body not for":     {"POST", "/known/a%2Fb?x=1", "hello", nip98.Request{URL: at, Method: "POST"}, 0, 401, "payload"},
		"too large a body":   {"POST", "/known/a%2Fb?x=1", strings.Repeat("x", 65), nip98.Request{URL: at, Method: "POST", Body: []byte(strings.Repeat("x", 65))}, 0, 413, "64 bytes"},
		"the past":           {"GET", "/known/a%2Fb?x=1", "", nip98.Request{URL: at, Method: "GET"}, -70 * time.Second, 401, "check the clock"},
		"the future":         {"GET", "/known/a%2Fb?x=1", "", nip98.Request{URL: at, Method: "GET"}, 70 * time.Second, 401, "check the clock"},
		"before the start":   {"GET", "/known/a%2Fb?x=1", "", nip98.Request{URL: at, Method: "GET"}, -30 * time.Second, 401, "before this server started"},
		"one not allowed to": {"GET", "/nobody", "", nip98.Request{URL: s.URL() + "/nobody", Method: "GET"}, 0, 403, "not for this"},
	} {
		resp, said := ask(t, s, c.method, c.path, c.body, signed(t, c.signed, now.Add(c.at)))
		want(t, name, resp, said, c.code, c.says)
		if (resp.StatusCode == 401) != (resp.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: WWW-Authenticate %q", name, resp.Header.Get("WWW-Authenticate"))
		}
		if resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: it is told as %q", name, resp.Header.Get("Content-Type"))
		}
	}
	forged := nip98.Request{URL: at, Method: "GET"}.Event(now)
	sign(t, forged)
	forged.Content = "x"
	resp, said = ask(t, s, "GET", "/known/a%2Fb?x=1", "", func(r *http.Request) { r.Header.Set("Authorization", nip98.Header(forged)) })
	want(t, "a forged one", resp, said, 401, "signature")
}

// TestASignatureIsGoodOnce: shown again, in a row or at once, it is refused, for as long as its time would be good.
func TestASignatureIsGoodOnce(t *testing.T) {
	var skew atomic.Int64
	s := open(t, func(c *Config) { c.Now = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) } })
	s.Mount("/x", Rules{}, echo)
	run(t, s)
	once := signed(t, nip98.Request{URL: s.URL() + "/x", Method: "GET"}, time.Now())
	var good atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if resp, _ := ask(t, s, "GET", "/x", "", once); resp.StatusCode == 200 {
				good.Add(1)
			}
		})
	}
	all.Wait()
	if good.Load() != 1 {
		t.Errorf("%d of 20 were let in", good.Load())
	}
	for _, after := range []time.Duration{0, 30 * time.Second, 58 * time.Second} {
		skew.Store(int64(after))
		resp, said := ask(t, s, "GET", "/x", "", once)
		want(t, after.String(), resp, said, 401, "used before")
	}
	skew.Store(int64(63 * time.Second))
	resp, said := ask(t, s, "GET", "/x", "", once)
	want(t, "later", resp, said, 401, "check the clock")
}

func mustReplay(t *testing.T, now time.Time) *replay {
	t.Helper()
	p, err := newReplay("", now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestASignatureIsGoodOnceOverARestart has a client whose clock is ahead, and one that signed in the second of the restart:
// what the process before took, its successor does not.
func TestASignatureIsGoodOnceOverARestart(t *testing.T) {
	used := filepath.Join(t.TempDir(), "door", "used")
	var at string
	process := func(listen string) (*Server, func() error) {
		s := open(t, func(c *Config) { c.Listen, c.Used = listen, used })
		s.Mount("/x", Rules{}, echo)
		return s, run(t, s)
	}
	s, stop := process("127.0.0.1:0")
	at = s.URL()
	var shown []func(*http.Request)
	for _, ahead := range []time.Duration{0, 2 * time.Second, 40 * time.Second} {
		once := signed(t, nip98.Request{URL: at + "/x", Method: "GET"}, time.Now().Add(ahead))
		resp, said := ask(t, s, "GET", "/x", "", once)
		want(t, ahead.String(), resp, said, 200, "")
		shown = append(shown, once)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s, _ = process(strings.TrimPrefix(at, "http://"))
	for i, once := range shown {
		resp, said := ask(t, s, "GET", "/x", "", once)
		if resp.StatusCode != 401 {
			t.Errorf("%d is taken again: %s", i, said)
		}
	}
	resp, said := ask(t, s, "GET", "/x", "", signed(t, nip98.Request{URL: at + "/x", Method: "GET"}, time.Now()))
	want(t, "a fresh one", resp, said, 200, "")
	if info, err := os.Stat(used); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestUsedSignaturesAreTidied: the file does not grow for ever.
func TestUsedSignaturesAreTidied(t *testing.T) {
	used, now := filepath.Join(t.TempDir(), "used"), time.Unix(1_790_000_000, 0)
	p, err := newReplay(used, now)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for i := range 5000 {
		now = now.Add(100 * time.Millisecond)
		if err := p.first(fmt.Sprint(i), "key", now, now.Add(61*time.Second), now); err != nil {
			t.Fatal(err)
		}
	}
	body, err := os.ReadFile(used)
	if lines := bytes.Count(body, []byte("\n")); err != nil || lines > 3*610+1000 || lines < 610 {
		t.Errorf("%d lines, %v", lines, err)
	}
}

// TestReplayMemoryIsBounded: rather than forget one that could be shown again, it lets nobody in; one key first.
func TestReplayMemoryIsBounded(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	p := mustReplay(t, now)
	id := func(i int) string { return string(rune(i)) }
	for i := range maxSeenKey {
		if err := p.first(id(i), "greedy", now, now.Add(time.Minute), now); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.first("more", "greedy", now, now.Add(time.Minute), now); err != errFull {
		t.Errorf("a greedy key: %v", err)
	}
	if err := p.first("other", "other", now, now.Add(time.Minute), now); err != nil {
		t.Errorf("another key: %v", err)
	}
	if err := p.first(id(0), "greedy", now, now.Add(time.Minute), now.Add(59*time.Second)); err != errSeen {
		t.Errorf("shown again: %v", err)
	}
	later := now.Add(61 * time.Second)
	if err := p.first("more", "greedy", later, later.Add(time.Minute), later); err != nil {
		t.Errorf("later: %v", err)
	}
	if len(p.seen) != 1 || len(p.owner) != 1 || len(p.ofKey) != 1 {
		t.Errorf("it keeps %d, %d, %d of what is over", len(p.seen), len(p.owner), len(p.ofKey))
	}
}

func TestBehindAProxyTheKnownAddressIsSigned(t *testing.T) {
	s := open(t, func(c *Config) { c.URL = "https://market.example/api" })
	s.Mount("/x", Rules{}, echo)
	run(t, s)
	resp, said := ask(t, s, "GET", "/x", "", func(r *http.Request) {
		signed(t, nip98.Request{URL: "https://market.example/api/x", Method: "GET"}, time.Now())(r)
		r.Host = "market.example"
	})
	want(t, "by the known address", resp, said, 200, "")
	resp, said = ask(t, s, "GET", "/x", "", func(r *http.Request) {
		signed(t, nip98.Request{URL: "https://evil.example/x", Method: "GET"}, time.Now())(r)
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("X-Forwarded-Proto", "https")
	})
	want(t, "by a header that everybody can write", resp, said, 401, "another URL")
}

func TestAppKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys", "app.json")
	keys, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	issue := func(ask AppKey) (string, AppKey) {
		t.Helper()
		secret, key, err := keys.Issue(ask, now)
		if err != nil {
			t.Fatal(err)
		}
		return secret, key
	}
	all, _ := issue(AppKey{Name: "all", Owner: "abcd"})
	chat, key := issue(AppKey{Name: "chat", Scopes: []string{"chat"}})
	other, _ := issue(AppKey{Name: "other", Scopes: []string{"metrics"}})
	old, _ := issue(AppKey{Name: "old", Expires: now.Add(-time.Second)})

	s := open(t, func(c *Config) { c.Keys = keys })
	s.Mount("/chat", Rules{Scope: "chat"}, echo)
	s.Mount("/maybe", Rules{Access: Optional}, echo)
	run(t, s)
	bearer := func(key string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+key) }
	}
	for name, c := range map[string]struct {
		path   string
		change func(*http.Request)
		code   int
		says   string
	}{
		"for everything": {"/chat", bearer(all), 200, `"pubkey":"abcd"`},
		"for this":       {"/chat", bearer(chat), 200, `"key":"` + key.ID + `"`},
		"lower case":     {"/chat", func(r *http.Request) { r.Header.Set("Authorization", "bearer  "+chat) }, 200, key.ID},
		"X-Api-Key":      {"/chat", func(r *http.Request) { r.Header.Set("X-Api-Key", chat) }, 200, key.ID},
		"a WebSocket's": {"/chat", func(r *http.Request) {
			r.Header.Set("Upgrade", "websocket")
			r.Header.Set("Sec-WebSocket-Protocol", "infernet.v1, key."+chat)
		}, 200, key.ID},
		"no WebSocket's":  {"/chat", func(r *http.Request) { r.Header.Set("Sec-WebSocket-Protocol", "infernet.v1, key."+chat) }, 401, "sign the request"},
		"for another":     {"/chat", bearer(other), 403, "is not for chat"},
		"expired":         {"/chat", bearer(old), 401, "expired"},
		"unknown":         {"/chat", bearer("ifn_nobody"), 401, "not known"},
		"empty":           {"/chat", bearer(""), 401, ""},
		"its hash":        {"/chat", bearer(key.Hash), 401, "not known"},
		"none":            {"/chat", nil, 401, "sign the request"},
		"another scheme":  {"/chat", func(r *http.Request) { r.SetBasicAuth("a", "b") }, 401, "neither"},
		"in the address":  {"/chat?key=" + chat, nil, 401, "sign the request"},
		"two of one kind": {"/chat", func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer " + chat, "Bearer " + all} }, 401, "more than one"},
		"two kinds":       {"/chat", func(r *http.Request) { bearer(chat)(r); r.Header.Set("X-Api-Key", all) }, 401, "more than one"},
		"optional, none":  {"/maybe", nil, 200, `"key":""`},
		"optional, good":  {"/maybe", bearer(chat), 200, key.ID},
		"optional, bad":   {"/maybe", bearer("ifn_nobody"), 401, "not known"},
	} {
		resp, said := ask(t, s, "GET", c.path, "", c.change)
		want(t, name, resp, said, c.code, c.says)
		if strings.Contains(said, path) || strings.Contains(said, chat) {
			t.Errorf("%s: it tells too much: %s", name, said)
		}
	}

	// another process revokes and issues; this one knows at once
	elsewhere, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := elsewhere.Revoke(key.ID); err != nil {
		t.Fatal(err)
	}
	resp, said := ask(t, s, "GET", "/chat", "", bearer(chat))
	want(t, "revoked", resp, said, 401, "revoked")
	fresh, _, err := elsewhere.Issue(AppKey{Name: "fresh"}, now)
	if err != nil {
		t.Fatal(err)
	}
	resp, said = ask(t, s, "GET", "/chat", "", bearer(fresh))
	want(t, "issued elsewhere", resp, said, 200, "")
	if err := keys.Revoke(key.ID); err == nil {
		t.Error("it was revoked twice")
	}
	list, err := keys.List()
	if err != nil || len(list) != 4 {
		t.Errorf("%d keys are left, %v", len(list), err)
	}
}

// TestKeysOfTwoProcessesAreAllKept: what one issues while another does is not lost.
func TestKeysOfTwoProcessesAreAllKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "app.json")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			keys, err := OpenKeys(path)
			if err != nil {
				t.Error(err)
				return
			}
			for range 5 {
				if _, _, err := keys.Issue(AppKey{Name: "x"}, time.Now()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	keys, err := OpenKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := keys.List(); err != nil || len(list) != 20 {
		t.Errorf("%d of 20 keys are there, %v", len(list), err)
	}
}

// FuzzProof: whatever strangers send as proof, it is none, and the server lives.
func FuzzProof(f *testing.F) {
	s, err := Open(Config{Listen: "127.0.0.1:0"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	m := &mount{handler: echo}
	for _, header := range []string{"", "Nostr", "Nostr e30=", "Bearer", "Bearer x", "Basic YTpi", "Nostr " + strings.Repeat("A", 20_000), "nostr\x00", "Bearer ifn_é"} {
		f.Add(header, header)
	}
	f.Fuzz(func(t *testing.T, authorization, protocol string) {
		r := &http.Request{Method: "GET", Host: "localhost", Header: http.Header{
			"Authorization": {authorization}, "Upgrade": {"websocket"}, "Sec-Websocket-Protocol": {protocol}}, Body: http.NoBody}
		r.URL = mustParse(t, "/x")
		who, no := s.identify(r, m)
		if no == nil || no.Status != http.StatusUnauthorized || no.Detail == "" {
			t.Fatalf("%q, %q: %+v is let in: %+v", authorization, protocol, who, no)
		}
	})
}
