package testnet

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/audit"
	"infernet/internal/ledger"
	"infernet/internal/testnet/lightning"
	"infernet/provider"
	"infernet/wallet"
)

// booked is one party of a market with its books.
type booked struct {
	role   ledger.Role
	ledger *ledger.Ledger
	wallet wallet.Wallet
	signer events.Signer
}

func (b *booked) facts(t *testing.T) ([]audit.Fact, []audit.Difference) {
	t.Helper()
	read := audit.Customer
	if b.role == ledger.Provider {
		read = audit.Node
	}
	facts, wrong, err := read(ctx, b.ledger, b.signer)
	if err != nil {
		t.Fatal(err)
	}
	return facts, wrong
}

// audited holds a party's books against each other, as 'infernet wallet audit' does.
func (b *booked) audited(t *testing.T, since time.Time) *audit.Report {
	t.Helper()
	facts, wrong := b.facts(t)
	s := audit.Scope{Facts: facts, Books: audit.Books{}, Since: since}
	for _, way := range []wallet.Way{wallet.In, wallet.Out} {
		found, err := b.wallet.(wallet.Lister).Entries(ctx, way, since)
		if errors.Is(err, wallet.ErrUnsupported) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		s.Books[way] = found
	}
	r := audit.Compare(s)
	r.Differences = append(r.Differences, wrong...)
	return r
}

func (b *booked) clean(t *testing.T, since time.Time) *audit.Report {
	t.Helper()
	r := b.audited(t, since)
	for _, d := range r.Differences {
		t.Errorf("%s: %s (job %s)", b.role, d.Text, d.Job)
	}
	return r
}

// books starts a node and a customer whose books a test looks at.
func (n *Net) books(engine string, payee, payer wallet.Wallet) (node, customer *booked, buyer *consumer.Consumer, stop func()) {
	keys := events.GenerateKeys()
	node = &booked{role: ledger.Provider, wallet: payee, signer: keys}
	p := n.Provider("node", engine, func(c *provider.Config) {
		c.Signer, c.Wallet = keys, payee.(wallet.Receiver)
		node.ledger = c.Ledger
	})
	customer = &booked{role: ledger.Customer, ledger: n.Ledger("buyer"), wallet: payer}
	buyer = n.Consumer("buyer", func(c *consumer.Config) { c.Wallet, c.Ledger = payer.(wallet.Payer), customer.ledger })
	return node, customer, buyer, p.Stop
}

// bought buys by each way to pay, and gives what was paid.
func bought(t *testing.T, buyer *consumer.Consumer) (paid events.Msat, jobs int) {
	t.Helper()
	for _, way := range []string{consumer.Auction, consumer.Direct, consumer.Plain} {
		for _, pay := range []string{events.PayPrepaid, events.PayHold, events.PaySealed} {
			if way == consumer.Plain && pay != events.PayPrepaid {
				continue
			}
			got, err := buyer.Do(ctx, Text("one two three", func(o *consumer.Order) { o.Way, o.Pay = way, []string{pay} }), nil)
			if err != nil {
				t.Fatalf("%s %s: %v", way, pay, err)
			}
			paid += got.Paid
			jobs++
		}
	}
	return paid, jobs
}

// TestBooksOfAMarketAgree buys by each way to pay, has jobs fail by each, and finds every satoshi's job and every job's
// payment in both parties' books, over wallets that take preimages and over plain NIP-47.
func TestBooksOfAMarketAgree(t *testing.T) {
	t.Parallel()
	n := Start(t)
	agree(t, n, n.Wallet("payee"), n.NWC("payer"), time.Time{})
}

// TestLightningBooksAgree is the same over real Lightning, two hops; the node's wallet may do nothing but make invoices.
func TestLightningBooksAgree(t *testing.T) {
	lightning.Test(t)
	n := Start(t)
	since := time.Now().Truncate(time.Second).Add(time.Second) // others have used this network
	Eventually(t, "a new second begins", func() bool { return !time.Now().Before(since) })
	agree(t, n, n.lnd("carol", lightning.Receive), n.lnd("alice", lightning.Both), since)
}

