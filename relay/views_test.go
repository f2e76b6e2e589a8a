package relay

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"infernet/events"
	"infernet/relay/market"
)

func fetch(t *testing.T, r *Relay, path string, to any) int {
	t.Helper()
	resp, err := http.Get("http" + strings.TrimPrefix(r.URL(), "ws") + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(to); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// TestTheMarketOverHTTP: nodes, jobs, what is known of a node, and history, from published events.
func TestTheMarketOverHTTP(t *testing.T) {
	now := &clock{now: time.Now()}
	dir := t.TempDir()
	r := start(t, func(c *Config) { c.Now, c.Dir = now.Now, dir })
	c := dial(t, r)
	c.take(announce(t, node, "Lantern", "llama3.1:8b"))
	c.take(signed(t, node, &events.Heartbeat{Head: events.Head{At: events.At(time.Now())}, Status: "ready", Capacity: 2}))
	c.take(auction(t))
	c.take(auction(t, node.PublicKey()))
	var v market.View
	if code := fetch(t, r, MarketPath, &v); code != 200 || v.Alive != 1 || len(v.Nodes) != 1 || v.Nodes[0].Name != "Lantern" || len(v.Models) != 1 || len(v.Jobs) != 2 {
		t.Errorf("%d: %+v", code, v)
	}
	var known struct{ Facts []market.Fact }
	if code := fetch(t, r, strings.Replace(NodePath, "{node}", string(node.PublicKey()), 1), &known); code != 200 || len(known.Facts) < 4 || known.Facts[0].Name != "first announced here" {
		t.Errorf("%d: %+v", code, known)
	}
	if code := fetch(t, r, strings.Replace(NodePath, "{node}", "x", 1), &known); code != 422 {
		t.Errorf("no key: %d", code)
	}
	if err := r.sample(ctx); err != nil {
		t.Fatal(err)
	}
	now.turn(20 * time.Minute) // its heartbeat is old, and its jobs are over
	if err := r.sample(ctx); err != nil {
		t.Fatal(err)
	}
	var history struct{ Samples []market.Sample }
	fetch(t, r, HistoryPath+"?model=llama3.1:8b", &history)
	if s := history.Samples; len(s) != 2 || s[0].Alive != 1 || s[0].Jobs != 2 || s[0].Open != 2 || s[1].Alive != 0 || s[1].Open != 0 || s[1].Jobs != 0 || s[0].Models["llama3.1:8b"].Nodes != 1 {
		t.Errorf("%+v", s)
	}
	fetch(t, r, HistoryPath+fmt.Sprintf("?since=%d", now.Now().Unix()-60), &history)
	if len(history.Samples) != 1 {
		t.Errorf("since a minute: %d", len(history.Samples))
	}
}
