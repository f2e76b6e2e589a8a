package testnet

import (
	"errors"
	"strings"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/provider"
	"infernet/wallet"
)

func param(name, value string) events.Param { return events.Param{Name: name, Values: []string{value}} }

// direct asks one node, so that it must answer.
func direct(n *Node, change func(*consumer.Order)) func(*consumer.Order) {
	return func(o *consumer.Order) {
		o.Way, o.Node = consumer.Direct, n.Key
		if change != nil {
			change(o)
		}
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	n := Start(t)
	node := n.Provider("node", "echo:?context=40", nil)
	buyer := n.Buyer("buyer")
	for _, c := range []struct {
		name string
		edit func(*consumer.Order)
		code string
		text string
	}{
		{"unknown model", func(o *consumer.Order) { o.Params = events.Params{param("model", "ecko")} }, events.CodeUnsupportedModel, "echo"},
		{"bid too low", func(o *consumer.Order) { o.MaxCost = 2 * events.Sat }, events.CodeUnderbid, "2 sat"},
		{"prompt too large", func(o *consumer.Order) { o.Inputs[0].Value = strings.Repeat("word ", 200) }, events.CodeTooLarge, "40"},
		{"way to pay", func(o *consumer.Order) { o.Pay = []string{events.PayZap} }, events.CodeInvalidParameter, "zap"},
		{"private url input", func(o *consumer.Order) { o.Inputs[0] = events.Input{Value: "https://10.0.0.1", Type: "url"} }, events.CodeInvalidParameter, "public"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := buyer.Do(ctx, Text("one two", direct(node, c.edit)), nil)
			var refused *consumer.RefusedError
			if !errors.As(err, &refused) || refused.Code != c.code || !strings.Contains(refused.Text, c.text) {
				t.Errorf("got %v, want %s naming %s", err, c.code, c.text)
			}
		})
	}
	if c, err := buyer.Unfinished(); err != nil || len(c) > 0 {
		t.Errorf("left open: %v %v", c, err)
	}
}

func TestParametersOutOfBoundsAreRefusedBeforeTheyTravel(t *testing.T) {
	n := Start(t)
	_, err := n.Buyer("buyer").Do(ctx, Text("hi", func(o *consumer.Order) { o.Params = events.Params{param("temperature", "9")} }), nil)
	var bad *events.ParamError
	if !errors.As(err, &bad) || bad.Param != "temperature" {
		t.Errorf("got %v", err)
	}
}

func TestNobodyOffers(t *testing.T) {
	n := Start(t)
	n.Provider("node", "echo:?model=smol-135m", nil)
	buyer := n.Buyer("buyer")
	_, err := buyer.Do(ctx, Text("hi", func(o *consumer.Order) { o.Window, o.Params = time.Second, events.Params{param("model", "smoll-135m")} }), nil)
	var none *consumer.NoOffersError
	if !errors.As(err, &none) || len(none.Near) != 1 || none.Near[0] != "smol-135m" {
		t.Errorf("unknown model: %v", err)
	}
	if len(none.Refused) > 0 {
		t.Errorf("a node refused what was not addressed to it: %v", none.Refused)
	}
	_, err = buyer.Do(ctx, Text("hi", func(o *consumer.Order) { o.Window, o.MaxCost = time.Second, events.Sat }), nil)
	if !errors.As(err, &none) {
		t.Errorf("bid too low: %v", err)
	}
	if len(none.Refused) > 0 {
		t.Errorf("a node refused what was not addressed to it: %v", none.Refused)
	}
}

