package events

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"
)

var (
	ctx      = context.Background()
	customer = testKeys("01")
	node     = testKeys("02")
	other    = testKeys("03")
	jobID    = ID(strings.Repeat("5e", 32))
	offerID  = ID(strings.Repeat("6f", 32))
)

func testKeys(b string) *Keys {
	k, err := NewKeys(strings.Repeat(b, 32))
	if err != nil {
		panic(err)
	}
	return k
}

func msat(m Msat) *Msat { return &m }

// samples has one full message of each type, with its signer.
func samples() map[string]struct {
	Signer *Keys
	Message
} {
	h := Head{At: 1_800_000_000, Expires: 1_800_604_800}
	c, n := customer.PublicKey(), node.PublicKey()
	type sample = struct {
		Signer *Keys
		Message
	}
	return map[string]sample{
		"announcement": {node, &Announcement{
			Head: Head{At: h.At}, Name: "node-1", Kinds: []int{5050, 5001}, Models: []string{"smol"}, Relays: []string{"wss://market.example"},
			Owner: other.PublicKey(),
			Profile: NodeProfile{Name: "Node 1", Amount: "flexible", SupportsEncryption: true, EncryptionSupported: true, Market: &Market{
				Version: 1, Concurrency: 2, Pay: []string{PayPrepaid, PaySealed}, Delivery: []string{DeliverPlain},
				GPUs:   []GPU{{"RTX 4090", 24564}},
				Models: []ModelOffer{{ID: "smol", Kinds: []int{5050}, Context: 2048, Price: Price{Base: 1000, In: 20, Out: 60}}},
			}},
		}},
		"heartbeat": {node, &Heartbeat{Head: Head{At: h.At, Expires: h.At + 360}, Status: "ready", Kinds: []int{5050}, Capacity: 2, Load: 1}},
		"request": {customer, &Request{
			Head: h, Kind: KindText, Profile: true, Inputs: []Input{{Value: "Spell lantern", Type: "text"}}, Output: "text/plain",
			Params: Params{{"model", []string{"smol"}}, {"stream", []string{"true"}}}, Bid: msat(100_000), Pay: []string{PayPrepaid},
			Relays: []string{"wss://market.example"}, Deadline: h.At + 300, SizeIn: 10, SizeOut: 100, Priority: "high",
			Require: []Require{{"vram_mb", "8000"}}, Bids: &Auction{Seconds: 5, Mode: "auto"}, Models: []string{"smol"}, Retry: offerID,
		}},
		"request_encrypted": {customer, &Request{
			Head: h, Kind: KindText, Profile: true, Inputs: []Input{{Value: "Spell lantern", Type: "text"}}, Bid: msat(100_000),
			Deadline: h.At + 300, To: []PubKey{n}, Address: "31990:" + string(n) + ":node-1", Price: offerID, Encrypted: true,
		}},
		"request_plain": {customer, &Request{
			Head: Head{At: h.At}, Kind: KindText, Inputs: []Input{{Value: "hi", Type: "text"}}, Deadline: h.At + 3600,
		}},
		"request_blob": {customer, &Request{
			Head: h, Kind: KindText, Profile: true, Inputs: []Input{{Value: sampleBlob.URI(), Type: "blob"}}, Bid: msat(100_000), SizeIn: 500,
			Deadline: h.At + 300, To: []PubKey{n}, Encrypted: true,
		}},
		"result_files": {node, &Result{
			Head: h, Kind: KindText + 1000, Job: jobID, To: c, Status: "success", Model: "smol", Content: WithFiles("one drawing", []Blob{clearBlob}),
			Files: []Blob{clearBlob}, X: ContentHash(WithFiles("one drawing", []Blob{clearBlob})),
		}},
		"result_files_encrypted": {node, &Result{
			Head: h, Kind: KindText + 1000, Job: jobID, To: c, Status: "success", Model: "smol", Content: WithFiles("one drawing", []Blob{sampleBlob}),
			Files: []Blob{sampleBlob.closed()}, Encrypted: true,
		}},
		"offer": {node, &Offer{
			Head: h, Job: jobID, To: c, Amount: 42_000, Cap: 60_000, Model: "smol", ETA: 3500, Until: h.At + 60,
			Delivery: DeliverPlain, Pay: PayPrepaid, Encrypted: true,
		}},
		"offer_open":  {node, &Offer{Head: h, Job: jobID, To: c, Model: "smol", Until: h.At + 60, Delivery: DeliverPlain, Pay: PayFree}},
		"offer_plain": {node, &Offer{Head: h, Job: jobID, To: c, Amount: 51_000, Cap: 51_000, Bolt11: "lnbc510n1x", Plain: true, Text: "pay me"}},
		"refusal":     {node, &Refusal{Head: h, Job: jobID, To: c, Code: CodeUnderbid, Text: "the bid is 1 sat, the price 42 sat", Owed: 1000}},
		"award":       {customer, &Award{Head: h, Job: jobID, Offer: offerID, Node: n, Amount: 42_000, Until: h.At + 30}},
		"invoice":     {node, &Invoice{Head: h, Job: jobID, To: c, Amount: 42_000, Bolt11: "lnbcrt420n1x", Pay: PayPrepaid, Until: h.At + 60, Encrypted: true}},
		"running":     {node, &Running{Head: h, Job: jobID, To: c, Lease: h.At + 120, Progress: 10}},
		"progress":    {node, &Running{Head: h, Job: jobID, To: c, Progress: 50}},
		"chunk":       {node, &Chunk{Head: h, Job: jobID, To: c, Seq: 3, Delta: " l-a-n"}},
		"chunk_fin":   {node, &Chunk{Head: h, Job: jobID, To: c, Seq: 4, Fin: true, X: ContentHash("l-a-n-t-e-r-n"), Encrypted: true}},
		"result": {node, &Result{
			Head: h, Kind: 6050, Job: jobID, To: c, Inputs: []Input{{Value: "Spell lantern", Type: "text"}}, Status: "success", Model: "smol",
			Usage: Usage{In: 5, Out: 9, Ms: 120}, Content: "l-a-n-t-e-r-n", X: ContentHash("l-a-n-t-e-r-n"),
		}},
		"result_encrypted": {node, &Result{Head: h, Kind: 6050, Job: jobID, To: c, Status: "success", Content: "l-a-n", Encrypted: true}},
		"result_sealed": {node, &Result{
			Head: h, Kind: 6050, Job: jobID, To: c, Status: "success", Content: "c2VhbGVk", Encrypted: true, Amount: msat(42_000),
			Bolt11: "lnbcrt420n1x", X: ContentHash("x"), Sealed: &SealedTags{Sum: ContentHash("s"), PaymentHash: ContentHash("h")},
		}},
		"statement": {node, &Statement{Head: h, Job: jobID, To: c, Seq: 3, Prev: offerID, Topped: 100_000, Drawn: 40_000, Withdrawn: 10_000, Open: 5000}},
		"request_credit": {customer, &Request{
			Head: h, Kind: KindText, Profile: true, Inputs: []Input{{Value: "Spell lantern", Type: "text"}}, Bid: msat(100_000), Pay: []string{PayCredit},
			Deadline: h.At + 300, To: []PubKey{n}, Credit: &Credit{Max: 60_000, Last: offerID}, Encrypted: true,
		}},
		"receipt":    {node, &Receipt{Head: h, Job: jobID, To: c, Result: offerID, Amount: 42_000}},
		"review":     {customer, &Review{Head: h, Job: jobID, Node: n, Rating: 5, Role: "customer", JobKind: 5050, Receipt: offerID, Text: "good"}},
		"reputation": {other, &Reputation{Head: h, Kind: KindReputation, Subject: string(n), Rank: 80}},
		"cancel":     {customer, &Cancel{Head: h, Job: jobID, Kind: 5050, Node: n, Reason: "not needed"}},
	}
}

