package cli

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"infernet/events"
	"infernet/internal/httpd"
	"infernet/internal/ledger"
	"infernet/internal/store"
	"infernet/nips/nip98"
)

// TestWhoReadsTheHistory asks with signatures of the node's key, its owner's and a stranger's, and with app keys.
func TestWhoReadsTheHistory(t *testing.T) {
	dir := t.TempDir()
	l, err := ledger.Open(filepath.Join(dir, "node.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Record(store.Topic, "canary", []byte("sings")); err != nil {
		t.Fatal(err)
	}
	a := &app{log: slog.New(slog.DiscardHandler), settings: &settings{values: map[string]string{"data_dir": dir}, source: map[string]string{}}}
	node, owner, stranger := events.GenerateKeys(), events.GenerateKeys(), events.GenerateKeys()
	keys, err := a.appKeys()
	if err != nil {
		t.Fatal(err)
	}
	door, err := httpd.Open(httpd.Config{Listen: "127.0.0.1:0", Keys: keys, Named: "provide"})
	if err != nil {
		t.Fatal(err)
	}
	rooms := &records{app: a, signer: node, opened: make(chan struct{})}
	mountHistory(door, rooms, string(node.PublicKey()), string(owner.PublicKey()), "")
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	defer wait.Wait()
	defer cancel()
	wait.Go(func() { door.Run(ctx) })
	wait.Go(func() { rooms.keep(ctx, nil) })

	const path = "/api/v1/history/settings"
	ask := func(set func(h http.Header)) (int, string) {
		req, err := http.NewRequest("GET", door.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		set(req.Header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body)
	}
	signed := func(k *events.Keys) func(h http.Header) {
		ev := nip98.Request{URL: door.URL() + path, Method: "GET"}.Event(time.Now())
		if err := k.Sign(ctx, ev); err != nil {
			t.Fatal(err)
		}
		return func(h http.Header) { h.Set("Authorization", nip98.Header(ev)) }
	}
	key := func(scopes ...string) func(h http.Header) {
		secret, _, err := keys.Issue(httpd.AppKey{Name: "x", Scopes: scopes}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return func(h http.Header) { h.Set("Authorization", "Bearer "+secret) }
	}
	for name, c := range map[string]struct {
		set  func(h http.Header)
		want int
	}{
		"the node": {signed(node), 200}, "its owner": {signed(owner), 200}, "a stranger": {signed(stranger), 403}, "nobody": {func(http.Header) {}, 401},
		"a key for it": {key(historyScope), 200}, "a key for everything": {key(), 200}, "a key for else": {key("money"), 403},
		"no key": {func(h http.Header) { h.Set("Authorization", "Bearer "+httpd.KeyPrefix+strings.Repeat("A", 43)) }, 401},
	} {
		if code, said := ask(c.set); code != c.want || strings.Contains(said, "sings") != (code == 200) {
			t.Errorf("%s: %d %s", name, code, said)
		}
	}
}
