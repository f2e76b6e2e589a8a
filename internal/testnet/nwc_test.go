package testnet

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/testnet/peers"
	"infernet/nips/nip47"
	"infernet/provider"
	"infernet/wallet"
	"infernet/wallet/bolt11"
	"infernet/wallet/wallettest"
)

// TestAlbysClientOnPlayMoney has the client of @getalby/sdk call each of its methods on our wallet service, by both
// encryptions.
func TestAlbysClientOnPlayMoney(t *testing.T) {
	for _, encryption := range []string{nip47.NIP44, nip47.NIP04} {
		t.Run(encryption, func(t *testing.T) {
			n := Start(t)
			cmd := peers.Node(t, "nwc/client.mjs")
			cmd.Env = append(cmd.Environ(), "PAYER="+n.Bank.URI(events.GenerateKeys()).String(), "PAYEE="+n.Bank.URI(events.GenerateKeys()).String(), "ENCRYPTION="+encryption)
			said, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, said)
			}
			lines := strings.Split(strings.TrimSpace(string(said)), "\n")
			t.Log(lines[len(lines)-1])
			if want := " methods called by " + encryption; !strings.Contains(lines[len(lines)-1], want) {
				t.Errorf("it ends with %q, not with %q", lines[len(lines)-1], want)
			}
			if err := n.Bank.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// alby is a wallet service made of @getalby/sdk, with our bank behind it.
type alby struct {
	n  *Net
	in io.Writer

	mu   sync.Mutex
	open map[string]chan struct{} // by client
}

func startAlby(t *testing.T, n *Net) *alby {
	t.Helper()
	cmd := peers.Node(t, "nwc/service.mjs")
	cmd.Env = append(cmd.Environ(), "RELAY="+n.URL)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	a := &alby{n: n, in: in, open: map[string]chan struct{}{}}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for scan := bufio.NewScanner(out); scan.Scan(); {
			if client, ok := strings.CutPrefix(scan.Text(), "open "); ok {
				a.mu.Lock()
				close(a.open[client])
				a.mu.Unlock()
			} else if strings.HasPrefix(scan.Text(), "error ") {
				t.Error(scan.Text())
			}
		}
	}()
	t.Cleanup(func() { in.Close(); <-ended })
	return a
}

// wallet opens an account behind the service. encryption is what its info event says; nil leaves that to the SDK.
func (a *alby) wallet(t *testing.T, encryption *string) wallet.Wallet {
	t.Helper()
	service, client := events.GenerateKeys(), events.GenerateKeys()
	order := map[string]any{"secret": service.Secret(), "client": client.PublicKey(), "behind": a.n.Bank.URI(events.GenerateKeys()).String()}
	if encryption != nil {
		order["encryption"] = *encryption
	}
	line, err := json.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	a.mu.Lock()
	a.open[string(client.PublicKey())] = ready
	_, err = a.in.Write(append(line, '\n'))
	a.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-ready:
	case <-time.After(30 * time.Second):
		t.Fatal("the service opens no connection")
	}
	w, err := Wallets.Open(ctx, nip47.URI{Wallet: string(service.PublicKey()), Relays: []string{a.n.URL}, Secret: client.Secret()}.String(), a.n.log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// TestSuiteOnAlbysService runs the wallets' suite with our client on a service made of @getalby/sdk, and by NIP-04 where
// its info event names no encryption.
func TestSuiteOnAlbysService(t *testing.T) {
	nothing := ""
	for name, encryption := range map[string]*string{"as it is": nil, "an old one": &nothing} {
		t.Run(name, func(t *testing.T) {
			n := Start(t)
			a := startAlby(t, n)
			stray := bolt11.Invoice{
				Network: bolt11.Regtest, Amount: events.Sat, Timestamp: time.Now(), PaymentHash: wallet.NewPreimage().Hash(), PaymentSecret: &[32]byte{1},
				Description: "x", Expiry: time.Hour,
			}
			foreign, err := stray.Encode([32]byte{31: 9})
			if err != nil {
				t.Fatal(err)
			}
			wallettest.Run(t, func(t *testing.T) wallettest.Wallets {
				return wallettest.Wallets{Payee: a.wallet(t, encryption), Payer: a.wallet(t, encryption), Stranger: a.wallet(t, encryption), Foreign: foreign, Many: 10}
			})
			if err := n.Bank.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAJobOverAlbysService buys a job from a node, both with wallets of a service made of @getalby/sdk: it locks no payments,
// so that only prepaid is offered.
func TestAJobOverAlbysService(t *testing.T) {
	n := Start(t)
	a := startAlby(t, n)
	n.Provider("node", "echo:", func(c *provider.Config) { c.Wallet = a.wallet(t, nil).(wallet.Receiver) })
	w := a.wallet(t, nil)
	buyer := n.Consumer("buyer", func(c *consumer.Config) { c.Wallet = w.(wallet.Payer) })
	got, err := buyer.Do(ctx, Text("one two three", nil), nil)
	if err != nil || got.Pay != events.PayPrepaid || got.Preimage.Hash() != got.Hash {
		t.Fatalf("got %+v, %v", got, err)
	}
	has(t, w, opening-got.Paid, "the customer")
}
