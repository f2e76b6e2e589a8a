package events

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"
)

var update = flag.Bool("update", false, "write testdata/vectors anew")

// vectors gives a file of testdata/vectors as it is, and writes it anew with -update; a stale one fails.
func vectors[T any](t *testing.T, name string, fresh func(old []T) []T) []T {
	t.Helper()
	path := filepath.Join("testdata", "vectors", name+".json")
	var have []T
	body, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(body, &have)
	}
	if err != nil && !*update {
		t.Fatalf("%v; run make vectors", err)
	}
	want, err := json.MarshalIndent(fresh(have), "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if bytes.Equal(want, body) {
		return have
	}
	if !*update {
		t.Fatalf("%s is stale; run make vectors and look at the difference", path)
	}
	if err := os.WriteFile(path, want, 0o644); err != nil {
		t.Fatal(err)
	}
	have = nil
	if err := json.Unmarshal(want, &have); err != nil {
		t.Fatal(err)
	}
	return have
}

// messageVector is one signed event, who signed it, and what its parties read in it.
type messageVector struct {
	Name    string          `json:"name"`
	Signer  string          `json:"signer"` // secret key
	Peer    string          `json:"peer,omitempty"`
	Event   *nostr.Event    `json:"event"`
	Type    string          `json:"type"`
	Message json.RawMessage `json:"message"`
}

func TestVectorsOfMessages(t *testing.T) {
	all := samples()
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range all {
			if !yield(name) {
				return
			}
		}
	})
	vs := vectors(t, "messages", func(old []messageVector) (fresh []messageVector) {
		for _, name := range names {
			s := all[name]
			at := slices.IndexFunc(old, func(v messageVector) bool { return v.Name == name })
			v := messageVector{Name: name, Signer: s.Signer.Secret(), Type: strings.TrimPrefix(fmt.Sprintf("%T", s.Message), "*events.")}
			if at >= 0 && says(t, old[at].Event, s.Message, s.Signer) {
				v.Event = old[at].Event // signatures and nonces are random: what still says the same stays
			} else {
				ev, err := Sign(ctx, s.Message, s.Signer)
				if err != nil {
					t.Fatal(err)
				}
				v.Event = ev
			}
			if v.Event.Tags.Find("encrypted") != nil {
				v.Peer = map[bool]string{true: node.Secret(), false: customer.Secret()}[s.Signer == customer]
			}
			m, err := Open(ctx, v.Event, s.Signer)
			if err != nil {
				t.Fatal(err)
			}
			if v.Message, err = json.Marshal(m); err != nil {
				t.Fatal(err)
			}
			fresh = append(fresh, v)
		}
		return fresh
	})
	t.Run("docs", func(t *testing.T) { holdPage(t, vs) })
	for _, v := range vs {
		t.Run(v.Name, func(t *testing.T) {
			if err := Verify(v.Event); err != nil {
				t.Fatal(err)
			}
			if v.Peer == "" {
				v.Peer = v.Signer
			}
			peer, err := NewKeys(v.Peer)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Open(ctx, v.Event, peer)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if err := json.Compact(&want, v.Message); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want.Bytes()) {
				t.Errorf("reads\n%s\nwant\n%s", got, want.Bytes())
			}
		})
	}
}

// says tells whether an event of an earlier run still says what the sample says, tag by tag.
func says(t *testing.T, ev *nostr.Event, m Message, s *Keys) bool {
	t.Helper()
	if Verify(ev) != nil {
		return false
	}
	fresh, err := Sign(ctx, m, s)
	if err != nil {
		t.Fatal(err)
	}
	plain := func(ev *nostr.Event) string {
		if !IsEncrypted(ev) {
			return ev.Content
		}
		text, err := s.Decrypt(ctx, PubKey(ev.Tags.Find("p")[1]), ev.Content)
		if err != nil {
			return "closed: " + ev.Content
		}
		return text
	}
	return ev.PubKey == fresh.PubKey && ev.Kind == fresh.Kind && ev.CreatedAt == fresh.CreatedAt &&
		reflect.DeepEqual(ev.Tags, fresh.Tags) && plain(ev) == plain(fresh)
}

