package cli

import (
	"errors"
	"fmt"
	"slices"

	"infernet/consumer"
	"infernet/events"
)

// wantsMoney says whether an error is that a job costs something, for whoever has no wallet.
func wantsMoney(err error) bool {
	var none *consumer.NoOffersError
	var invoice *consumer.BadInvoiceError
	return errors.As(err, &none) && len(none.Near) == 0 && (none.About > 0 || len(none.Dear) > 0) || errors.As(err, &invoice)
}

// needsWallet says that a wallet is needed, and how to buy with one: what is to be paid can be shown to a phone, or a file
// holds the address of a wallet.
func (a *app) needsWallet(err error) error {
	err = fmt.Errorf("%w; there is no wallet to pay from%s, so only free jobs can be bought", err, a.foreign(a.settings.path("customer.wallet")))
	command := line(a.args)
	if slices.ContainsFunc(a.settings.list("run.pay"), func(way string) bool { return way != events.PayPrepaid }) {
		command = again(a.args, "--pay", events.PayPrepaid)
	}
	return withHint(err, "%s", remark("INFERNET_WALLET=qr: "+command, "shows what your phone's wallet is to pay; other wallets: infernet wallet --help"))
}
