package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"go.uber.org/goleak"

	"infernet/events"
	"infernet/internal/guard"
)

func sumOfText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func text(s string) Source {
	return Source{Data: strings.NewReader(s), Size: int64(len(s)), Mime: "text/plain"}
}

// try is one bare request, as any program could make it.
type try struct {
	method, path, body string
	header             map[string]string
}

func (r try) do(t *testing.T, server string) *http.Response {
	t.Helper()
	req, err := http.NewRequest(r.method, server+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range r.header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func auth(t *testing.T, k events.Signer, verb, host string, sums ...string) string {
	t.Helper()
	h, err := token(t.Context(), k, time.Now(), verb, host, sums...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestUploadGetListDelete is a file's life through our own client.
func TestUploadGetListDelete(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("life", func(t *testing.T) {
		_, at := serve(t, nil)
		c := client(t, at)
		b, err := c.Put(t.Context(), []string{at}, text("hello"))
		if err != nil {
			t.Fatal(err)
		}
		if b.Sum != sumOfText("hello") || b.Size != 5 || !slices.Equal(b.Servers, []string{at}) {
			t.Errorf("%+v", b)
		}
		var got bytes.Buffer
		if err := client(t, at).Get(t.Context(), b, &got); err != nil || got.String() != "hello" {
			t.Errorf("%q, %v", &got, err)
		}
		resp := try{method: "GET", path: "/" + b.Sum + ".txt", header: map[string]string{"Range": "bytes=1-3"}}.do(t, at)
		part, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusPartialContent || string(part) != "ell" {
			t.Errorf("range: %s %q", resp.Status, part)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/plain", "Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; sandbox", "Accept-Ranges": "bytes",
		} {
			if have := resp.Header.Get(name); have != want {
				t.Errorf("%s is %q, want %q", name, have, want)
			}
		}
		if _, err := time.Parse(http.TimeFormat, resp.Header.Get("Sunset")); err != nil {
			t.Errorf("Sunset: %v", err)
		}
		if resp := (try{method: "HEAD", path: "/" + b.Sum}).do(t, at); resp.StatusCode != 200 || resp.ContentLength != 5 {
			t.Errorf("HEAD: %s, %d bytes", resp.Status, resp.ContentLength)
		}
		if resp := (try{method: "GET", path: "/" + b.Sum, header: map[string]string{"Range": "bytes=9-"}}).do(t, at); resp.StatusCode != http.StatusRequestedRangeNotSatisfiable {
			t.Errorf("a range behind the end: %s", resp.Status)
		}
		all, err := c.List(t.Context(), at)
		if err != nil || len(all) != 1 || all[0].SHA256 != b.Sum || all[0].URL != at+"/"+b.Sum+".txt" {
			t.Errorf("list: %v, %v", all, err)
		}
		if err := client(t, at).Delete(t.Context(), at, b.Sum); err == nil {
			t.Error("a stranger deleted it")
		}
		if err := c.Delete(t.Context(), at, b.Sum); err != nil {
			t.Error(err)
		}
		var no *StatusError
		if err := c.Get(t.Context(), b, io.Discard); !errors.As(err, &no) || no.Status != http.StatusNotFound {
			t.Errorf("deleted, and got: %v", err)
		}
	})
}

// TestUploadAnswers holds the answers of the newest BUDs: 201 and 200, descriptor, nip94, CORS.
func TestUploadAnswers(t *testing.T) {
	_, at := serve(t, nil)
	k := events.GenerateKeys()
	sum := sumOfText("hello")
	put := try{"PUT", "/upload", "hello", map[string]string{"Authorization": auth(t, k, "upload", "127.0.0.1", sum), "Content-Type": "image/png"}}
	resp := put.do(t, at)
	var d Descriptor
	if err := json.NewDecoder(resp.Body).Decode(&d); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s, %v", resp.Status, err)
	}
	if d.URL != at+"/"+sum+".png" || d.Type != "image/png" || d.Size != 5 || len(d.NIP94) != 4 || time.Since(time.Unix(d.Uploaded, 0)) > time.Minute {
		t.Errorf("%+v", d)
	}
	if resp := put.do(t, at); resp.StatusCode != http.StatusOK {
		t.Errorf("again: %s", resp.Status)
	}
	resp = try{method: "OPTIONS", path: "/" + sum}.do(t, at)
	if resp.StatusCode != http.StatusNoContent || !strings.Contains(resp.Header.Get("Allow"), "PATCH") ||
		resp.Header.Get("Access-Control-Allow-Headers") != "Authorization, *" || resp.Header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
}

// TestTokens tries every way to write a token, and every way to get it wrong (BUD-11).
func TestTokens(t *testing.T) {
	_, at := serve(t, func(c *Config) { c.URL = "https://files.example.com" })
	k := events.GenerateKeys()
	sum := sumOfText("hello")
	now := time.Now()
	make := func(change func(*nostr.Event)) *nostr.Event {
		ev := &nostr.Event{Kind: kindToken, CreatedAt: nostr.Timestamp(now.Unix()), Content: "Upload ???>>>", Tags: nostr.Tags{
			{"t", "upload"}, {"expiration", strconv.FormatInt(now.Add(time.Minute).Unix(), 10)}, {"x", sum}}}
		change(ev)
		if err := k.Sign(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
		return ev
	}
	tag := func(name, value string) func(*nostr.Event) {
		return func(ev *nostr.Event) {
			ev.Tags = slices.DeleteFunc(ev.Tags, func(tag nostr.Tag) bool { return tag[0] == name })
			if value != "" {
				ev.Tags = append(ev.Tags, nostr.Tag{name, value})
			}
		}
	}
	status := func(header string) int {
		return try{"PUT", "/upload", "hello", map[string]string{"Authorization": header}}.do(t, at).StatusCode
	}
	good := []byte(make(func(*nostr.Event) {}).String())
	for name, form := range map[string]*base64.Encoding{
		"url": base64.RawURLEncoding, "url padded": base64.URLEncoding, "standard": base64.StdEncoding, "standard unpadded": base64.RawStdEncoding,
	} {
		if got := status("Nostr " + form.EncodeToString(good)); got != http.StatusCreated && got != http.StatusOK {
			t.Errorf("%s: %d", name, got)
		}
	}
	forged := make(func(*nostr.Event) {})
	forged.PubKey = string(events.GenerateKeys().PublicKey())
	for name, ev := range map[string]*nostr.Event{
		"kind": make(func(ev *nostr.Event) { ev.Kind = 1 }), "verb": make(tag("t", "delete")), "no verb": make(tag("t", "")),
		"no expiration": make(tag("expiration", "")), "expired": make(tag("expiration", "1700000000")), "no x": make(tag("x", "")),
		"another x": make(tag("x", sumOfText("bye"))), "another server": make(tag("server", "evil.example.com")),
		"future": make(func(ev *nostr.Event) { ev.CreatedAt += 3600 }), "forged": forged,
	} {
		got := status("Nostr " + base64.RawURLEncoding.EncodeToString([]byte(ev.String())))
		if want := http.StatusUnauthorized; got != want && !(name == "another x" && got == http.StatusConflict) {
			t.Errorf("%s: %d", name, got)
		}
	}
	for _, header := range []string{"", "Nostr", "Nostr !!!!", "Bearer abc", "Nostr " + base64.RawURLEncoding.EncodeToString([]byte("null")), "Nostr " + strings.Repeat("A", 20_000)} {
		if got := status(header); got != http.StatusUnauthorized {
			t.Errorf("%.20q: %d", header, got)
		}
	}
	mine := make(tag("server", "files.example.com"))
	if got := status("Nostr " + base64.RawURLEncoding.EncodeToString([]byte(mine.String()))); got >= 300 {
		t.Errorf("a token for this server: %d", got)
	}
}

// TestUploadIsBoundToItsHash sends other bytes than the token names.
func TestUploadIsBoundToItsHash(t *testing.T) {
	_, at := serve(t, nil)
	k := events.GenerateKeys()
	sum := sumOfText("hello")
	for name, r := range map[string]try{
		"token":  {"PUT", "/upload", "other", map[string]string{"Authorization": auth(t, k, "upload", "", sum)}},
		"header": {"PUT", "/upload", "other", map[string]string{"Authorization": auth(t, k, "upload", "", sum, sumOfText("x")), "X-SHA-256": sum}},
		"patch":  {"PATCH", "/" + sum, "other", map[string]string{"Authorization": auth(t, k, "upload", "", sum), "Upload-Offset": "0", "Upload-Length": "5"}},
		"two":    {"PUT", "/upload", "other", map[string]string{"Authorization": auth(t, k, "upload", "", sum, sumOfText("x"))}},
	} {
		if resp := r.do(t, at); resp.StatusCode != http.StatusConflict {
			t.Errorf("%s: %s", name, resp.Status)
		}
	}
	for _, s := range []string{"other", "hello"} {
		if resp := (try{method: "GET", path: "/" + sumOfText(s)}).do(t, at); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s is there: %s", s, resp.Status)
		}
	}
	several := try{"PUT", "/upload", "hello", map[string]string{"Authorization": auth(t, k, "upload", "", sumOfText("x"), sum)}}
	if resp := several.do(t, at); resp.StatusCode != http.StatusCreated {
		t.Errorf("one of several: %s", resp.Status)
	}
}

func TestLimits(t *testing.T) {
	s, at := serve(t, func(c *Config) { c.MaxBlob, c.Quota, c.Total = 1000, 1500, 2500 })
	file := func(n int, fill string) Source { return text(strings.Repeat(fill, n)) }
	status := func(err error) int {
		var no *StatusError
		if errors.As(err, &no) {
			return no.Status
		}
		return 0
	}
	first := client(t, at)
	put := func(c *Client, src Source) error { _, err := c.Put(t.Context(), []string{at}, src); return err }
	if err := put(first, file(1001, "a")); status(err) != http.StatusRequestEntityTooLarge {
		t.Errorf("too large: %v", err)
	}
	if err := put(first, file(1000, "a")); err != nil {
		t.Error(err)
	}
	if err := put(first, file(1000, "a")); err != nil {
		t.Errorf("the same again is no more: %v", err)
	}
	if err := put(first, file(501, "b")); status(err) != http.StatusTooManyRequests {
		t.Errorf("above the quota: %v", err)
	}
	if err := put(client(t, at), file(1000, "a")); err != nil {
		t.Errorf("another key, the same file: %v", err)
	}
	if err := put(client(t, at), file(1000, "c")); err != nil {
		t.Errorf("another key: %v", err)
	}
	if err := put(client(t, at), file(600, "d")); status(err) != http.StatusInsufficientStorage {
		t.Errorf("full: %v", err)
	}
	if err := first.Delete(t.Context(), at, sumOfText(strings.Repeat("a", 1000))); err != nil {
		t.Error(err)
	}
	if s.store.bytes() != 2000 {
		t.Errorf("%d bytes: the second owner wants it still", s.store.bytes())
	}
	for _, r := range []struct {
		name   string
		body   io.Reader
		header map[string]string
		want   int
	}{
		{"no length", struct{ io.Reader }{strings.NewReader("x")}, nil, http.StatusLengthRequired},
		{"no hash", strings.NewReader("x"), map[string]string{"X-SHA-256": "what"}, http.StatusBadRequest},
	} {
		req, _ := http.NewRequest("PUT", at+"/upload", r.body)
		req.Header.Set("Authorization", auth(t, events.GenerateKeys(), "upload", "", sumOfText("x")))
		for name, value := range r.header {
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != r.want {
			t.Errorf("%s: %s", r.name, resp.Status)
		}
	}
}

// TestFilesExpire has a clock that goes on.
func TestFilesExpire(t *testing.T) {
	now := time.Now()
	s, at := serve(t, func(c *Config) { c.Keep, c.Now = time.Hour, func() time.Time { return now } })
	c := client(t, at)
	long, err := c.Put(t.Context(), []string{at}, text("long"))
	if err != nil {
		t.Fatal(err)
	}
	src := text("short")
	src.Expires = now.Add(time.Minute)
	short, err := c.Put(t.Context(), []string{at}, src)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Minute)
	if err := c.Get(t.Context(), short, io.Discard); err == nil {
		t.Error("what has expired is served before it is swept")
	}
	if err := c.Get(t.Context(), long, io.Discard); err != nil {
		t.Error(err)
	}
	now = now.Add(time.Hour)
	if err := s.store.sweep(now); err != nil || s.store.bytes() != 0 {
		t.Errorf("%d bytes are left, %v", s.store.bytes(), err)
	}
}

// TestListPages lists three files in pages of two.
func TestListPages(t *testing.T) {
	_, at := serve(t, nil)
	c := client(t, at)
	var want []string
	for _, s := range []string{"a", "b", "c"} {
		b, err := c.Put(t.Context(), []string{at}, text(s))
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, b.Sum)
	}
	var have []string
	for cursor := ""; ; {
		h := map[string]string{"Authorization": auth(t, c.Signer, "list", "")}
		resp := try{method: "GET", path: "/list/" + string(c.Signer.PublicKey()) + "?limit=2&cursor=" + cursor, header: h}.do(t, at)
		var page []Descriptor
		if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
			t.Fatal(resp.Status, err)
		}
		for _, d := range page {
			have = append(have, d.SHA256)
		}
		if len(page) < 2 {
			break
		}
		cursor = page[1].SHA256
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("have %v, want %v", have, want)
	}
	h := map[string]string{"Authorization": auth(t, events.GenerateKeys(), "list", "")}
	if resp := (try{method: "GET", path: "/list/" + string(c.Signer.PublicKey()), header: h}).do(t, at); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a stranger lists them: %s", resp.Status)
	}
}