// liberalVector is an event as a plain NIP-90 party sends it, unsigned, and what it is read as.
type liberalVector struct {
	Name    string          `json:"name"`
	Event   *nostr.Event    `json:"event"`
	Message json.RawMessage `json:"message"`
}

func TestVectorsOfLiberalReadings(t *testing.T) {
	c, n := string(customer.PublicKey()), string(node.PublicKey())
	request := func(content string, tags ...nostr.Tag) *nostr.Event {
		return &nostr.Event{ID: string(jobID), PubKey: c, CreatedAt: 1_800_000_000, Kind: 5050, Tags: append(nostr.Tags{}, tags...), Content: content}
	}
	answer := func(kind int, content string, tags ...nostr.Tag) *nostr.Event {
		return &nostr.Event{ID: string(offerID), PubKey: n, CreatedAt: 1_800_000_001, Kind: kind, Tags: append(nostr.Tags{}, tags...), Content: content}
	}
	e, p := nostr.Tag{"e", string(jobID)}, nostr.Tag{"p", c}
	cases := []liberalVector{
		{Name: "NDK request", Event: request("", nostr.Tag{"i", "what is the capital of France?", "text"}, nostr.Tag{"param", "model", "llama3.2"}, nostr.Tag{"output", "text/plain"}, nostr.Tag{"bid", "100000"}, nostr.Tag{"relays", "wss://relay.example"})},
		{Name: "Amethyst request: type prompt", Event: request("", nostr.Tag{"i", "hello", "prompt"}, nostr.Tag{"param", "top-k", "40"}, nostr.Tag{"param", "top-p", "0.9"})},
		{Name: "input without a type", Event: request("", nostr.Tag{"i", "hello"})},
		{Name: "two equal inputs are two", Event: request("", nostr.Tag{"i", "same", "text"}, nostr.Tag{"i", "same", "text"})},
		{Name: "no input: the param goes before the tag", Event: request("content", nostr.Tag{"input", "text", "tag"}, nostr.Tag{"param", "prompt", "param"})},
		{Name: "no input, prompt as a param", Event: request("", nostr.Tag{"param", "prompt", "hello"})},
		{Name: "no input, tag input", Event: request("", nostr.Tag{"input", "text", "Hi"})},
		{Name: "no input, prompt as content", Event: request("hello there")},
		{Name: "bid with a maximum, relays that are none", Event: request("", nostr.Tag{"i", "x", "text"}, nostr.Tag{"bid", "10_000", "20000"}, nostr.Tag{"relays", "wss://a.example", "http://b.example"}, nostr.Tag{"wss://c.example", "wss://c.example"})},
		{Name: "expiration before the hour is over", Event: request("", nostr.Tag{"i", "x", "text"}, nostr.Tag{"expiration", "1800000600"})},
		{Name: "encrypted with a bare tag", Event: request("cipher", nostr.Tag{"p", n}, nostr.Tag{"encrypted"})},
		{Name: "nostrdvm price", Event: answer(7000, "requires payment", e, nostr.Tag{"alt", "task requires payment"}, nostr.Tag{"status", "payment-required"}, nostr.Tag{"relays", "wss://a"}, p, nostr.Tag{"amount", "51000", "lightning:lnbc510n1x"}, nostr.Tag{"expiration", "1800000600"})},
		{Name: "NDK status with an underscore", Event: answer(7000, "", e, p, nostr.Tag{"status", "payment_required"}, nostr.Tag{"amount", "1000", "lnbc10n1x"})},
		{Name: "NDK processing", Event: answer(7000, "", nostr.Tag{"e", string(jobID), "", "job", c}, p, nostr.Tag{"status", "processing"})},
		{Name: "error with a code", Event: answer(7000, "", e, p, nostr.Tag{"status", "error", "UNDERBID: too little"})},
		{Name: "error in words, four elements", Event: answer(7000, "", e, p, nostr.Tag{"status", "Error", "it broke", "badly"})},
		{Name: "unknown status", Event: answer(7000, "in the queue", e, p, nostr.Tag{"status", "chain-scheduled"})},
		{Name: "nostrdvm result: p twice", Event: answer(6050, "the answer", nostr.Tag{"request", "{'id': 'python'}"}, e, p, nostr.Tag{"alt", "result"}, nostr.Tag{"status", "success"}, nostr.Tag{"i", "x", "text"}, nostr.Tag{"expiration", "1800000600"}, p)},
		{Name: "NDK result to a request that named the node", Event: answer(6050, "Paris", nostr.Tag{"p", n}, e, p, nostr.Tag{"status", "success"})},
		{Name: "NDK result", Event: answer(6050, "Paris", e, p, nostr.Tag{"status", "success"}, nostr.Tag{"amount", "1000", "lnbc10n1x"})},
		{Name: "feedback that is not stored", Event: answer(21999, "", e, p, nostr.Tag{"status", "processing"})},
	}
	vectors(t, "liberal", func([]liberalVector) []liberalVector {
		for i := range cases {
			m, err := Parse(cases[i].Event)
			if err != nil {
				t.Fatalf("%s: %v", cases[i].Name, err)
			}
			body, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			cases[i].Message = body
		}
		return cases
	})
}

