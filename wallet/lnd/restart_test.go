package lnd_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"infernet/events"
	"infernet/internal/testnet/lightning"
	"infernet/wallet"
)

// again kills a node as kill -9 does and starts it anew.
func again(t *testing.T, node string) {
	t.Helper()
	n := lightning.Test(t).Node(node)
	n.Kill()
	if err := n.Start(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := n.Ready(within(t)); err != nil {
		t.Fatal(err)
	}
}

// TestAwaitSurvivesARestart listens for an invoice while its node is killed and comes back.
func TestAwaitSurvivesARestart(t *testing.T) {
	payee, payer := open(t, "carol", lightning.Receive).(wallet.Receiver), open(t, "alice", lightning.Spend).(wallet.Payer)
	v, err := payee.Invoice(within(t), wallet.InvoiceRequest{Amount: 3 * events.Sat, Description: "x", Until: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		s, err := payee.Await(within(t), v.Hash)
		if err == nil && (s.Amount != v.Amount || s.Held) {
			err = errors.New("it settled otherwise")
		}
		got <- err
	}()
	again(t, "carol")
	if r, err := payer.Pay(within(t), v.Bolt11, 0); err != nil || r.Hash() != v.Hash {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// TestALockedPaymentSurvivesKillsOfBothNodes kills the payee's node, and then the payer's, while a payment is locked: it is
// settled after that, and the payer's books have the preimage.
func TestALockedPaymentSurvivesKillsOfBothNodes(t *testing.T) {
	payee, payer := open(t, "carol", lightning.Receive), open(t, "alice", lightning.Spend).(wallet.Payer)
	r := wallet.NewPreimage()
	ask := wallet.InvoiceRequest{Amount: 3 * events.Sat, Description: "x", Until: time.Now().Add(time.Minute), Blocks: 52}
	v, err := payee.(wallet.Holder).HoldInvoice(within(t), ask, r.Hash())
	if err != nil {
		t.Fatal(err)
	}
	paid := make(chan error, 1)
	go func() {
		_, err := payer.Pay(within(t), v.Bolt11, 0)
		paid <- err
	}()
	if s, err := payee.(wallet.Receiver).Await(within(t), v.Hash); err != nil || !s.Held || s.Blocks < 40 {
		t.Fatalf("locked %+v, %v", s, err)
	}
	again(t, "carol")
	if s, err := payee.(wallet.Receiver).Await(within(t), v.Hash); err != nil || !s.Held {
		t.Fatalf("after the payee's restart it is %+v, %v", s, err)
	}
	again(t, "alice")
	if err := <-paid; !errors.Is(err, wallet.ErrUnavailable) {
		t.Errorf("the node was killed, and paying says %v", err)
	}
	if sent, err := payer.Sent(within(t), v.Hash); err != nil || sent.State != wallet.Pending {
		t.Fatalf("after the payer's restart it is %+v, %v", sent, err)
	}
	if err := payee.(wallet.Holder).Settle(within(t), r); err != nil {
		t.Fatal(err)
	}
	if got, err := payer.Pay(within(t), v.Bolt11, 0); err != nil || got != r {
		t.Errorf("asked again: %s, %v", got, err)
	}
}

// TestPatienceEndsAndThePaymentDoesNot has a payer give up while its payment is locked: the books go on.
func TestPatienceEndsAndThePaymentDoesNot(t *testing.T) {
	payee, payer := open(t, "carol", lightning.Receive), open(t, "alice", lightning.Spend).(wallet.Payer)
	r := wallet.NewPreimage()
	v, err := payee.(wallet.Holder).HoldInvoice(within(t), wallet.InvoiceRequest{Amount: events.Sat, Description: "x", Until: time.Now().Add(time.Minute)}, r.Hash())
	if err != nil {
		t.Fatal(err)
	}
	patience, cancel := context.WithCancel(within(t))
	paid := make(chan error, 1)
	go func() {
		_, err := payer.Pay(patience, v.Bolt11, 0)
		paid <- err
	}()
	if _, err := payee.(wallet.Receiver).Await(within(t), v.Hash); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-paid; !errors.Is(err, wallet.ErrInFlight) {
		t.Errorf("gave up: %v", err)
	}
	if err := payee.(wallet.Holder).Settle(within(t), r); err != nil {
		t.Fatal(err)
	}
	if got, err := payer.Pay(within(t), v.Bolt11, 0); err != nil || got != r {
		t.Errorf("asked again: %s, %v", got, err)
	}
}

// TestWhatAMacaroonAllows has a provider's wallet, which may only make invoices, asked for more, and one with no rights.
func TestWhatAMacaroonAllows(t *testing.T) {
	receiver := open(t, "carol", lightning.Receive)
	v, err := open(t, "dave", lightning.Receive).(wallet.Receiver).Invoice(within(t), wallet.InvoiceRequest{Amount: events.Sat, Until: time.Now().Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := receiver.(wallet.Payer).Pay(within(t), v.Bolt11, 0); !errors.Is(err, wallet.ErrUnsupported) || !errors.Is(err, wallet.ErrRejected) {
		t.Errorf("pay: %v", err)
	}
	if _, err := receiver.(wallet.Balancer).Balance(within(t)); !errors.Is(err, wallet.ErrUnsupported) {
		t.Errorf("balance: %v", err)
	}
	if _, err := open(t, "alice", lightning.Spend).(wallet.Receiver).Invoice(within(t), wallet.InvoiceRequest{Amount: events.Sat, Until: time.Now().Add(time.Minute)}); !errors.Is(err, wallet.ErrUnsupported) {
		t.Errorf("invoice: %v", err)
	}
}
