package events

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"
)

// TestWhatReadsReadsAgain spoils every message tag by tag with values that hostile and careless writers use: what Parse
// takes, it must take again from the message's own event, with the same meaning.
func TestWhatReadsReadsAgain(t *testing.T) {
	rnd := seed(t)
	values := []string{
		"", "0", "1", "00", "-1", "9007199254740991", "9007199254740992", string(jobID), strings.ToUpper(string(jobID)), "true", "text", "job", "prompt",
		"free", "sealed", "wss://a.example", "ws://127.0.0.1:1", "ws://127.evil.example", "CODE: text", "it broke", "payment_required", "error", "processing",
		"success", "partial", "offer", "award", "invoice", "running", "progress", "refusal", "receipt", Profile, "auto", "open", "1e3", "\u0000", "é", "null", "{}", "[]",
	}
	names := []string{
		"e", "p", "i", "param", "output", "bid", "pay", "relays", "size", "priority", "require", "bids", "t", "a", "price", "order", "retry", "profile", "deadline",
		"expiration", "status", "step", "amount", "cap", "model", "eta", "until", "delivery", "offer", "lease", "progress", "owed", "result", "seq", "fin", "x", "usage",
		"time", "sealed", "payment_hash", "request", "d", "k", "rating", "kind", "paid", "rank", "capacity", "input", "encrypted", "alt", "content",
	}
	var clear []*nostr.Event
	for _, s := range samples() {
		ev := s.Event()
		ev.ID, ev.PubKey = string(offerID), string(s.Signer.PublicKey())
		clear = append(clear, ev)
		open := *ev
		open.Tags = slices.DeleteFunc(slices.Clone(ev.Tags), func(t nostr.Tag) bool { return t[0] == "encrypted" })
		clear = append(clear, &open)
	}
	slices.SortFunc(clear, func(a, b *nostr.Event) int { return strings.Compare(a.String(), b.String()) })
	read := 0
	for range worlds {
		ev := *clear[rnd.IntN(len(clear))]
		ev.Tags = slices.Clone(ev.Tags)
		for range 1 + rnd.IntN(3) {
			tag := nostr.Tag{names[rnd.IntN(len(names))]}
			for range rnd.IntN(4) {
				tag = append(tag, values[rnd.IntN(len(values))])
			}
			switch at := rnd.IntN(max(1, len(ev.Tags))); {
			case len(ev.Tags) == 0 || rnd.IntN(3) == 0:
				ev.Tags = append(ev.Tags, tag)
			case rnd.IntN(3) == 0:
				ev.Tags = slices.Delete(ev.Tags, at, at+1)
			case rnd.IntN(2) == 0:
				ev.Tags[at] = append(nostr.Tag{ev.Tags[at][0]}, tag[1:]...)
			default:
				ev.Tags = append(ev.Tags, ev.Tags[at])
			}
		}
		m, err := Parse(&ev)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("not ErrMalformed: %v", err)
			}
			continue
		}
		if isClosed(m) {
			continue
		}
		read++
		again, err := Parse(m.Event())
		if err != nil {
			t.Fatalf("reads, but not its own event: %v\nread  %s\nwrote %s", err, &ev, m.Event())
		}
		a, _ := json.Marshal(m)
		b, _ := json.Marshal(again)
		if string(a) != string(b) {
			t.Fatalf("reads as\n%s\nand then as\n%s\nfrom %s", a, b, &ev)
		}
	}
	t.Logf("%d of %d spoiled events still read", read, worlds)
	if read < worlds/20 {
		t.Errorf("only %d spoiled events still read: nothing was tried", read)
	}
}