func agree(t *testing.T, n *Net, payee, payer wallet.Wallet, since time.Time) {
	node, customer, buyer, stop := n.books("echo:", payee, payer)
	paid, jobs := bought(t, buyer)
	stop()
	received, sent := node.clean(t, since), customer.clean(t, since)
	if received.In.Amount != paid || sent.Out.Amount != paid || received.Jobs != jobs || sent.Jobs != jobs || received.In.Payments != jobs {
		t.Errorf("paid %s for %d jobs; the node's books %+v, the customer's %+v", paid.Human(), jobs, received, sent)
	}
	if len(received.Open)+len(sent.Open) > 0 || received.Files.Payments+sent.Files.Payments > 0 {
		t.Errorf("open %v %v", received.Open, sent.Open)
	}

	broken := events.GenerateKeys()
	failing := &booked{role: ledger.Provider, wallet: payee, signer: broken}
	n.Provider("broken", "echo:?fail=broken&model=broken", func(c *provider.Config) {
		c.Signer, c.Wallet, failing.ledger = broken, payee.(wallet.Receiver), c.Ledger
	})
	owed := events.Msat(0)
	for _, pay := range []string{events.PayPrepaid, events.PayHold, events.PaySealed} {
		_, err := buyer.Do(ctx, Text("one two three", func(o *consumer.Order) {
			o.Pay, o.Params = []string{pay}, events.Params{param("model", "broken")}
		}), nil)
		var no *consumer.RefusedError
		if !errors.As(err, &no) {
			t.Fatalf("%s: %v", pay, err)
		}
		owed += no.Owed
	}
	if sent := customer.clean(t, since); sent.Out.Amount != paid+owed {
		t.Errorf("%s was paid, the customer's books say %s", (paid + owed).Human(), sent.Out.Amount.Human())
	}
	// both nodes have one wallet: what one of them knows belongs to a job
	facts, _ := node.facts(t)
	more, wrong := failing.facts(t)
	in, err := payee.(wallet.Lister).Entries(ctx, wallet.In, since)
	if err != nil {
		t.Fatal(err)
	}
	r := audit.Compare(audit.Scope{Facts: append(facts, more...), Books: audit.Books{wallet.In: in}, Since: since})
	if len(r.Differences)+len(wrong) > 0 || r.In.Amount != paid+owed {
		t.Errorf("%+v %+v", r, wrong)
	}
}

