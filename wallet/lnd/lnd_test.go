package lnd_test

import (
	"context"
	"os"
	"testing"
	"time"

	"infernet/events"
	"infernet/internal/testnet/lightning"
	"infernet/wallet"
	"infernet/wallet/bolt11"
	"infernet/wallet/lnd"
	"infernet/wallet/wallettest"
)

func TestMain(m *testing.M) { os.Exit(lightning.Run(m)) }

// open opens a node of the network as a wallet.
func open(t *testing.T, node string, allow []string) wallet.Wallet {
	t.Helper()
	at, err := lightning.Test(t).Node(node).URL(context.Background(), allow)
	if err != nil {
		t.Fatal(err)
	}
	w, err := wallet.Openers{"lnd": lnd.Open}.Open(context.Background(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// foreign is an invoice of a node that nobody has heard of.
func foreign(t *testing.T) string {
	t.Helper()
	stray := bolt11.Invoice{
		Network: bolt11.Regtest, Amount: events.Sat, Timestamp: time.Now(), PaymentHash: wallet.NewPreimage().Hash(), PaymentSecret: &[32]byte{1},
		Description: "x", Expiry: time.Hour,
	}
	raw, err := stray.Encode([32]byte{31: 9})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestSuiteOnTheNetwork runs the wallets' suite over two hops, with no more permissions than each party needs.
func TestSuiteOnTheNetwork(t *testing.T) {
	wallettest.Run(t, func(t *testing.T) wallettest.Wallets {
		if err := lightning.Test(t).Quiet(within(t)); err != nil {
			t.Fatal(err)
		}
		return wallettest.Wallets{
			Payee: open(t, "carol", append(lightning.Receive, "offchain:read")), Payer: open(t, "alice", lightning.Both), Stranger: open(t, "dave", lightning.Both),
			Foreign: foreign(t), Apart: true,
		}
	})
}
