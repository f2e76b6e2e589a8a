package testnet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/blob"
	"infernet/internal/guard"
	"infernet/provider"
	"infernet/wallet"
)

// canaryText stands in every file of these tests: who must not read them is searched for it.
const canaryText = "the canary sings in the file "

// someFile writes a file of a size that nothing shrinks, with the canary in it.
func someFile(t *testing.T, size int) (path, sum string) {
	t.Helper()
	body := make([]byte, size)
	noise := rand.NewChaCha8([32]byte{byte(size)})
	noise.Read(body)
	copy(body[size/2:], canaryText)
	path = filepath.Join(t.TempDir(), "scan.raw")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	h := sha256.Sum256(body)
	return path, hex.EncodeToString(h[:])
}

// sings says in which file below a folder the canary can be read.
func sings(t *testing.T, dir string) (where string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		if bytes.Contains(body, []byte(canaryText)) {
			where = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return where
}

// TestFileInFileOut sends a file of 50 MB to a node and gets one back, paid in advance and sealed. Both travel encrypted;
// neither the relay nor the file server can read them, and the node keeps nothing.
func TestFileInFileOut(t *testing.T) {
	for _, c := range []struct {
		pay  string
		size int
	}{{events.PayPrepaid, 50_000_000}, {events.PaySealed, 1_000_000}} {
		t.Run(c.pay, func(t *testing.T) {
			n := Start(t)
			work := filepath.Join(t.TempDir(), "work")
			n.Provider("node", "echo:?files=true", func(c *provider.Config) { c.Dir = work })
			path, sum := someFile(t, c.size)
			out := filepath.Join(t.TempDir(), "out")
			began := time.Now()
			got, err := n.Buyer("buyer").Do(ctx, Text("look", func(o *consumer.Order) {
				o.Files, o.SizeIn, o.Out, o.Pay = []consumer.InFile{{Path: path}}, 100, out, []string{c.pay}
			}), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d bytes in and out, %s, in %s, paid %s", c.size, c.pay, time.Since(began).Round(time.Millisecond), got.Paid.Human())
			if got.Pay != c.pay || got.Text != "look "+sum || len(got.Files) != 1 {
				t.Fatalf("%s, %q, %+v", got.Pay, got.Text, got.Files)
			}
			body, err := os.ReadFile(got.Files[0].Path)
			if have := sha256.Sum256(body); err != nil || hex.EncodeToString(have[:]) != sum {
				t.Errorf("%d bytes came back, %v", len(body), err)
			}
			if where := sings(t, n.Dir); where != "" {
				t.Errorf("it can be read in %s", where)
			}
			if left, err := os.ReadDir(work); err != nil || len(left) > 0 {
				t.Errorf("the node keeps %v, %v", left, err)
			}
			if left, err := os.ReadDir(out); err != nil || len(left) != 1 {
				t.Errorf("the customer's folder has %v, %v", left, err)
			}
			if m := got.Result.Files[0]; m.Key != "" || m.Mime != "" || m.Size == 0 || m.URL() == "" {
				t.Errorf("what everybody may know of the file: %+v", m)
			}
		})
	}
}

// site is a web site that counts its visitors, and a guard that may go there.
func site(t *testing.T, handler http.HandlerFunc) (url string, visits *atomic.Int64, g *guard.Guard) {
	t.Helper()
	visits = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits.Add(1)
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL, visits, guard.New(guard.Config{Trusted: []string{server.Listener.Addr().String()}})
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, text)
	}
}

