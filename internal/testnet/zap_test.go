package testnet

import (
	"testing"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/testnet/peers"
	"infernet/wallet"
)

// TestAZapReceiptIsNoPayment has somebody publish a zap receipt (NIP-57) for a price of ours, with the very invoice in it,
// as Amethyst and nostrdvm know them: the node believes its own wallet only. Money that reaches it by that invoice, however
// it was sent, counts.
func TestAZapReceiptIsNoPayment(t *testing.T) {
	t.Parallel()
	n := Start(t)
	node := n.Provider("node", "echo:", nil)
	job := func(name string, pays bool) map[string]any {
		address, _ := n.connection(t)
		return map[string]any{"relay": n.URL, "wallet": address, "jobs": []plainJob{
			{Name: name, Tags: [][]string{{"i", "one two three", "text"}, {"p", string(node.Key)}}, Pays: pays},
		}}
	}
	client := n.peer(t, peers.Node(t, "js/plain.mjs"), job("zapped", false))
	var asked struct{ ID events.ID }
	client.hear("asked", &asked)
	client.hear("hears", nil)
	price := n.stored(t, asked.ID, 7000)[0]
	amount := price.Tags.Find("amount")

	stranger := events.GenerateKeys()
	receipt := &nostr.Event{Kind: 9735, CreatedAt: nostr.Now(), Tags: nostr.Tags{
		{"p", string(node.Key)}, {"P", string(stranger.PublicKey())}, {"e", price.ID}, {"bolt11", amount[2]}, {"description", "{}"},
		{"preimage", wallet.NewPreimage().String()},
	}}
	if err := stranger.Sign(ctx, receipt); err != nil {
		t.Fatal(err)
	}
	if err := n.Pool(n.ctx, stranger).Publish(ctx, receipt); err != nil {
		t.Fatal(err)
	}
	// a whole job of another customer later, nothing has begun
	n.peer(t, peers.Node(t, "js/plain.mjs"), job("paid", true)).hear("job", nil)
	if said := n.stored(t, asked.ID, 7000, 6050); len(said) != 1 {
		t.Errorf("after a zap receipt it says %v", said)
	}
	// the invoice is paid by the zapper's wallet: that is money
	if _, err := n.Wallet("zapper").(wallet.Payer).Pay(ctx, amount[2], 0); err != nil {
		t.Fatal(err)
	}
	var got plainHeard
	client.hear("job", &got)
	if got.Content == nil || *got.Content != "one two three" || got.Preimage != "" {
		t.Errorf("it heard %+v", got)
	}
}