// TestReports has a moderator whose report removes a file for good (BUD-09).
func TestReports(t *testing.T) {
	moderator := events.GenerateKeys()
	_, at := serve(t, func(c *Config) { c.Moderators = []events.PubKey{moderator.PublicKey()} })
	c := client(t, at)
	b, err := c.Put(t.Context(), []string{at}, text("bad"))
	if err != nil {
		t.Fatal(err)
	}
	report := func(k events.Signer) int {
		ev := &nostr.Event{Kind: kindReport, CreatedAt: nostr.Now(), Tags: nostr.Tags{{"x", b.Sum, "malware"}}, Content: "bad"}
		if err := k.Sign(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
		return try{method: "PUT", path: "/report", body: ev.String()}.do(t, at).StatusCode
	}
	if got := report(events.GenerateKeys()); got != http.StatusOK {
		t.Errorf("a report: %d", got)
	}
	if err := c.Get(t.Context(), b, io.Discard); err != nil {
		t.Errorf("anybody's report removes it: %v", err)
	}
	if got := report(moderator); got != http.StatusOK {
		t.Errorf("a moderator's: %d", got)
	}
	if err := c.Get(t.Context(), b, io.Discard); err == nil {
		t.Error("it is still there")
	}
	var no *StatusError
	if _, err := c.Put(t.Context(), []string{at}, text("bad")); !errors.As(err, &no) || no.Status != http.StatusForbidden {
		t.Errorf("and comes again: %v", err)
	}
	other, err := c.Put(t.Context(), []string{at}, text("worse"))
	if err != nil {
		t.Fatal(err)
	}
	m := NewClient(ClientConfig{Signer: moderator, Trusted: []string{at}})
	t.Cleanup(m.Close)
	if err := m.Report(t.Context(), at, other.Sum, "malware", "it bites"); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), other, io.Discard); err == nil {
		t.Error("what a moderator reported is still there")
	}
	if got := (try{method: "PUT", path: "/report", body: "{}"}).do(t, at).StatusCode; got != http.StatusBadRequest {
		t.Errorf("no report: %d", got)
	}
}