// TestInputsOfEveryType buys jobs whose input is a web page, an event, another job's result, or a file in clear.
func TestInputsOfEveryType(t *testing.T) {
	n := Start(t)
	url, _, g := site(t, says("from the web"))
	n.Provider("node", "echo:", func(c *provider.Config) { c.Guard = g })
	buyer := n.Buyer("buyer")
	first, err := buyer.Do(ctx, Text("from a job", func(o *consumer.Order) { o.Open = true }), nil)
	if err != nil {
		t.Fatal(err)
	}
	files := blob.NewClient(blob.ClientConfig{Signer: events.GenerateKeys(), Trusted: []string{blob.ServerOf(n.URL)}})
	defer files.Close()
	b, err := files.Put(ctx, []string{blob.ServerOf(n.URL)}, blob.Source{Data: strings.NewReader("from a file"), Size: 11, Mime: "text/plain"})
	if err != nil {
		t.Fatal(err)
	}
	note := n.note("from an event")
	for _, c := range []struct{ kind, value, want string }{
		{"url", url, "from the web"}, {"event", note, "from an event"}, {"job", string(first.Job), "from a job"}, {"blob", b.URI(), "from a file"},
	} {
		for _, way := range []string{consumer.Auction, consumer.Direct, consumer.Plain} {
			t.Run(c.kind+" "+way, func(t *testing.T) {
				got, err := buyer.Do(ctx, Text("say:", func(o *consumer.Order) {
					o.Inputs, o.Way, o.MaxCost = append(o.Inputs, events.Input{Value: c.value, Type: c.kind}), way, 1000*events.Sat
				}), nil)
				if err != nil {
					t.Fatal(err)
				}
				if got.Text != "say: "+c.want {
					t.Errorf("got %q", got.Text)
				}
			})
		}
	}
}

// note publishes something that is an event of the market and has text: a cancellation of nothing.
func (n *Net) note(text string) (id string) {
	n.T.Helper()
	p := n.Pool(ctx, events.GenerateKeys())
	ev, err := p.Say(ctx, &events.Cancel{Job: events.ID(strings.Repeat("ab", 32)), Kind: events.KindText, Reason: text})
	if err != nil {
		n.T.Fatal(err)
	}
	return ev.ID
}

// TestNothingIsFetchedBeforeAwardOrPayment has two nodes offer, and one be paid: only that one visits the site, and only
// after the money came.
func TestNothingIsFetchedBeforeAwardOrPayment(t *testing.T) {
	n := Start(t)
	url, visits, g := site(t, says("page"))
	var mu sync.Mutex
	before := map[string]int64{}
	for _, name := range []string{"a", "b"} {
		n.Provider(name, "echo:", func(c *provider.Config) {
			c.Guard = g
			c.Step = func(_ events.ID, step string) {
				if step == "offered" || step == "asked" || step == "paid" {
					mu.Lock()
					before[name+step] = visits.Load()
					mu.Unlock()
				}
			}
		})
	}
	order := Text("say:", func(o *consumer.Order) {
		o.Inputs = append(o.Inputs, events.Input{Value: url, Type: "url"})
		o.First, o.Window, o.Pay, o.MaxCost = false, time.Second, []string{events.PayPrepaid}, 1000*events.Sat
	})
	got, err := n.Buyer("buyer").Do(ctx, order, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Text != "say: page" || visits.Load() != 1 {
		t.Errorf("%q, after %d visits", got.Text, visits.Load())
	}
	mu.Lock()
	defer mu.Unlock()
	if len(before) < 4 {
		t.Errorf("the steps of both nodes: %v", before)
	}
	for step, n := range before {
		if n != 0 {
			t.Errorf("%d visits when %s", n, step)
		}
	}
}

// TestPrivateAddressesAreNoInputs names this machine in every type of input that can: nothing is reached, whatever was
// paid is owed back.
func TestPrivateAddressesAreNoInputs(t *testing.T) {
	n := Start(t)
	private, visits, _ := site(t, says("secret"))
	redirect, _, g := site(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, private, http.StatusFound) })
	node := n.Provider("node", "echo:", func(c *provider.Config) { c.Guard = g })
	buyer := n.Buyer("buyer")
	host := strings.TrimPrefix(private, "http://")
	for name, in := range map[string]events.Input{
		"url":      {Value: private, Type: "url"},
		"spelling": {Value: "http://2130706433/", Type: "url"},
		"redirect": {Value: redirect, Type: "url"},
		"file":     {Value: events.Blob{Sum: strings.Repeat("ab", 32), Servers: []string{"http://" + host}}.URI(), Type: "blob"},
		"relay":    {Value: strings.Repeat("ab", 32), Type: "event", Relay: "ws://" + host},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := buyer.Do(ctx, Text("say:", direct(node, func(o *consumer.Order) {
				o.Inputs, o.MaxCost, o.Pay = append(o.Inputs, in), 1000*events.Sat, []string{events.PayPrepaid}
			})), nil)
			var refused *consumer.RefusedError
			if !errors.As(err, &refused) || refused.Code != events.CodeInvalidParameter {
				t.Errorf("got %v", err)
			}
			if paid := name != "url" && name != "spelling"; refused != nil && paid != (refused.Owed > 0) {
				t.Errorf("owed %s", refused.Owed.Human())
			}
		})
	}
	if visits.Load() != 0 {
		t.Errorf("the private site had %d visits", visits.Load())
	}
}

