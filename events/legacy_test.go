package events

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip04"
)

// legacy is a message as a client of NIP-04 closes it.
func legacy(t *testing.T, kind int, inside string, outside ...nostr.Tag) *nostr.Event {
	t.Helper()
	shared, err := nip04.ComputeSharedSecret(string(node.PublicKey()), customer.secret)
	if err != nil {
		t.Fatal(err)
	}
	cipher, err := nip04.Encrypt(inside, shared)
	if err != nil {
		t.Fatal(err)
	}
	ev := &nostr.Event{Kind: kind, CreatedAt: nostr.Timestamp(t0), Content: cipher, Tags: append(nostr.Tags{{"p", string(node.PublicKey())}, {"encrypted"}}, outside...)}
	if err := customer.Sign(ctx, ev); err != nil {
		t.Fatal(err)
	}
	return ev
}

// TestNIP04IsReadAndNeverWritten: plain requests only, by both parties; answers to them are NIP-44.
func TestNIP04IsReadAndNeverWritten(t *testing.T) {
	ev := legacy(t, KindText, `[["i","hello","text"],["bid","5000"]]`)
	for _, party := range []*Keys{node, customer} {
		m, err := Open(ctx, ev, party)
		if err != nil {
			t.Fatal(err)
		}
		if req := m.(*Request); req.Prompt() != "hello" || *req.Bid != 5000 || !req.Encrypted {
			t.Errorf("read %+v", req)
		}
	}
	if m, err := Open(ctx, ev, other); err != nil || !m.(*Request).Closed {
		t.Errorf("a stranger reads %+v, %v", m, err)
	}
	for name, ev := range map[string]*nostr.Event{
		"the profile outside": legacy(t, KindText, `[["i","hello","text"]]`, nostr.Tag{"profile", Profile}, nostr.Tag{"deadline", "1900000000"}),
		"the profile inside":  legacy(t, KindText, `[["i","hello","text"],["profile","infernet/1"],["deadline","1900000000"]]`),
		"a step":              legacy(t, KindFeedback, `[["status","processing"],["step","running"],["lease","9"]]`, nostr.Tag{"e", string(jobID)}),
	} {
		if m, err := Open(ctx, ev, node); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), "NIP-44") {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	answer, err := Sign(ctx, &Running{Job: jobID, To: customer.PublicKey(), Plain: true, Encrypted: true}, node)
	if err != nil || isLegacy(answer) {
		t.Errorf("the answer is %v, %v", answer, err)
	}
}

// TestBadNIP04IsAnError: the library dies of parts that are no whole blocks.
func TestBadNIP04IsAnError(t *testing.T) {
	block := base64.StdEncoding.EncodeToString(make([]byte, 16))
	short := base64.StdEncoding.EncodeToString(make([]byte, 15))
	for _, content := range []string{
		"?iv=", block + "?iv=", "?iv=" + block, short + "?iv=" + block, block + "?iv=" + short, block + "?iv=" + block + block,
		block + "?iv=" + block + "?iv=" + block, "?iv=?iv=", "%%%?iv=" + block,
		base64.StdEncoding.EncodeToString(make([]byte, 32)) + "?iv=" + base64.StdEncoding.EncodeToString(make([]byte, 32)),
	} {
		ev := legacy(t, KindText, `[]`)
		ev.Content = content
		if m, err := Open(ctx, ev, node); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q reads as %+v, %v", content, m, err)
		}
	}
}