// TestMirror copies from another server, and never from this machine's private parts (BUD-04).
func TestMirror(t *testing.T) {
	_, from := serve(t, nil)
	b, err := client(t, from).Put(t.Context(), []string{from}, text("hello"))
	if err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(from)
	_, at := serve(t, func(c *Config) { c.Fetch = guard.New(guard.Config{Trusted: []string{u.Host}}) })
	_, strict := serve(t, nil)
	k := events.GenerateKeys()
	mirror := func(server, address, sum string) *http.Response {
		h := map[string]string{"Authorization": auth(t, k, "upload", "", sum)}
		return try{"PUT", "/mirror", fmt.Sprintf(`{"url":%q}`, address), h}.do(t, server)
	}
	if resp := mirror(strict, b.URL(), b.Sum); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a private address: %s", resp.Status)
	}
	if resp := mirror(at, b.URL(), sumOfText("other")); resp.StatusCode != http.StatusConflict {
		t.Errorf("another hash: %s", resp.Status)
	}
	if resp := mirror(at, from+"/"+sumOfText("nothing"), sumOfText("nothing")); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("what is not there: %s", resp.Status)
	}
	if resp := mirror(at, b.URL(), b.Sum); resp.StatusCode != http.StatusCreated {
		t.Errorf("a good one: %s", resp.Status)
	}
	resp := try{method: "GET", path: "/" + b.Sum}.do(t, at)
	if body, _ := io.ReadAll(resp.Body); string(body) != "hello" || resp.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("mirrored %q, %v", body, resp.Header)
	}
}

