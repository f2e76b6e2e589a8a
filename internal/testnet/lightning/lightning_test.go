package lightning_test

import (
	"context"
	"os"
	"testing"

	"infernet/internal/testnet/lightning"
)

func TestMain(m *testing.M) { os.Exit(lightning.Run(m)) }

// TestANetworkStartsAndStops starts a network in which everybody has a channel.
func TestANetworkStartsAndStops(t *testing.T) {
	n := lightning.Test(t)
	for _, name := range n.Names() {
		url, err := n.Node(name).URL(context.Background(), lightning.Receive)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(name, url)
	}
}