func TestParseAndEventArePairs(t *testing.T) {
	for name, s := range samples() {
		t.Run(name, func(t *testing.T) {
			ev, err := Sign(ctx, s.Message, s.Signer)
			if err != nil {
				t.Fatal(err)
			}
			if err := Verify(ev); err != nil {
				t.Fatal(err)
			}
			s.head().ID, s.head().Author = ID(ev.ID), s.Signer.PublicKey()
			for _, reader := range []*Keys{customer, node} {
				got, err := Open(ctx, ev, reader)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(got, s.Message) {
					t.Errorf("opened\n%+v\nwant\n%+v", got, s.Message)
				}
			}
			if got, err := Open(ctx, ev, other); err != nil {
				t.Errorf("an outsider's view: %v", err)
			} else if ev.Tags.Find("encrypted") != nil && !isClosed(got) {
				t.Errorf("an outsider opened %+v", got)
			}
		})
	}
}

func TestCost(t *testing.T) {
	price := Price{Base: 1000, In: 20, Out: 60, Ms: 1}
	for _, c := range []struct {
		use     Usage
		percent int
		want    Msat
	}{
		{Usage{}, 100, 1000},
		{Usage{In: 1, Out: 1, Ms: 1}, 100, 1003}, // every part rounds up
		{Usage{In: 1000, Out: 1000}, 100, 1080},
		{Usage{In: 1000, Out: 1000}, 150, 1620},
		{Usage{In: 1}, 150, 1502}, // 1001 × 1.5 rounds up once
	} {
		got, err := price.Cost(c.use, c.percent)
		if err != nil || got != c.want {
			t.Errorf("Cost(%+v, %d) = %d, %v; want %d", c.use, c.percent, got, err, c.want)
		}
	}
	if _, err := (Price{In: MaxMsat}).Cost(Usage{In: 1 << 53}, 100); err != ErrAmount {
		t.Errorf("an overflow gives %v", err)
	}
	if got := Msat(1).CeilSat(); got != 1000 {
		t.Errorf("1 msat is invoiced as %d", got)
	}
}

func TestFoldOfOneJob(t *testing.T) {
	now := time.Unix(1_800_000_010, 0)
	req := samples()["request"].Message.(*Request)
	req.ID, req.Author, req.Bids = jobID, customer.PublicKey(), &Auction{Seconds: 5, Mode: "auto"}
	sign := func(name string) Message {
		s := samples()[name]
		ev, err := Sign(ctx, s.Message, s.Signer)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Open(ctx, ev, customer)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	var said []Message
	for _, step := range []struct {
		name string
		want State
	}{
		{"", StateOpen}, {"offer", StateOffered}, {"award", StateAwarded}, {"invoice", StateAwaitPayment},
		{"running", StateRunning}, {"refusal", StateFailed}, {"result", StateDelivered}, {"cancel", StateDelivered},
	} {
		if step.name != "" {
			said = append(said, sign(step.name))
		}
		if got := Fold(req, said, now); got.State != step.want {
			t.Errorf("after %q: %s, want %s", step.name, got.State, step.want)
		}
	}
}