// TestPlantedDifferencesAreFound plants one of each kind in books that agree, beside real jobs: each is found, with its job,
// and nothing else is.
func TestPlantedDifferencesAreFound(t *testing.T) {
	t.Parallel()
	n := Start(t)
	payee, payer := n.Wallet("payee"), n.Wallet("payer")
	node, customer, buyer, stop := n.books("echo:", payee, payer)
	bought(t, buyer)
	stop()
	node.clean(t, time.Time{})
	customer.clean(t, time.Time{})

	var job events.ID
	id := func() events.ID {
		job = events.ID(strings.Repeat("0", 56) + wallet.NewPreimage().String()[:8])
		return job
	}
	invoice := func(amount events.Msat, text string) *wallet.Invoice {
		v, err := payee.(wallet.Receiver).Invoice(ctx, wallet.InvoiceRequest{Amount: amount, Description: text, Until: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	pay := func(v *wallet.Invoice) wallet.Preimage {
		r, err := payer.(wallet.Payer).Pay(ctx, v.Bolt11, 0)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	peer := events.GenerateKeys()
	taken := func(b *booked, facts map[string][]byte, evs ...*nostr.Event) events.ID {
		must(b.ledger.Take(id(), b.role, facts, evs...))
		return job
	}
	commit := func(v *wallet.Invoice, amount events.Msat) {
		first, err := customer.ledger.Commit(ledger.Commitment{Job: job, Hash: v.Hash, Payee: peer.PublicKey(), Bolt11: v.Bolt11, Amount: amount, At: time.Now()})
		if !first || err != nil {
			t.Fatal(first, err)
		}
	}
	sign := func(m events.Message, by events.Signer) *nostr.Event {
		ev, err := events.Sign(ctx, m, by)
		must(err)
		return ev
	}
	head := func() events.Head {
		return events.Head{At: events.At(time.Now()), Expires: events.At(time.Now().Add(time.Hour))}
	}
	terms := func(pay string) map[string][]byte {
		return map[string][]byte{"terms": []byte(`{"Pay":"` + pay + `","Amount":5000}`)}
	}
	asked := func(v *wallet.Invoice, pay string) {
		must(node.ledger.Keep(job, sign(&events.Invoice{
			Head: head(), Job: job, To: peer.PublicKey(), Amount: v.Amount, Bolt11: v.Bolt11, Pay: pay, Until: events.At(v.Until)}, node.signer)))
	}
	receipt := func(amount events.Msat, by, to events.Signer) *nostr.Event {
		return sign(&events.Receipt{Head: head(), Job: job, To: to.PublicKey(), Result: events.ID(strings.Repeat("ab", 32)), Amount: amount}, by)
	}
	const five = 5 * events.Sat

	for _, c := range []struct {
		name  string
		where *booked
		plant func()
		want  string
	}{
		{"the wallet paid what has no job", customer, func() { job = ""; pay(invoice(five, "a gift")) }, "5 sat was paid for no job"},
		{"the wallet was paid what has no job", node, func() { job = "" }, "5 sat was received for no job"}, // the same gift
		{"paid for a job of no ledger", customer, func() { pay(invoice(five, "infernet "+string(id()))) }, "for a job that no ledger here knows"},
		{"received for a job of no ledger", node, func() {}, "for a job that no ledger here knows"}, // the same
		{"the ledger says paid, the wallet never did", customer, func() {
			taken(customer, nil)
			r := wallet.NewPreimage()
			commit(&wallet.Invoice{Hash: r.Hash()}, five)
			must(customer.ledger.Settle(job, r))
		}, "the wallet knows nothing of it"},
		{"another amount was paid", customer, func() {
			taken(customer, nil)
			v := invoice(6*events.Sat, "infernet "+string(job))
			commit(v, five)
			must(customer.ledger.Settle(job, pay(v)))
		}, "the ledger says that 5 sat was paid, the wallet 6 sat"},
		{"given up, and paid", customer, func() {
			taken(customer, nil)
			v := invoice(five, "infernet "+string(job))
			commit(v, five)
			must(customer.ledger.Void(job, "no route"))
			pay(v)
		}, "the wallet says that 5 sat was paid, the ledger that it was not: no route"},
		{"ended without a payment, and paid", customer, func() {
			taken(customer, nil)
			v := invoice(five, "infernet "+string(job))
			commit(v, five)
			must(customer.ledger.Finish(job, "cancelled"))
			pay(v)
		}, "the ledger that it was not: it ended with cancelled"},
		{"paid for a job that was never taken", customer, func() {
			id()
			v := invoice(five, "infernet "+string(job))
			commit(v, five)
			must(customer.ledger.Settle(job, pay(v)))
		}, "a payment is written down for a job that the ledger does not know"},
		{"the receipt says another amount", customer, func() {
			v := invoice(five, "infernet x")
			key := events.GenerateKeys()
			taken(customer, map[string][]byte{"key": []byte(key.Secret())})
			must(customer.ledger.Keep(job, receipt(4*events.Sat, peer, key)))
			commit(v, five)
			must(customer.ledger.Settle(job, pay(v)))
		}, "the node signed that it received 4 sat, the ledger says 5 sat"},
		{"a receipt, and no proof of payment", customer, func() {
			key := events.GenerateKeys()
			taken(customer, map[string][]byte{"key": []byte(key.Secret())})
			must(customer.ledger.Keep(job, receipt(five, peer, key)))
			commit(invoice(five, "infernet x"), five)
			must(customer.ledger.Finish(job, "delivered"))
		}, "the node signed that it was paid, and the ledger has no proof of payment"},
		{"a sealed result that nobody paid", customer, func() {
			key := events.GenerateKeys()
			taken(customer, map[string][]byte{"key": []byte(key.Secret())})
			amount := five
			must(customer.ledger.Keep(job, sign(&events.Result{Head: head(), Kind: events.KindText + 1000, Job: job, To: key.PublicKey(), Status: "success", Model: "m",
				Content: "c2VhbGVk", X: strings.Repeat("cd", 32), Amount: &amount, Bolt11: invoice(five, "x").Bolt11, Encrypted: true,
				Sealed: &events.SealedTags{Sum: strings.Repeat("ab", 32), PaymentHash: strings.Repeat("ab", 32)}}, peer)))
			must(customer.ledger.Finish(job, "delivered"))
		}, "its sealed result was delivered for 5 sat, and no payment is written down"},
		{"a journal that does not open", customer, func() {
			key := events.GenerateKeys()
			taken(customer, map[string][]byte{"key": []byte(key.Secret())})
			bad := &nostr.Event{Kind: events.KindFeedback, CreatedAt: nostr.Now(), Tags: nostr.Tags{{"e", string(job)}, {"p", string(key.PublicKey())}, {"status", "processing"}, {"step", "nonsense"}}}
			must(peer.Sign(ctx, bad))
			must(customer.ledger.Keep(job, bad))
			r := wallet.NewPreimage()
			commit(&wallet.Invoice{Hash: r.Hash()}, five)
		}, "its journal cannot be read"},
		{"locked, though the job is given up", customer, func() {
			taken(customer, nil)
			v, err := payee.(wallet.Holder).HoldInvoice(ctx, wallet.InvoiceRequest{Amount: five, Description: "infernet " + string(job), Until: time.Now().Add(time.Hour)}, wallet.NewPreimage().Hash())
			must(err)
			commit(v, five)
			go payer.(wallet.Payer).Pay(ctx, v.Bolt11, 0)
			Eventually(t, "it is locked", func() bool {
				sent, err := payer.(wallet.Payer).Sent(ctx, v.Hash)
				return err == nil && sent.State == wallet.Pending
			})
			must(customer.ledger.Void(job, "it fell silent"))
			held := v.Hash
			t.Cleanup(func() { payee.(wallet.Holder).Cancel(ctx, held) })
		}, "5 sat is still locked, though the job has ended: it fell silent"},

		{"the node says paid, its wallet was not", node, func() {
			taken(node, terms(events.PayPrepaid))
			v := invoice(five, "infernet "+string(job))
			asked(v, events.PayPrepaid)
			_, err := node.ledger.Begin(job, &v.Hash)
			must(err)
		}, "the ledger says that 5 sat was received, the wallet that it is not yet"},
		{"the node gave up, and was paid", node, func() {
			taken(node, terms(events.PayPrepaid))
			v := invoice(five, "infernet "+string(job))
			asked(v, events.PayPrepaid)
			must(node.ledger.Finish(job, "not paid in time"))
			pay(v)
		}, "the wallet says that 5 sat was received, the ledger that it was not: it ended with not paid in time"},
		{"let go, and taken", node, func() {
			taken(node, terms(events.PayHold))
			v := invoice(five, "infernet "+string(job))
			asked(v, events.PayHold)
			_, err := node.ledger.Put(job, "let go", nil)
			must(err)
			pay(v)
		}, "the ledger that it was not: the locked money was let go"},
		{"a payment of no job", node, func() { id(); _, err := node.ledger.Claim(wallet.NewPreimage().Hash(), job); must(err) }, "a payment bought a job that the ledger does not know"},
		{"delivered without an invoice", node, func() {
			taken(node, terms(events.PayPrepaid), sign(&events.Result{Head: head(), Kind: events.KindText + 1000, Job: job, To: peer.PublicKey(), Status: "success", Model: "m", Content: "x"}, node.signer))
			must(node.ledger.Finish(job, "delivered"))
		}, "it was delivered for 5 sat, and no invoice was made for it"},
		{"a receipt for what was not claimed", node, func() {
			taken(node, terms(events.PayPrepaid))
			v := invoice(five, "infernet "+string(job))
			asked(v, events.PayPrepaid)
			pay(v)
			must(node.ledger.Keep(job, receipt(five, node.signer, peer)))
		}, "a receipt of 5 sat is signed, and the ledger has claimed no payment for it"},
		{"paid twice", node, func() {
			taken(node, terms(events.PayPrepaid))
			for range 2 {
				v := invoice(five, "infernet "+string(job))
				asked(v, events.PayPrepaid)
				pay(v)
				_, err := node.ledger.Claim(v.Hash, job)
				must(err)
			}
		}, "the job was paid for more than once"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := map[string]int{}
			for _, d := range c.where.audited(t, time.Time{}).Differences {
				before[d.Text+string(d.Job)]++
			}
			already := strings.HasPrefix(c.name, "the wallet was") || strings.HasPrefix(c.name, "received for") // planted on the other side
			c.plant()
			var found []audit.Difference
			for _, d := range c.where.audited(t, time.Time{}).Differences {
				if before[d.Text+string(d.Job)]--; before[d.Text+string(d.Job)] < 0 || already && d.Job == job {
					found = append(found, d)
				}
			}
			hits := 0
			for _, d := range found {
				if strings.Contains(d.Text, c.want) && d.Job == job {
					hits++
				} else if !already {
					t.Errorf("found besides: %s (job %s)", d.Text, d.Job)
				}
			}
			if hits != 1 {
				t.Errorf("want %q of job %s, found %+v", c.want, job, found)
			}
		})
	}
}
