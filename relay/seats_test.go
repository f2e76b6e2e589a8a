package relay

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
)

// TestMoreConnectionsThanTheRelayTakesAreToldSo, before anything is done for them, and a place that is left is free.
func TestMoreConnectionsThanTheRelayTakesAreToldSo(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxConns = 3 })
	var all []*client
	for range 3 {
		all = append(all, dial(t, r))
	}
	ws, resp, err := websocket.Dial(ctx, r.URL(), nil)
	if err == nil {
		ws.CloseNow()
		t.Fatal("a fourth connection was taken")
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "3 connections") || resp.Header.Get("Retry-After") == "" {
		t.Errorf("got %s: %s", resp.Status, body)
	}
	all[0].ws.CloseNow()
	eventually(t, "a place that was left stays taken", func() bool {
		ws, _, err := websocket.Dial(ctx, r.URL(), nil)
		if err != nil {
			return false
		}
		ws.CloseNow()
		return true
	})
}

// TestOneAddressTakesOnlySoManyPlaces; of IPv6 a network is one. This machine's own may take all: a proxy may stand there.
func TestOneAddressTakesOnlySoManyPlaces(t *testing.T) {
	r, err := Open(ctx, Config{MaxConnsPerAddress: 2, MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var left []func()
	for _, c := range []struct {
		from string
		want int // 0 for a place
	}{
		{"192.0.2.1:1000", 0}, {"192.0.2.1:1001", 0}, {"192.0.2.1:1002", 429}, {"192.0.2.2:1000", 0},
		{"[2001:db8::1]:1", 0}, {"[2001:db8::2]:1", 0}, {"[2001:db8::3]:1", 429}, {"[::ffff:192.0.2.1]:5", 429}, {"[::ffff:192.0.2.2]:5", 0},
		{"127.0.0.1:1", 0}, {"[::1]:2", 0}, {"127.0.0.1:3", 503},
	} {
		leave, why := r.seat(c.from)
		if got := codeOf(why); got != c.want {
			t.Errorf("%s: %d, want %d", c.from, got, c.want)
		}
		if leave != nil {
			left = append(left, leave)
		}
	}
	for _, leave := range left {
		leave()
	}
	if len(r.seats.from) != 0 || r.seats.taken != 0 {
		t.Errorf("when all have left, %d places of %d addresses are taken", r.seats.taken, len(r.seats.from))
	}
}

func codeOf(no *full) int {
	if no == nil {
		return 0
	}
	return no.code
}