// TestInputsThatAreNotWhatWasSaid pays for inputs that turn out too large, damaged or missing: the node owes the money.
func TestInputsThatAreNotWhatWasSaid(t *testing.T) {
	n := Start(t)
	long, _, g := site(t, says(strings.Repeat("word ", 3000)))
	node := n.Provider("node", "echo:", func(c *provider.Config) { c.Guard, c.MaxInput = g, 100_000 })
	buyer := n.Buyer("buyer")
	server := blob.ServerOf(n.URL)
	files := blob.NewClient(blob.ClientConfig{Signer: events.GenerateKeys(), Trusted: []string{server}})
	defer files.Close()
	var closed bytes.Buffer
	if _, err := blob.Encrypt(&closed, strings.NewReader("hello")); err != nil {
		t.Fatal(err)
	}
	otherKey, _ := blob.Encrypt(io.Discard, strings.NewReader("hello"))
	damaged, err := files.Put(ctx, []string{server}, blob.Source{Data: bytes.NewReader(closed.Bytes()), Size: int64(closed.Len()), Key: otherKey})
	if err != nil {
		t.Fatal(err)
	}
	big, err := files.Put(ctx, []string{server}, blob.Source{Data: bytes.NewReader(make([]byte, 100_001)), Size: 100_001})
	if err != nil {
		t.Fatal(err)
	}
	big.Size = 0 // it does not say
	for name, c := range map[string]struct {
		in   events.Input
		code string
	}{
		"longer than declared": {events.Input{Value: long, Type: "url"}, events.CodeTooLarge},
		"above the node's":     {events.Input{Value: big.URI(), Type: "blob"}, events.CodeTooLarge},
		"another key":          {events.Input{Value: damaged.URI(), Type: "blob"}, events.CodeUnavailable},
		"missing":              {events.Input{Value: events.Blob{Sum: strings.Repeat("ab", 32), Servers: []string{server}}.URI(), Type: "blob"}, events.CodeInvalidParameter},
		"no such event":        {events.Input{Value: strings.Repeat("ab", 32), Type: "event"}, events.CodeInvalidParameter},
		"no such job":          {events.Input{Value: n.note("no job"), Type: "job"}, events.CodeInvalidParameter},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := buyer.Do(ctx, Text("say:", direct(node, func(o *consumer.Order) {
				o.Inputs, o.SizeIn, o.MaxCost = append(o.Inputs, c.in), 1000, 1000*events.Sat
			})), nil)
			var refused *consumer.RefusedError
			if !errors.As(err, &refused) || refused.Code != c.code || refused.Owed == 0 {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestUploadsCanCostSomething has a file server that wants a satoshi for each started kilobyte (BUD-07).
func TestUploadsCanCostSomething(t *testing.T) {
	n := Start(t)
	till := n.Wallet("till")
	s, err := blob.Open(ctx, blob.Config{
		Dir: t.TempDir(), MinFree: 1, Wallet: till.(wallet.Receiver),
		Price: func(size int64) events.Msat { return events.Msat((size+999)/1000) * events.Sat },
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s)
	defer s.Close()
	defer server.Close()
	data := make([]byte, 4500)
	src := blob.Source{Data: bytes.NewReader(data), Size: int64(len(data))}
	poor := blob.NewClient(blob.ClientConfig{Signer: events.GenerateKeys(), Trusted: []string{server.URL}})
	defer poor.Close()
	if _, err := poor.Put(ctx, []string{server.URL}, src); err == nil || !strings.Contains(err.Error(), "paid") {
		t.Errorf("without a wallet: %v", err)
	}
	purse := n.Wallet("purse").(wallet.Payer)
	var last wallet.Preimage
	paid := 0
	rich := blob.NewClient(blob.ClientConfig{
		Signer: events.GenerateKeys(), Trusted: []string{server.URL},
		Pay: func(ctx context.Context, bolt11 string, _ int64) (wallet.Preimage, error) {
			paid++
			last, err = purse.Pay(ctx, bolt11, events.Sat)
			return last, err
		},
	})
	defer rich.Close()
	b, err := rich.Put(ctx, []string{server.URL}, src)
	if err != nil || paid != 1 {
		t.Fatalf("paid %d times, %v", paid, err)
	}
	if err := rich.Get(ctx, b, io.Discard); err != nil {
		t.Error(err)
	}
	if have, err := till.(wallet.Balancer).Balance(ctx); err != nil || have != 100_005*events.Sat {
		t.Errorf("the till has %s, %v", have.Human(), err)
	}
	again := blob.NewClient(blob.ClientConfig{
		Signer: rich.Signer, Trusted: []string{server.URL},
		Pay: func(context.Context, string, int64) (wallet.Preimage, error) { return last, nil },
	})
	defer again.Close()
	other := blob.Source{Data: bytes.NewReader(make([]byte, 4400)), Size: 4400}
	var no *blob.StatusError
	if _, err := again.Put(ctx, []string{server.URL}, other); !errors.As(err, &no) || no.Status != http.StatusBadRequest {
		t.Errorf("the payment of another file: %v", err)
	}
	again.Pay = func(context.Context, string, int64) (wallet.Preimage, error) { return wallet.NewPreimage(), nil }
	if _, err := again.Put(ctx, []string{server.URL}, other); !errors.As(err, &no) || no.Status != http.StatusBadRequest {
		t.Errorf("a preimage that opens nothing: %v", err)
	}
}

// TestANodePaysForWhatItGivesBack has a file server that wants 5 sat for an upload, and nodes that make files: paid jobs bring
// that in, sealed ones may never, and a server that asks for more than the job brought gets nothing.
func TestANodePaysForWhatItGivesBack(t *testing.T) {
	for _, c := range []struct {
		pay   string
		price events.Msat
		works bool
	}{
		{events.PayPrepaid, 5 * events.Sat, true}, {events.PayHold, 5 * events.Sat, true},
		{events.PaySealed, 5 * events.Sat, false}, {events.PayPrepaid, 50_000 * events.Sat, false},
	} {
		t.Run(c.pay+" "+c.price.Human(), func(t *testing.T) {
			n := Start(t)
			till := n.Wallet("till")
			node := n.Provider("node", "echo:?files=true", func(p *provider.Config) {
				s, err := blob.Open(ctx, blob.Config{
					Dir: t.TempDir(), MinFree: 1, Wallet: till.(wallet.Receiver), Price: func(int64) events.Msat { return c.price },
				})
				if err != nil {
					t.Fatal(err)
				}
				server := httptest.NewServer(s)
				t.Cleanup(func() { server.Close(); s.Close() })
				p.Servers = append(p.Servers, server.URL)
				p.Files = blob.NewClient(blob.ClientConfig{Signer: p.Signer, Trusted: append(p.Servers, blob.ServerOf(n.URL))})
			})
			path, _ := someFile(t, 2000)
			out := filepath.Join(t.TempDir(), "out")
			buyer := n.Consumer("buyer", func(b *consumer.Config) {
				b.Wallet = n.Wallet("buyer").(wallet.Payer)
				b.Servers = append([]string{blob.ServerOf(n.URL)}, node.Servers...)
			})
			_, err := buyer.Do(ctx, Text("look", func(o *consumer.Order) {
				o.Files, o.SizeIn, o.Out, o.Pay, o.Node = []consumer.InFile{{Path: path}}, 100, out, []string{c.pay}, node.Key
			}), nil)
			have, balance := till.(wallet.Balancer).Balance(ctx)
			if balance != nil {
				t.Fatal(balance)
			}
			got := have - 100_000*events.Sat
			if c.works && (err != nil || got != c.price) || !c.works && (err == nil || got != 0) {
				t.Errorf("the server got %s, %v", got.Human(), err)
			}
			if !c.works && err != nil && !strings.Contains(err.Error(), "may be paid") {
				t.Errorf("it is said as %v", err)
			}
		})
	}
}