// TestEachModelHasItsPrice buys of a node whose model has a price of its own, and of one whose model has none.
func TestEachModelHasItsPrice(t *testing.T) {
	n := Start(t)
	for name, want := range map[string]events.Msat{"named": 7 * events.Sat, "unnamed": 3 * events.Sat} {
		node := n.Provider(name, "echo:?model="+name, func(c *provider.Config) {
			c.Prices, c.Price = map[string]events.Price{"named": {Base: 7 * events.Sat}}, events.Price{Base: 3 * events.Sat}
		})
		got, err := n.Buyer("buyer-"+name).Do(ctx, Text("hi", direct(node, nil)), nil)
		if err != nil || got.Paid != want {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestCustomerWithoutMoney(t *testing.T) {
	n := Start(t)
	n.Provider("node", "echo:", func(c *provider.Config) { c.Price = events.Price{Base: 200_000 * events.Sat} })
	buyer := n.Buyer("buyer")
	_, err := buyer.Do(ctx, Text("hi", func(o *consumer.Order) { o.MaxCost = 300_000 * events.Sat }), nil)
	if !errors.Is(err, wallet.ErrInsufficient) {
		t.Errorf("got %v", err)
	}
	if open, err := buyer.Unfinished(); err != nil || len(open) > 0 {
		t.Errorf("left open: %v %v", open, err)
	}
}

// TestBadInvoicesAreNotPaid has nodes that ask for other money than was agreed on.
func TestBadInvoicesAreNotPaid(t *testing.T) {
	n := Start(t)
	receiver := n.Wallet("rogue").(wallet.Receiver)
	invoice := func(w wallet.Receiver, amount events.Msat, text string) string {
		v, err := w.Invoice(ctx, wallet.InvoiceRequest{Amount: amount, Description: text, Until: time.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		return v.Bolt11
	}
	used := ""
	for _, c := range []struct {
		name  string
		payee string
		make  func(job events.ID) (bolt11 string, says events.Msat)
		why   string
	}{
		{"above the offer", "", func(job events.ID) (string, events.Msat) {
			return invoice(receiver, 60*events.Sat, "infernet "+string(job)), 60 * events.Sat
		}, "agreed was up to"},
		{"other than it says", "", func(job events.ID) (string, events.Msat) {
			return invoice(receiver, 50*events.Sat, "infernet "+string(job)), 10 * events.Sat
		}, "its message for"},
		{"for another job", "", func(events.ID) (string, events.Msat) {
			return invoice(receiver, 10*events.Sat, "infernet "+strings.Repeat("ab", 32)), 10 * events.Sat
		}, "made for something else"},
		{"of another payee", "02" + strings.Repeat("ab", 32), func(job events.ID) (string, events.Msat) {
			return invoice(receiver, 10*events.Sat, "infernet "+string(job)), 10 * events.Sat
		}, "the node announced"},
		{"garbage", "", func(events.ID) (string, events.Msat) { return "lnbcrt100n1garbage", 10 * events.Sat }, "malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := "rogue-" + strings.ReplaceAll(c.name, " ", "-")
			n.Rogue(name, c.payee, func(r *Rogue, m events.Message) {
				switch m := m.(type) {
				case *events.Request:
					if m.Model() == name {
						r.Offer(m, 10*events.Sat)
					}
				case *events.Award:
					text, says := c.make(m.Job)
					used = text
					r.Say(&events.Invoice{Head: r.Head(), Job: m.Job, To: m.Author, Amount: says, Bolt11: text, Pay: events.PayPrepaid, Until: m.Until})
				}
			})
			w := n.Wallet("buyer")
			buyer := n.Consumer("buyer-"+name, func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
			_, err := buyer.Do(ctx, Text("hi", func(o *consumer.Order) { o.Params = events.Params{param("model", name)} }), nil)
			var bad *consumer.BadInvoiceError
			if !errors.As(err, &bad) || !strings.Contains(bad.Why, c.why) {
				t.Errorf("invoice %s: got %v, want %q", used, err, c.why)
			}
			if have, err := w.(wallet.Balancer).Balance(ctx); err != nil || have != 100_000*events.Sat {
				t.Errorf("the customer has %s left, %v", have.Human(), err)
			}
		})
	}
}

// TestBadResultsAreRefused has a free node that delivers what it should not.
func TestBadResultsAreRefused(t *testing.T) {
	n := Start(t)
	for name, spoil := range map[string]func(*events.Result){
		"wrong hash":    func(m *events.Result) { m.X = events.ContentHash("something else") },
		"for another":   func(m *events.Result) { m.To = events.PubKey(strings.Repeat("cd", 32)) },
		"another model": func(m *events.Result) { m.Model = "tiny" },
		"not a success": func(m *events.Result) { m.Status = "partial" },
	} {
		t.Run(name, func(t *testing.T) {
			model := strings.ReplaceAll(name, " ", "-")
			n.Rogue(model, "", func(r *Rogue, m events.Message) {
				switch m := m.(type) {
				case *events.Request:
					if m.Model() == model {
						r.Offer(m, 0)
					}
				case *events.Award:
					result := &events.Result{
						Head: r.Head(), Kind: events.KindText + 1000, Job: m.Job, To: m.Author, Status: "success", Model: model,
						Content: "the answer", X: events.ContentHash("the answer"),
					}
					spoil(result)
					r.Say(result)
				}
			})
			_, err := n.Buyer("buyer-"+model).Do(ctx, Text("hi", func(o *consumer.Order) { o.Params = events.Params{param("model", model)} }), nil)
			var bad *consumer.BadResultError
			if !errors.As(err, &bad) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestNoShowIsReplacedByTheRunnerUp awards the cheapest node, which never answers; the next offer is ordered.
func TestNoShowIsReplacedByTheRunnerUp(t *testing.T) {
	n := Start(t)
	n.Rogue("cheap", "", func(r *Rogue, m events.Message) {
		if req, ok := m.(*events.Request); ok && req.Bids != nil {
			r.Offer(req, 0)
		}
	})
	honest := n.Provider("honest", "echo:", nil)
	w := n.Wallet("buyer")
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet, c.AnswerIn = w.(wallet.Payer), 4*time.Second })
	var told Told
	got, err := buyer.Do(ctx, Text("one two three", func(o *consumer.Order) { o.First, o.Window = false, 3*time.Second }), told.Hear)
	if err != nil {
		t.Fatal(err)
	}
	if got.Node != honest.Key || got.Text != "one two three" || got.Paid == 0 {
		t.Errorf("got %q of %s for %s", got.Text, got.Node, got.Paid.Human())
	}
	if names := told.Names(); !inOrder(names, []string{"Request", "Offer", "Offer", "Award", "Request", "Invoice", "Running", "Result", "Receipt"}) {
		t.Errorf("heard %v", names)
	}
	if open, err := buyer.Unfinished(); err != nil || len(open) > 0 {
		t.Errorf("left open: %v %v", open, err)
	}
}

// TestNodeThatVanishesAfterPaymentIsNotForgotten keeps the payment and the job until something comes.
func TestNodeThatVanishesAfterPaymentIsNotForgotten(t *testing.T) {
	n := Start(t)
	receiver := n.Wallet("rogue").(wallet.Receiver)
	n.Rogue("thief", "", func(r *Rogue, m events.Message) {
		switch m := m.(type) {
		case *events.Request:
			r.Offer(m, 10*events.Sat)
		case *events.Award:
			v, err := receiver.Invoice(ctx, wallet.InvoiceRequest{Amount: 10 * events.Sat, Description: "infernet " + string(m.Job), Until: time.Now().Add(time.Minute)})
			if err != nil {
				t.Error(err)
				return
			}
			r.Say(&events.Invoice{Head: r.Head(), Job: m.Job, To: m.Author, Amount: v.Amount, Bolt11: v.Bolt11, Pay: events.PayPrepaid, Until: m.Until})
			if _, err := receiver.Await(ctx, v.Hash); err != nil {
				t.Error(err)
			}
			r.Say(&events.Running{Head: r.Head(), Job: m.Job, To: m.Author, Lease: r.Head().At + 1})
		}
	})
	buyer := n.Buyer("buyer")
	_, err := buyer.Do(ctx, Text("hi", nil), nil)
	var gone *consumer.VanishedError
	if !errors.As(err, &gone) || gone.Paid != 10*events.Sat {
		t.Fatalf("got %v", err)
	}
	open, err := buyer.Unfinished()
	if err != nil || len(open) != 1 {
		t.Fatalf("the paid job is not kept open: %v %v", open, err)
	}
	c, err := buyer.Ledger.Commitment(open[0])
	if err != nil || c == nil || !c.Settled || c.Preimage.Hash() != c.Hash {
		t.Errorf("the proof of payment is not kept: %+v %v", c, err)
	}
}