// malformedVector is an event that is refused, unsigned, and words of the reason.
type malformedVector struct {
	Name  string       `json:"name"`
	Event *nostr.Event `json:"event"`
	Why   string       `json:"why"`
}

func TestVectorsOfMalformedEvents(t *testing.T) {
	spoil := func(name string, change func(ev *nostr.Event)) *nostr.Event {
		ev := samples()[name].Event()
		ev.ID, ev.PubKey = string(offerID), string(node.PublicKey())
		change(ev)
		return ev
	}
	add := func(tag ...string) func(*nostr.Event) {
		return func(ev *nostr.Event) { ev.Tags = append(ev.Tags, tag) }
	}
	set := func(tag ...string) func(*nostr.Event) {
		return func(ev *nostr.Event) {
			ev.Tags = append(slices.DeleteFunc(ev.Tags, func(t nostr.Tag) bool { return t[0] == tag[0] }), tag)
		}
	}
	drop := func(name string) func(*nostr.Event) {
		return func(ev *nostr.Event) {
			ev.Tags = slices.DeleteFunc(ev.Tags, func(t nostr.Tag) bool { return t[0] == name })
		}
	}
	cases := []malformedVector{
		{"another kind", &nostr.Event{Kind: 1}, "not a market event"},
		{"a number with an exponent", spoil("request", set("bid", "1e3")), "no number"},
		{"a hexadecimal number", spoil("request", set("bid", "0x3e8")), "no number"},
		{"a number with a space", spoil("request", set("bid", " 1000")), "no number"},
		{"an empty number", spoil("request", set("bid", "")), "no number"},
		{"a leading zero", spoil("request", set("bid", "010")), "no number"},
		{"a negative number", spoil("request", set("bid", "-1")), "no number"},
		{"above 2^53-1", spoil("request", set("bid", "9007199254740993")), "2^53-1"},
		{"a single tag twice", spoil("request", add("bid", "2")), "stands twice"},
		{"a tag without a value", spoil("request", set("bid")), "no value"},
		{"an empty tag", spoil("request", func(ev *nostr.Event) { ev.Tags = append(ev.Tags, nostr.Tag{}) }), "is empty"},
		{"an unknown profile", spoil("request", set("profile", "infernet/9")), "is not spoken"},
		{"the profile without a deadline", spoil("request", drop("deadline")), "deadline"},
		{"a profile without a name", spoil("request", set("profile", "")), "is not spoken"},
		{"a deadline of zero", spoil("request", set("deadline", "0")), "no moment"},
		{"an award until zero", spoil("award", set("until", "0")), "no moment"},
		{"a lease of zero", spoil("running", set("lease", "0")), "no moment"},
		{"two expirations", spoil("award", add("expiration", "1800604800")), "stands twice"},
		{"a size of one number", spoil("request", set("size", "5")), "units in and units out"},
		{"a requirement without a value", spoil("request", set("require", "gpu")), "a name and a value"},
		{"a price that is no id", spoil("request", set("price", "5")), "64 lower-case hex"},
		{"six relays", spoil("request", set("relays", "wss://a", "wss://b", "wss://c", "wss://d", "wss://e", "wss://f")), "at most 5"},
		{"a relay that is none", spoil("request", set("relays", "http://a.example")), "wss://"},
		{"an unencrypted relay elsewhere", spoil("request", set("relays", "ws://10.0.0.1")), "wss://"},
		{"a name that begins like this machine's address", spoil("request", set("relays", "ws://127.evil.example")), "wss://"},
		{"an unknown type of input", spoil("request", add("i", "x", "file")), "none of"},
		{"a job as input that is no id", spoil("request", add("i", "x", "job")), "64 lower-case hex"},
		{"an unknown way to pay", spoil("request", set("pay", "cash")), "none of"},
		{"an unknown priority", spoil("request", set("priority", "urgent")), "none of"},
		{"an unknown way to bid", spoil("request", set("bids", "5", "soon")), "none of"},
		{"an hour and more for offers", spoil("request", set("bids", "3601", "auto")), "3600"},
		{"sealed and streamed", spoil("request", set("pay", "sealed")), "streamed"},
		{"encrypted to two", spoil("request_encrypted", add("p", string(other.PublicKey()))), "exactly one"},
		{"a key in capitals", spoil("award", set("p", strings.ToUpper(string(node.PublicKey())))), "64 lower-case hex"},
		{"an unknown step", spoil("running", set("step", "sleeping")), "unknown"},
		{"a step without a name", spoil("running", set("step", "")), "unknown"},
		{"a receipt in clear", spoil("receipt", drop("encrypted")), "always encrypted"},
		{"an award that says it is encrypted, in clear", spoil("award", func(ev *nostr.Event) { add("encrypted", "nip44")(ev); drop("e")(ev) }), "missing"},
		{"a plain answer to a customer that is no key", spoil("offer_plain", set("p", "alice")), "64 lower-case hex"},
		{"a result for a customer that is no key", spoil("result", set("p", "alice")), "64 lower-case hex"},
		{"a step with another status", spoil("award", set("status", "success")), "this step has processing"},
		{"a status of four", spoil("award", set("status", "processing", "a", "b")), "three elements"},
		{"two jobs", spoil("award", add("e", string(offerID))), "stands twice"},
		{"no job", spoil("award", drop("e")), "missing"},
		{"an award without an offer", spoil("award", drop("offer")), "missing"},
		{"an award without an end", spoil("award", drop("until")), "missing"},
		{"an offer whose cap is below its amount", spoil("offer_open", set("amount", "5")), "below amount"},
		{"a paid offer that is free", spoil("offer_open", set("cap", "5")), "pay free with cap"},
		{"an error without a code", spoil("refusal", set("status", "error", "it broke")), "not CODE: text"},
		{"an invoice without a bolt11", spoil("invoice", func(ev *nostr.Event) { drop("encrypted")(ev); set("amount", "5")(ev) }), "no bolt11"},
		{"progress above 100", spoil("progress", set("progress", "101")), "101 percent"},
		{"a chunk without a number", spoil("chunk", drop("seq")), "missing"},
		{"a last chunk of another number", spoil("chunk", add("fin", "9")), "not the chunk's seq"},
		{"a chunk of 4097 bytes", spoil("chunk", func(ev *nostr.Event) { ev.Content = strings.Repeat("x", 4097) }), "at most 4096"},
		{"a result of another job's request", spoil("result", add("request", `{"id":"`+string(offerID)+`"}`)), "but the job is"},
		{"a result of another job's request, behind a key in capitals", spoil("result", add("request", `{"id":"`+string(offerID)+`","ID":"`+string(jobID)+`"}`)), "but the job is"},
		{"usage of one number", spoil("result", set("usage", "5")), "units in and units out"},
		{"a sealed result without its payment hash", spoil("result_sealed", drop("payment_hash")), "missing"},
		{"a sealed result without its hash", spoil("result_sealed", drop("x")), "missing"},
		{"a sealed result without an invoice", spoil("result_sealed", set("amount", "42000")), "carries a bolt11"},
		{"a rank above 100", spoil("reputation", set("rank", "101")), "above 100"},
		{"a heartbeat with a negative load", spoil("heartbeat", set("load", "-1")), "no number"},
		{"a sealed result in clear", spoil("result_sealed", drop("encrypted")), "encrypted and carries"},
		{"a sealed result of version 2", spoil("result_sealed", set("sealed", "2", ContentHash("s"))), "version 1"},
		{"a review of six", spoil("review", set("rating", "6")), "1 to 5"},
		{"a review of another address", spoil("review", set("d", string(offerID))), "not the job"},
		{"an announcement without a name", spoil("announcement", drop("d")), "missing"},
		{"an announcement that is no JSON", spoil("announcement", func(ev *nostr.Event) { ev.Content = "{" }), "content"},
		{"a price that is no whole number", spoil("announcement", func(ev *nostr.Event) { ev.Content = strings.ReplaceAll(ev.Content, `"in":20`, `"in":0.5`) }), "content"},
		{"a market that is no object", spoil("announcement", func(ev *nostr.Event) { ev.Content = `{"market":"yes"}` }), "content"},
		{"a negative price", spoil("announcement", func(ev *nostr.Event) { ev.Content = strings.ReplaceAll(ev.Content, `"in":20`, `"in":-20`) }), "out of range"},
	}
	for _, v := range vectors(t, "malformed", func([]malformedVector) []malformedVector { return cases }) {
		_, err := Parse(v.Event)
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), v.Why) {
			t.Errorf("%s: %v, want it to say %q", v.Name, err, v.Why)
		}
	}
}

