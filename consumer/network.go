package consumer

import (
	"context"
	"time"

	"infernet/wallet"
	"infernet/wallet/bolt11"
)

// networkIn is how long a wallet has to say its network.
const networkIn = 2 * time.Second

// network is the wallet's, asked once; "" if it does not say: then it refuses foreign invoices itself.
func (c *Consumer) network(ctx context.Context) string {
	n, ok := c.Wallet.(wallet.Networked)
	if !ok {
		return ""
	}
	c.mu.Lock()
	ours := c.ours
	c.mu.Unlock()
	if ours != "" {
		return ours
	}
	ctx, cancel := context.WithTimeout(ctx, networkIn)
	defer cancel()
	name, err := n.Network(ctx)
	if err != nil {
		return ""
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ours = bolt11.Named[name]
	return c.ours
}
