package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"infernet/events"
	"infernet/internal/blob"
	"infernet/wallet"
)

// till is the wallet that uploads are paid into. It is opened when the first is to be paid: it may be reached over the very
// relay that is about to start.
type till struct {
	open func() (wallet.Wallet, error)

	mu sync.Mutex
	w  wallet.Wallet
}

var _ wallet.Receiver = (*till)(nil)

func (t *till) receiver() (wallet.Receiver, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.w == nil {
		w, err := t.open()
		if err != nil {
			return nil, err
		}
		t.w = w
	}
	r, ok := t.w.(wallet.Receiver)
	if !ok {
		return nil, fmt.Errorf("relay.wallet: %s cannot be paid into", t.w.Describe())
	}
	return r, nil
}

// Invoice asks the wallet.
func (t *till) Invoice(ctx context.Context, ask wallet.InvoiceRequest) (*wallet.Invoice, error) {
	r, err := t.receiver()
	if err != nil {
		return nil, err
	}
	return r.Invoice(ctx, ask)
}

// Await asks the wallet.
func (t *till) Await(ctx context.Context, hash wallet.Hash) (wallet.Settlement, error) {
	r, err := t.receiver()
	if err != nil {
		return wallet.Settlement{}, err
	}
	return r.Await(ctx, hash)
}

func (t *till) close() error {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.w == nil {
		return nil
	}
	return t.w.Close()
}

// maxFilePrice bounds relay.files_price, so that no size times it is too large a number: a million satoshi for a MiB.
const maxFilePrice = 1_000_000_000

// charge has uploads cost what the settings say (BUD-07). made is the wallet that 'infernet up' makes; "" elsewhere.
func (a *app) charge(c *blob.Config, made string) (*till, error) {
	price := a.settings.number("relay.files_price")
	at := a.settings.text("relay.wallet")
	path, filed := strings.CutPrefix(at, "file:")
	switch {
	case price == 0:
		return nil, nil
	case price > maxFilePrice:
		return nil, a.settings.mend("relay.files_price", usage("relay.files_price: %d msat for a MiB, at most %d", price, maxFilePrice))
	case at == "" && made == "":
		return nil, a.settings.mend("relay.files_price", usage("relay.files_price: uploads have a price, and relay.wallet names no wallet to be paid into"))
	case filed:
		if _, err := readSecret(path); err != nil { // better now than when somebody wants to pay
			return nil, a.settings.mend("relay.wallet", usage("relay.wallet: %w", err))
		}
	}
	t := &till{open: func() (wallet.Wallet, error) {
		w, err := a.openWallet(context.Background(), "relay.wallet", made)
		if w == nil && err == nil {
			err = errors.New("relay.wallet: there is no wallet to be paid into")
		}
		return w, err
	}}
	c.Free = func(key events.PubKey) bool { // the node beside the relay would pay itself
		node := a.node.Load()
		return node != nil && *node == key
	}
	c.Wallet, c.Price = t, func(size int64) events.Msat { return events.Msat((size+1<<20-1)>>20) * events.Msat(price) }
	return t, nil
}