// priceVector is a price, a use and what it costs.
type priceVector struct {
	Price   Price `json:"price"`
	Usage   Usage `json:"usage"`
	Percent int   `json:"percent"`
	Msat    Msat  `json:"msat"` // -1: more than can be said
	Invoice Msat  `json:"invoice"`
}

func TestVectorsOfPrices(t *testing.T) {
	vectors(t, "prices", func([]priceVector) (fresh []priceVector) {
		for _, price := range []Price{{}, {Base: 1000}, {Base: 1, In: 20, Out: 60, Ms: 1}, {In: MaxMsat}} {
			for _, use := range []Usage{{}, {In: 1, Out: 1, Ms: 1}, {In: 999, Out: 1001, Ms: 12345}, {In: 1 << 40}} {
				for _, percent := range []int{80, 100, 150} {
					v := priceVector{Price: price, Usage: use, Percent: percent, Msat: -1}
					if cost, err := price.Cost(use, percent); err == nil {
						v.Msat, v.Invoice = cost, cost.CeilSat()
					}
					fresh = append(fresh, v)
				}
			}
		}
		return fresh
	})
}

// sealedVector is one sealed result with all that it is made of, hex unless said otherwise.
type sealedVector struct {
	Job, Node, Customer ID
	R, Salt, Nonce, K   string
	Text                string // as it is
	Hash, S, Sum, X     string // S is base64
}

