package nip98

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"
)

const secret = "71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c"

var now = time.Unix(1_790_000_000, 0)

func sign(t testing.TB, ev *nostr.Event) *nostr.Event {
	t.Helper()
	if err := ev.Sign(secret); err != nil {
		t.Fatal(err)
	}
	return ev
}

var post = Request{URL: "https://node.example/api/v1/jobs?x=1&y=2", Method: "POST", Body: []byte(`{"prompt":"hi"}`)}

func TestWhatIsSignedVerifies(t *testing.T) {
	for name, r := range map[string]Request{
		"a POST":          post,
		"a GET":           {URL: "http://127.0.0.1:3000/v1/models", Method: "GET"},
		"an IPv6 address": {URL: "http://[::1]:3000/", Method: "DELETE"},
	} {
		ev, err := Parse(Header(sign(t, r.Event(now))))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, at := range []time.Duration{0, -Window, Window, Window + 999*time.Millisecond} {
			if err := Verify(ev, r, now.Add(at)); err != nil {
				t.Errorf("%s, %s later: %v", name, at, err)
			}
		}
	}
}

// TestExample is the NIP's own example. Its id is not its hash, so all but the signature is good; the header that the NIP
// shows beside it holds a tag url where the NIP wants u.
func TestExample(t *testing.T) {
	ev, err := Parse(Scheme + " " + base64.StdEncoding.EncodeToString([]byte(`{
		"id": "fe964e758903360f28d8424d092da8494ed207cba823110be3a57dfe4b578734",
		"pubkey": "63fe6318dc58583cfe16810f86dd09e18bfd76aabc24a0081ce2856f330504ed",
		"content": "", "kind": 27235, "created_at": 1682327852,
		"tags": [["u", "https://api.snort.social/api/v1/n5sp/list"], ["method", "GET"]],
		"sig": "5ed9d8ec958bc854f997bdc24ac337d005af372324747efe4a00e24f4c30437ff4dd8308684bed467d9d6be3e5a517bb43b1732cc7d33949a3aaf86705c22184"
	}`)))
	if err != nil {
		t.Fatal(err)
	}
	r := Request{URL: "https://api.snort.social/api/v1/n5sp/list", Method: "GET"}
	if err := Verify(ev, r, time.Unix(1682327852, 0)); !errors.Is(err, ErrSignature) {
		t.Errorf("the example: %v", err)
	}
	ev.Tags[0][0] = "url"
	if err := Verify(ev, r, time.Unix(1682327852, 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("the header's example: %v", err)
	}
}

func TestURLsThatAreTheSame(t *testing.T) {
	for _, same := range []string{
		"HTTPS://Node.Example/api/v1/jobs?x=1&y=2", "https://node.example:443/api/v1/jobs?x=1&y=2", "wss://node.example/api/v1/jobs?x=1&y=2",
	} {
		r := post
		r.URL = same
		if err := Verify(sign(t, r.Event(now)), post, now); err != nil {
			t.Errorf("%s: %v", same, err)
		}
	}
	r := Request{URL: "https://node.example", Method: "GET"}
	if err := Verify(sign(t, r.Event(now)), Request{URL: "https://node.example/", Method: "GET"}, now); err != nil {
		t.Error(err)
	}
}

func TestWhatWasSignedForSomethingElseIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *Request)
		want   error
	}{
		"another path":            {func(r *Request) { r.URL = "https://node.example/api/v1/keys?x=1&y=2" }, ErrURL},
		"another query":           {func(r *Request) { r.URL = "https://node.example/api/v1/jobs?x=1&y=3" }, ErrURL},
		"no query":                {func(r *Request) { r.URL = "https://node.example/api/v1/jobs" }, ErrURL},
		"the query's other order": {func(r *Request) { r.URL = "https://node.example/api/v1/jobs?y=2&x=1" }, ErrURL},
		"a path in capitals":      {func(r *Request) { r.URL = "https://node.example/API/v1/jobs?x=1&y=2" }, ErrURL},
		"an escaped path":         {func(r *Request) { r.URL = "https://node.example/api%2Fv1/jobs?x=1&y=2" }, ErrURL},
		"a slash more":            {func(r *Request) { r.URL = "https://node.example/api/v1/jobs/?x=1&y=2" }, ErrURL},
		"another host":            {func(r *Request) { r.URL = "https://other.example/api/v1/jobs?x=1&y=2" }, ErrURL},
		"another port":            {func(r *Request) { r.URL = "https://node.example:444/api/v1/jobs?x=1&y=2" }, ErrURL},
		"no TLS":                  {func(r *Request) { r.URL = "http://node.example/api/v1/jobs?x=1&y=2" }, ErrURL},
		"a user":                  {func(r *Request) { r.URL = "https://node.example@other.example/api/v1/jobs?x=1&y=2" }, ErrMalformed},
		"a fragment":              {func(r *Request) { r.URL += "#x" }, ErrMalformed},
		"no host":                 {func(r *Request) { r.URL = "/api/v1/jobs?x=1&y=2" }, ErrMalformed},
		"no http":                 {func(r *Request) { r.URL = "ftp://node.example/api/v1/jobs?x=1&y=2" }, ErrMalformed},
		"no URL":                  {func(r *Request) { r.URL = "" }, ErrMalformed},
		"another method":          {func(r *Request) { r.Method = "PUT" }, ErrMethod},
		"no method":               {func(r *Request) { r.Method = "" }, ErrMalformed},
		"another body":            {func(r *Request) { r.Body = []byte(`{"prompt":"ho"}`) }, ErrPayload},
		"no body":                 {func(r *Request) { r.Body = nil }, ErrPayload},
	} {
		signed := post
		c.change(&signed)
		if err := Verify(sign(t, signed.Event(now)), post, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	empty := post
	empty.Body = nil
	if err := Verify(sign(t, post.Event(now)), empty, now); !errors.Is(err, ErrPayload) {
		t.Errorf("a body that did not come: %v", err)
	}
}

func TestBadEventsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change func(ev *nostr.Event)
		after  bool // what is changed after the signature
		want   error
	}{
		"another kind":      {func(ev *nostr.Event) { ev.Kind = 24242 }, false, ErrMalformed},
		"too old":           {func(ev *nostr.Event) { ev.CreatedAt -= 62 }, false, ErrTime},
		"in the future":     {func(ev *nostr.Event) { ev.CreatedAt += 61 }, false, ErrTime},
		"two URLs":          {func(ev *nostr.Event) { ev.Tags = append(ev.Tags, nostr.Tag{"u", "https://other.example/"}) }, false, ErrMalformed},
		"two methods":       {func(ev *nostr.Event) { ev.Tags = append(ev.Tags, nostr.Tag{"method", "GET"}) }, false, ErrMalformed},
		"two payloads":      {func(ev *nostr.Event) { ev.Tags = append(ev.Tags, nostr.Tag{"payload", "00"}) }, false, ErrPayload},
		"a bare u":          {func(ev *nostr.Event) { ev.Tags[0] = nostr.Tag{"u"} }, false, ErrMalformed},
		"an empty tag":      {func(ev *nostr.Event) { ev.Tags[0] = nostr.Tag{} }, false, ErrMalformed},
		"no tags":           {func(ev *nostr.Event) { ev.Tags = nil }, false, ErrMalformed},
		"a changed content": {func(ev *nostr.Event) { ev.Content = "x" }, true, ErrSignature},
		"another key":       {func(ev *nostr.Event) { ev.PubKey = strings.Repeat("ab", 32) }, true, ErrSignature},
		"another id":        {func(ev *nostr.Event) { ev.ID = strings.Repeat("ab", 32) }, true, ErrSignature},
		"a later time":      {func(ev *nostr.Event) { ev.CreatedAt++ }, true, ErrSignature},
		"a forged id": {func(ev *nostr.Event) {
			ev.CreatedAt++
			ev.ID = ev.GetID()
		}, true, ErrSignature},
	} {
		ev := post.Event(now)
		if !c.after {
			c.change(ev)
		}
		sign(t, ev)
		if c.after {
			c.change(ev)
		}
		if err := Verify(ev, post, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestHeadersAreReadInBothAlphabets(t *testing.T) {
	r := post
	r.URL = "https://node.example/?q=" + strings.Repeat("~?>", 20) // letters that the alphabets write differently
	body, err := sign(t, r.Event(now)).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		for _, scheme := range []string{"Nostr ", "nostr ", "NOSTR  "} {
			ev, err := Parse(scheme + e.EncodeToString(body))
			if err != nil || Verify(ev, r, now) != nil {
				t.Errorf("%q: %v", scheme, err)
			}
		}
	}
}

var badHeaders = []string{
	"", "Nostr", "Nostr ", "Nostr =", "Nostr e30", "Nostr bnVsbA", "Nostr W10=", "Bearer e30=", "Nostre30=", "Nostr\te30=", "Nostr e3\n0=", "Nostr e30= e30=",
	"Nostr " + base64.StdEncoding.EncodeToString([]byte(`{"id":1}`)), "Nostr " + strings.Repeat("A", MaxHeader),
	"Nostr " + base64.StdEncoding.EncodeToString([]byte(`{"tags":[[["u"]]]}`)), "Nostr " + base64.StdEncoding.EncodeToString([]byte("{\"content\":\"\xff\"}")),
}

func TestBadHeadersAreRefused(t *testing.T) {
	for _, header := range badHeaders {
		if ev, err := Parse(header); !errors.Is(err, ErrMalformed) {
			t.Errorf("%.40q reads %v, %v", header, ev, err)
		}
	}
}

// FuzzHeader: what strangers send in the header crashes nothing, and what is accepted reads the same again.
func FuzzHeader(f *testing.F) {
	for _, header := range badHeaders {
		f.Add(header)
	}
	good := sign(f, post.Event(now)) // each process that fuzzes signs anew: the same id
	f.Add(Header(good))
	f.Fuzz(func(t *testing.T, header string) {
		ev, err := Parse(header)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error %v", err)
			}
			return
		}
		if err := Verify(ev, post, now); err == nil && ev.ID != good.ID {
			t.Fatalf("%q is accepted", header)
		}
		again, err := Parse(Header(ev))
		if len(Header(ev)) <= MaxHeader && (err != nil || again.GetID() != ev.GetID()) {
			t.Fatalf("reads %v again as %v, %v", ev, again, err)
		}
	})
}
