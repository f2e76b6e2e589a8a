package relay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/relay/reconcile"
)

// TestComparisonsAreBounded: of one connection, of all, and what they hold is given back.
func TestComparisonsAreBounded(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	for i := range 40 {
		c.take(sign(t, node, 1, time.Now().Add(-time.Duration(i)*time.Second), fmt.Sprint(i)))
	}
	all := reconcile.Message{{Until: reconcile.Infinity, Mode: reconcile.Fingerprint}}.String()
	for i := range maxNegs {
		c.say("NEG-OPEN", fmt.Sprint(i), nostr.Filter{Kinds: []int{1}}, all)
		c.hear("NEG-MSG")
	}
	c.say("NEG-OPEN", "more", nostr.Filter{}, all)
	if why := text(c.hear("NEG-ERR")[2]); !strings.HasPrefix(why, "rate-limited: ") {
		t.Errorf("one more: %q", why)
	}
	c.say("NEG-CLOSE", "0")
	c.say("NEG-OPEN", "more", nostr.Filter{Kinds: []int{1}, Limit: 5}, all)
	if m, err := reconcile.Parse(text(c.hear("NEG-MSG")[2])); err != nil || len(m) != 1 || len(m[0].IDs) != 5 {
		t.Errorf("limit 5: %v, %v", m, err)
	}
	c.say("NEG-MSG", "0", all)
	if why := text(c.hear("NEG-ERR")[2]); !strings.HasPrefix(why, "closed: ") {
		t.Errorf("after NEG-CLOSE: %q", why)
	}
	if !r.negs.take(maxNegsEvents - (maxNegs-1)*40 - 5) {
		t.Error("they hold more than they should")
	}
	c.say("NEG-CLOSE", "more")
	c.say("NEG-OPEN", "full", nostr.Filter{Kinds: []int{1}}, all)
	if why := text(c.hear("NEG-ERR")[2]); !strings.HasPrefix(why, "blocked: ") {
		t.Errorf("no room: %q", why)
	}
	r.negs.give(maxNegsEvents - (maxNegs-1)*40 - 5)
	c.ws.CloseNow()
	eventually(t, "what a connection held is not given back", func() bool {
		r.negs.mu.Lock()
		defer r.negs.mu.Unlock()
		return r.negs.events == 0
	})
}

// TestComparingHidesWhatIsPrivate: who may not read an encrypted job does not learn of it.
func TestComparingHidesWhatIsPrivate(t *testing.T) {
	r := start(t, func(c *Config) { c.PrivateJobs = true })
	c := dial(t, r)
	job := sign(t, customer, events.KindText, time.Now(), "closed", nostr.Tag{"p", string(node.PublicKey())}, nostr.Tag{"encrypted"})
	c.take(job)
	all := reconcile.Message{{Until: reconcile.Infinity, Mode: reconcile.Fingerprint}}.String()
	c.say("NEG-OPEN", "n", nostr.Filter{IDs: []string{job.ID}}, all)
	if m, err := reconcile.Parse(text(c.hear("NEG-MSG")[2])); err != nil || len(m) != 1 || len(m[0].IDs) != 0 {
		t.Errorf("a stranger hears %v, %v", m, err)
	}
	c.say("NEG-OPEN", "n", nostr.Filter{Tags: nostr.TagMap{"p": {string(node.PublicKey())}}}, all)
	if why := text(c.hear("NEG-ERR")[2]); !strings.HasPrefix(why, "auth-required: ") {
		t.Errorf("%q", why)
	}
}

func TestNegWithJunk(t *testing.T) {
	c := dial(t, start(t, nil))
	for _, line := range []string{`["NEG-`, `["NEG-OPEN"]`, `["NEG-OPEN","x"]`, `["NEG-OPEN","x",{},7]`, `["NEG-MSG"]`, `["NEG-CLOSE"]`, `["NEG-HELLO","x"]`, `["NEG-OPEN",7,{},"61"]`} {
		c.ws.Write(ctx, 1, []byte(line))
		c.hear("NOTICE")
	}
	for _, line := range []string{`["NEG-OPEN","x",7,"61"]`, `["NEG-OPEN","x",{"search":"a"},"61"]`, `["NEG-OPEN","","{}","61"]`, `["NEG-MSG","x","61"]`, `["NEG-OPEN","x",{},"610000028fffffff7f"]`} {
		c.ws.Write(ctx, 1, []byte(line))
		c.hear("NEG-ERR")
	}
}