func TestVectorsOfSealedResults(t *testing.T) {
	v := vectors(t, "sealed", func([]sealedVector) []sealedVector {
		return []sealedVector{{
			Job: "5e8c9902207afaeb7120430c585a445f21e92932081d64bc99f80e4925bcb002", Node: ID(testKeys("02").PublicKey()), Customer: ID(testKeys("01").PublicKey()),
			R: strings.Repeat("07", 32), Salt: strings.Repeat("09", 32), Nonce: strings.Repeat("03", 12), K: "4b6af9dd97345cac6bb2407f5cc19406e45d159b2e079559f22f107bc5309462", Text: "The capital of France is Paris.",
			Hash: "4bb06f8e4e3a7715d201d573d0aa423762e55dabd61a2c02278fa56cc6d294e0",
			S:    "AwMDAwMDAwMDAwMDJHEQW3VtXK/M82fLPE9cBvVwYhjN7gAphUZWgrrmbuIREo0YeA3MRBVh9DHVrCeeh1K5krKNfYVV1VcRppyWiHJ9qENoNMNXZ0PKQd96qQ==",
			Sum:  "893f00271f83d99828dadfcd3cdea9113f67f3a6b9d1ac5ab65dabf9ae0c93d6",
			X:    "2637fb2934dc4f6dafaff8a51241485ac630d41c4776500abe3aec6d7c537f6b",
		}}
	})[0]
	f := SealedFor{Job: v.Job, Node: PubKey(v.Node), Customer: PubKey(v.Customer)}
	var r, salt [32]byte
	var nonce [12]byte
	for to, from := range map[*[]byte]string{ptr(r[:]): v.R, ptr(salt[:]): v.Salt, ptr(nonce[:]): v.Nonce} {
		if _, err := hex.Decode(*to, []byte(from)); err != nil {
			t.Fatal(err)
		}
	}
	job, err := hex.DecodeString(string(v.Job))
	if err != nil {
		t.Fatal(err)
	}
	if k, err := hkdf.Key(sha256.New, r[:], job, sealedInfo, 32); err != nil || hex.EncodeToString(k) != v.K {
		t.Errorf("K %x, %v", k, err)
	}
	if hash := sha256.Sum256(r[:]); hex.EncodeToString(hash[:]) != v.Hash {
		t.Errorf("H %x", hash)
	}
	sealed, x, err := seal(f, r, []byte(v.Text), salt, nonce)
	if err != nil {
		t.Fatal(err)
	}
	if got := base64.StdEncoding.EncodeToString(sealed); got != v.S || x != v.X || SealedSum(sealed) != v.Sum {
		t.Errorf("S %s\nx %s\nsum %s", got, x, SealedSum(sealed))
	}
	if text, err := Unseal(f, r, sealed, x); err != nil || string(text) != v.Text {
		t.Errorf("opens to %q, %v", text, err)
	}
	wrong := r
	wrong[0]++
	other := f
	other.Job = offerID
	for name, open := range map[string]func() ([]byte, error){
		"another key":  func() ([]byte, error) { return Unseal(f, wrong, sealed, x) },
		"another job":  func() ([]byte, error) { return Unseal(other, r, sealed, x) },
		"another hash": func() ([]byte, error) { return Unseal(f, r, sealed, ContentHash("x")) },
		"cut":          func() ([]byte, error) { return Unseal(f, r, sealed[:20], x) },
		"changed":      func() ([]byte, error) { return Unseal(f, r, append(bytes.Clone(sealed[:len(sealed)-1]), 0), x) },
	} {
		if _, err := open(); !errors.Is(err, ErrFraud) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func ptr(b []byte) *[]byte { return &b }

// foldVector is a job and what was said, by name in messages.json, and where it stands.
type foldVector struct {
	Name  string          `json:"name"`
	Job   json.RawMessage `json:"request"`
	Said  []foldMessage   `json:"said"`
	Now   Unix            `json:"now"`
	State State           `json:"state"`
	Node  PubKey          `json:"node,omitempty"`
	Flags []string        `json:"flags,omitempty"`
}

// foldMessage is a message with its type.
type foldMessage struct {
	Type    string          `json:"type"`
	Message json.RawMessage `json:"message"`
}

func TestVectorsOfFolds(t *testing.T) {
	// random worlds of one fixed seed: many of each state, each with what was said about it
	vectors(t, "folds", func([]foldVector) (fresh []foldVector) {
		rnd, count := fixedRand(), map[State]int{}
		for len(fresh) < 72 {
			w := randomWorld(rnd)
			now := t0 + Unix(rnd.IntN(400))
			job := Fold(w.req, w.said, now.Time())
			if count[job.State]++; count[job.State] > 6 {
				continue
			}
			v := foldVector{Name: fmt.Sprintf("%s %d", job.State, count[job.State]), Now: now, State: job.State, Job: raw(t, w.req)}
			for _, m := range w.said {
				v.Said = append(v.Said, foldMessage{strings.TrimPrefix(fmt.Sprintf("%T", m), "*events."), raw(t, m)})
			}
			if job.Best != nil {
				v.Node = job.Best.Node
			}
			if job.Cancelled {
				v.Flags = append(v.Flags, "cancelled")
			}
			if job.Conflict {
				v.Flags = append(v.Flags, "conflict")
			}
			fresh = append(fresh, v)
		}
		return fresh
	})
}

func raw(t *testing.T, v any) json.RawMessage {
	t.Helper()
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