// TestLoopbackRelaysAreAddresses: a name that begins like a loopback address is somebody's server.
func TestLoopbackRelaysAreAddresses(t *testing.T) {
	for raw, good := range map[string]bool{
		"wss://a.example": true, "ws://127.0.0.1:7447": true, "ws://127.9.9.9": true, "ws://[::1]:7447": true, "ws://localhost:1": true,
		"ws://127.evil.example": false, "ws://127.0.0.1.evil.example": false, "ws://localhost.example": false, "ws://10.0.0.1": false,
		"http://127.0.0.1": false, "wss://": false, "": false, "a.example": false,
	} {
		if err := CheckRelay(raw); (err == nil) != good {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// TestKeysOfJSONAreExact: other languages tell "MARKET" from "market", so must we.
func TestKeysOfJSONAreExact(t *testing.T) {
	ev := samples()["announcement"].Event()
	ev.PubKey = string(node.PublicKey())
	ev.Content = `{"name":"n","NAME":"m","MARKET":{"v":1},"market":{"v":1,"MODELS":[{"id":"dear"}],"models":[{"id":"smol","ID":"x","price":{"BASE":5,"in":7}}]}}`
	m, err := Parse(ev)
	if err != nil {
		t.Fatal(err)
	}
	got := m.(*Announcement).Profile
	if got.Name != "n" || got.Market == nil || len(got.Market.Models) != 1 || got.Market.Models[0].ID != "smol" || got.Market.Models[0].Price != (Price{In: 7}) {
		t.Errorf("reads %+v, market %+v", got, got.Market)
	}

	result := samples()["result"].Event()
	result.PubKey = string(node.PublicKey())
	result.Tags = append(result.Tags, nostr.Tag{"request", `{"id":"` + string(offerID) + `","ID":"` + string(jobID) + `"}`})
	if _, err := Parse(result); !errors.Is(err, ErrMalformed) {
		t.Errorf("the request of another job passes behind a key in capitals: %v", err)
	}
}

// TestForeignAnnouncements: NIP-89 handlers of other applications fill the content as they like; only what is ours is held
// to our types.
func TestForeignAnnouncements(t *testing.T) {
	for content, good := range map[string]bool{
		`{"name":"n","amount":500,"nip90Params":{"size":{"required":false,"values":[1,2]}}}`: true,
		`{"name":["n"],"nip90Params":[]}`: true,
		`plain words`:                     false,
		`{"market":"yes"}`:                false,
		`{"market":{"v":1,"models":[{"id":"m","price":{"in":0.5}}]}}`: false,
	} {
		ev := samples()["announcement"].Event()
		ev.PubKey, ev.Content = string(node.PublicKey()), content
		if _, err := Parse(ev); (err == nil) != good {
			t.Errorf("%s: %v", content, err)
		}
	}
}

// TestProgressIsNoLease: a node that only reports how far it is has promised nothing, so it cannot break it.
func TestProgressIsNoLease(t *testing.T) {
	req := &Request{Head: Head{ID: jobID, Author: customer.PublicKey(), At: t0}, Kind: KindText, Profile: true, Deadline: t0 + 300, To: []PubKey{node.PublicKey()}}
	said := []Message{&Running{Head: Head{ID: offerID, Author: node.PublicKey(), At: t0}, Job: jobID, Progress: 5}}
	if got := Fold(req, said, time.Unix(int64(t0+10), 0)).State; got != StateAwarded {
		t.Errorf("a report of progress makes the job %s", got)
	}
}

// TestReceiptsAreClosed: a receipt in clear shows everybody who paid whom.
func TestReceiptsAreClosed(t *testing.T) {
	ev := samples()["receipt"].Event()
	ev.PubKey = string(node.PublicKey())
	ev.Tags = slices.DeleteFunc(ev.Tags, func(t nostr.Tag) bool { return t[0] == "encrypted" })
	if m, err := Parse(ev); !errors.Is(err, ErrMalformed) {
		t.Errorf("reads %+v, %v", m, err)
	}
}

// closed is an encrypted event with the given outside and inside, signed by the customer for the node.
func closed(t *testing.T, kind int, inside string, outside ...nostr.Tag) *nostr.Event {
	t.Helper()
	cipher, err := customer.Encrypt(ctx, node.PublicKey(), inside)
	if err != nil {
		t.Fatal(err)
	}
	ev := &nostr.Event{Kind: kind, CreatedAt: nostr.Timestamp(t0), Content: cipher, Tags: append(nostr.Tags{{"p", string(node.PublicKey())}, {"encrypted", "nip44"}}, outside...)}
	if err := customer.Sign(ctx, ev); err != nil {
		t.Fatal(err)
	}
	return ev
}

func TestOpenTrustsNothingInside(t *testing.T) {
	second := nostr.Tag{"p", string(other.PublicKey())}
	job := nostr.Tag{"e", string(jobID)}
	for name, c := range map[string]struct {
		ev  *nostr.Event
		why string
	}{
		"two nodes outside":      {closed(t, KindText, `[["i","x","text"]]`, second), "exactly one"},
		"null as a value":        {closed(t, KindText, `[["i",null,"text"]]`), "strings"},
		"null as a tag":          {closed(t, KindText, `[null]`), "empty tag"},
		"null as all":            {closed(t, KindText, `null`), "array of tags"},
		"a number as a value":    {closed(t, KindText, `[["bid",5]]`), "strings"},
		"no JSON":                {closed(t, KindText, `hello`), "array of tags"},
		"another job inside":     {closed(t, KindFeedback, `[["e","`+string(offerID)+`"],["status","processing"]]`, job), "inside"},
		"an encrypted award":     {closed(t, KindFeedback, `[["e","`+string(jobID)+`"],["status","processing"],["step","award"],["offer","`+string(offerID)+`"],["amount","5"],["until","9"]]`, job), "always clear"},
		"two jobs inside":        {closed(t, KindFeedback, `[["e","`+string(jobID)+`"],["e","`+string(jobID)+`"],["status","processing"],["step","running"],["lease","9"]]`, job), "twice"},
		"the profile of another": {closed(t, KindText, `[["profile","infernet/2"],["i","x","text"]]`), "not spoken"},
	} {
		m, err := Open(ctx, c.ev, node)
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %+v, %v; want it to say %q", name, m, err, c.why)
		}
	}
	m, err := Open(ctx, closed(t, KindText, `[["p","`+string(other.PublicKey())+`"],["param","prompt","hello"]]`), node)
	if err != nil {
		t.Fatal(err)
	}
	req := m.(*Request)
	if len(req.To) != 1 || req.To[0] != node.PublicKey() {
		t.Errorf("the p inside counts: %v", req.To)
	}
	if req.Prompt() != "hello" {
		t.Errorf("an encrypted plain job without i has the prompt %q", req.Prompt())
	}
}

// TestNumbersOfParams: what the bounds are checked of is what the engine will read.
func TestNumbersOfParams(t *testing.T) {
	for value, good := range map[string]bool{"5": true, "1e1": false, "0x10": false, "5.0": false, "+5": false, "": false, "NaN": false} {
		m := &Request{Kind: KindText, Inputs: []Input{{Value: "x", Type: "text"}}, Params: Params{{"max_tokens", []string{value}}}}
		if err := Kinds[KindText].Check(m); (err == nil) != good {
			t.Errorf("max_tokens %q: %v", value, err)
		}
	}
	for value, good := range map[string]bool{"0.5": true, "0": true, "5e-1": true, "0x1p-2": false, "inf": false, "": false, ".5": true} {
		m := &Request{Kind: KindText, Inputs: []Input{{Value: "x", Type: "text"}}, Params: Params{{"temperature", []string{value}}}}
		if err := Kinds[KindText].Check(m); (err == nil) != good {
			t.Errorf("temperature %q: %v", value, err)
		}
	}
}

// TestTheLargestFit: what may travel inline makes an event that every relay of the market takes.
func TestTheLargestFit(t *testing.T) {
	result := samples()["result_encrypted"].Message.(*Result)
	result.Content = strings.Repeat("x", MaxEncrypted)
	sealed := samples()["result_sealed"].Message.(*Result)
	f := SealedFor{Job: jobID, Node: node.PublicKey(), Customer: customer.PublicKey()}
	s, _, err := Seal(f, [32]byte{7}, make([]byte, MaxSealed))
	if err != nil {
		t.Fatal(err)
	}
	sealed.Content, sealed.Bolt11 = base64.StdEncoding.EncodeToString(s), "lnbc1"+strings.Repeat("q", 600)
	for name, m := range map[string]Message{"encrypted": result, "sealed": sealed} {
		ev, err := Sign(ctx, m, node)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if size := len(ev.String()); size > MaxEvent {
			t.Errorf("%s: an event of %d bytes", name, size)
		} else {
			t.Logf("%s: an event of %d bytes", name, size)
		}
	}
	result.Content += "x"
	if _, err := Sign(ctx, result, node); err == nil {
		t.Errorf("%d bytes travel encrypted", len(result.Content))
	}
	if _, _, err := Seal(f, [32]byte{7}, make([]byte, MaxSealed+1)); err == nil {
		t.Errorf("%d bytes are sold sealed", MaxSealed+1)
	}
}
