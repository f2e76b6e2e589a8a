package notify

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/testnet/peers"
)

// TestNostrToolsReadsPrivateMessages has the library of most web clients open what Send wraps: a short notice, and the
// longest one there is, in characters of four bytes; each twice, and it is the same message.
func TestNostrToolsReadsPrivateMessages(t *testing.T) {
	node, owner := events.GenerateKeys(), events.GenerateKeys()
	notices := []Notice{
		{ID: "a", At: events.At(time.Now()), Title: "Money is owed", Text: "73 sat \"quoted\" \\ <b>", Job: events.ID(strings.Repeat("ab", 32))},
		{ID: "b", At: events.At(time.Now()), Title: strings.Repeat("🔥", maxTitle/4), Text: strings.Repeat("🔥", maxText/4)},
	}
	var in bytes.Buffer
	for _, n := range notices {
		for range 2 {
			rumor := n.rumor(node.PublicKey(), owner.PublicKey())
			wrap, err := wrapFor(t.Context(), node, owner.PublicKey(), rumor)
			ok(t, err)
			in.WriteString(wrap.String() + "\n")
		}
	}
	cmd := peers.Node(t, "js/unwrap.mjs", owner.Secret())
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, &errs)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines: %s", len(lines), &out)
	}
	seen := map[string]int{}
	for i, line := range lines {
		var got struct {
			Rumor nostr.Event
			Hash  string
		}
		ok(t, json.Unmarshal([]byte(line), &got))
		n := notices[i/2]
		if got.Rumor.Kind != 14 || got.Rumor.PubKey != string(node.PublicKey()) || got.Rumor.Content != n.message() || got.Rumor.ID != got.Hash ||
			got.Rumor.Tags.GetFirst([]string{"p", string(owner.PublicKey())}) == nil || got.Rumor.Sig != "" {
			t.Errorf("it reads %s", line)
		}
		seen[got.Rumor.ID]++
	}
	if len(seen) != 2 {
		t.Errorf("two tries of one notice are not one message: %v", seen)
	}
}