// TestForeignServersAreClients has a server that knows neither BUD-06 nor PATCH, and redirects.
func TestForeignServers(t *testing.T) {
	files := map[string][]byte{}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		switch {
		case r.Method == "PUT" && name == "upload":
			body, _ := io.ReadAll(r.Body)
			sum := sumOfText(string(body))
			files[sum] = body
			json.NewEncoder(w).Encode(Descriptor{SHA256: sum, Size: int64(len(body))})
		case r.Method == "GET" && files[name] != nil:
			http.Redirect(w, r, "/cdn/"+name+".bin", http.StatusFound)
		case r.Method == "GET" && strings.HasPrefix(name, "cdn/"):
			w.Write(files[strings.TrimSuffix(name[4:], ".bin")])
		case r.Method == "GET" && name == sumOfText("secret"):
			http.Redirect(w, r, "/metrics", http.StatusFound)
		case name == "metrics":
			io.WriteString(w, "secret")
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer plain.Close()
	c := client(t, plain.URL)
	b, err := c.Put(t.Context(), []string{plain.URL}, text("hello"))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := c.Get(t.Context(), b, &got); err != nil || got.String() != "hello" {
		t.Errorf("%q, %v", &got, err)
	}
	trap := events.Blob{Sum: sumOfText("secret"), Servers: []string{plain.URL}}
	if err := c.Get(t.Context(), trap, io.Discard); !errors.Is(err, guard.ErrBlocked) {
		t.Errorf("redirected to what is no file: %v", err)
	}
	files[sumOfText("wanted")] = []byte("unwanted")
	if err := c.Get(t.Context(), events.Blob{Sum: sumOfText("wanted"), Servers: []string{plain.URL}}, io.Discard); !errors.Is(err, ErrWrong) {
		t.Errorf("other bytes: %v", err)
	}
	if err := client(t).Get(t.Context(), b, io.Discard); !errors.Is(err, guard.ErrBlocked) {
		t.Errorf("a private server that nobody trusts: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Get(ctx, b, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
