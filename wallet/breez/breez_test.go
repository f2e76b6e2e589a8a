//go:build cgo

package breez

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/breez/breez-sdk-go/breez_sdk"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/bolt11"
)

var ctx = context.Background()

const phrase = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"

// file writes a file that only its owner may read.
func file(t *testing.T, name, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAddresses(t *testing.T) {
	words, key, open := file(t, "words", phrase+"\n"), file(t, "key", "api-secret"), file(t, "open", "leaked-secret")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	good := "breez:///var/wallet?mnemonic=" + words + "&key=" + key
	for _, c := range []struct{ address, want string }{
		{good + "&invite=ABC", ""},
		{good + "&developer_key=" + key + "&developer_cert=" + words + "&network=testnet", ""},
		{good, "one of invite"},
		{good + "&invite=ABC&developer_key=" + key, "one of invite"},
		{good + "&developer_key=" + key, "developer_cert=FILE is missing"},
		{good + "&invite=ABC&network=moon", `"moon"`},
		{good + "&invite=ABC&invite=D", "twice"},
		{good + "&invite=ABC&pin=1", `"pin" is unknown`},
		{"breez://host/var/wallet?mnemonic=" + words, "an address is"},
		{"breez:///?mnemonic=" + words, "an address is"},
		{"breez:///var/wallet?key=" + key + "&invite=A", "mnemonic=FILE is missing"},
		{"breez:///var/wallet?mnemonic=/nope&key=" + key + "&invite=A", "no such file"},
		{"breez:///var/wallet?mnemonic=" + open + "&key=" + key + "&invite=A", "hint: chmod 600"},
	} {
		u, err := url.Parse(c.address)
		if err != nil {
			t.Fatal(err)
		}
		a, err := ParseAddress(u)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.address, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "abandon")) {
			t.Errorf("%v shows a secret", err)
		}
		if err == nil && (a.Dir != "/var/wallet" || a.Mnemonic != phrase || a.Key != "api-secret") {
			t.Errorf("read %+v", a)
		}
	}
	u, _ := url.Parse(good + "&invite=ABC")
	a, err := ParseAddress(u)
	if err != nil {
		t.Fatal(err)
	}
	node, ok := a.config().NodeConfig.(sdk.NodeConfigGreenlight)
	if c := a.config(); !ok || *node.Config.InviteCode != "ABC" || *c.ApiKey != "api-secret" || c.WorkingDir != "/var/wallet" || c.MaxfeePercent != feePercent || c.ExemptfeeMsat != 5000 {
		t.Errorf("the SDK is told %+v", c)
	}
}

// TestTheSDKReadsWhatWeWrite has the real library parse our invoices and mnemonics; no network is needed for that.
func TestTheSDKReadsWhatWeWrite(t *testing.T) {
	for _, amount := range []events.Msat{events.Sat, 42_000, 21_000_000_000} {
		r := wallet.NewPreimage()
		v := bolt11.Invoice{
			Network: bolt11.Mainnet, Amount: amount, Timestamp: time.Unix(1_800_000_000, 0), PaymentHash: r.Hash(), PaymentSecret: &[32]byte{1},
			Description: "infernet test", Expiry: 10 * time.Minute,
		}
		raw, err := v.Encode([32]byte{31: 9})
		if err != nil {
			t.Fatal(err)
		}
		got, err := sdk.ParseInvoice(raw)
		if err != nil || got.PaymentHash != r.Hash().String() || *got.AmountMsat != uint64(amount) || *got.Description != "infernet test" || got.Expiry != 600 || got.Network != sdk.NetworkBitcoin {
			t.Errorf("%s: %+v, %v", amount.Human(), got, err)
		}
	}
	if _, err := sdk.ParseInvoice("lnbc1nonsense"); err == nil {
		t.Error("nonsense is an invoice")
	}
	if seed, err := sdk.MnemonicToSeed(phrase); err != nil || len(seed) != 64 {
		t.Errorf("a seed of %d bytes, %v", len(seed), err)
	}
	if _, err := sdk.MnemonicToSeed("abandon abandon"); err == nil {
		t.Error("two words are a mnemonic")
	}
	u, _ := url.Parse("breez://" + t.TempDir() + "?mnemonic=" + file(t, "words", "abandon secretword") + "&key=" + file(t, "key", "k") + "&invite=A")
	if _, err := Open(ctx, u, nil); err == nil || strings.Contains(err.Error(), "secretword") || errors.Is(err, wallet.ErrUnavailable) {
		t.Errorf("opened by a bad mnemonic: %v", err)
	}
}

// cloud plays Breez's books: what it is told to answer.
type cloud struct {
	mu      sync.Mutex
	books   map[string]*sdk.Payment
	sent    []string
	fails   error             // of SendPayment
	after   *sdk.Payment      // what its books have once it was asked to pay
	away    bool              // nothing answers
	opening uint64            // fee of a channel
	made    map[string][]byte // preimages by hash
}

func (c *cloud) NodeInfo() (sdk.NodeState, error) {
	if c.away {
		return sdk.NodeState{}, sdk.NewSdkErrorServiceConnectivity()
	}
	return sdk.NodeState{ChannelsBalanceMsat: 70_000, MaxPayableMsat: 60_000}, nil
}

func (c *cloud) ReceivePayment(req sdk.ReceivePaymentRequest) (out sdk.ReceivePaymentResponse, err error) {
	if c.away {
		return out, sdk.NewReceivePaymentErrorServiceConnectivity()
	}
	r := wallet.NewPreimage()
	if req.Preimage != nil {
		copy(r[:], *req.Preimage)
	}
	v := bolt11.Invoice{
		Network: bolt11.Mainnet, Amount: events.Msat(req.AmountMsat), Timestamp: time.Now(), PaymentHash: r.Hash(), PaymentSecret: &[32]byte{1},
		Description: req.Description, Expiry: time.Duration(*req.Expiry) * time.Second,
	}
	raw, err := v.Encode([32]byte{31: 9})
	if err != nil {
		return out, err
	}
	out.LnInvoice, err = sdk.ParseInvoice(raw)
	if c.opening > 0 {
		out.OpeningFeeMsat = &c.opening
	}
	return out, err
}

func (c *cloud) SendPayment(req sdk.SendPaymentRequest) (sdk.SendPaymentResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, req.Bolt11)
	if b, err := bolt11.Decode(req.Bolt11); err == nil && c.after != nil {
		c.books[b.PaymentHash.String()] = c.after
	}
	return sdk.SendPaymentResponse{}, c.fails
}

func (c *cloud) PaymentByHash(hash string) (*sdk.Payment, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return nil, sdk.NewSdkErrorServiceConnectivity()
	}
	return c.books[hash], nil
}

func (c *cloud) ListPayments(req sdk.ListPaymentsRequest) (page []sdk.Payment, err error) {
	if c.away {
		return nil, sdk.NewSdkErrorServiceConnectivity()
	}
	for i := range 250 { // three pages
		if at := uint32(i); at >= *req.Offset && at < *req.Offset+*req.Limit {
			r := wallet.Preimage{31: byte(i)}
			p := payment(sdk.PaymentTypeReceived, sdk.PaymentStatusComplete, r)
			p.PaymentTime = int64(1000 + i)
			if i == 7 {
				p.Details = sdk.PaymentDetailsClosedChannel{}
			}
			page = append(page, *p)
		}
	}
	return page, nil
}

func (c *cloud) Disconnect() error { return nil }

func payment(way sdk.PaymentType, status sdk.PaymentStatus, r wallet.Preimage) *sdk.Payment {
	about := "a job"
	return &sdk.Payment{
		PaymentType: way, Status: status, AmountMsat: 42_000, FeeMsat: 7, PaymentTime: 1_800_000_000, Description: &about,
		Details: sdk.PaymentDetailsLn{Data: sdk.LnPaymentDetails{PaymentHash: r.Hash().String(), PaymentPreimage: r.String()}},
	}
}

func open(t *testing.T, c *cloud) *Wallet {
	t.Helper()
	c.books = map[string]*sdk.Payment{}
	w, err := newWallet(c, Address{Dir: t.TempDir(), Network: "mainnet"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.poll = time.Millisecond
	t.Cleanup(func() { w.Close() })
	return w
}

// TestPaying goes through what the SDK can say of a payment: what is sure is said, what is not is asked again, and nothing is
// sent twice.
func TestPaying(t *testing.T) {
	r := wallet.NewPreimage()
	done, pending, failed := payment(sdk.PaymentTypeSent, sdk.PaymentStatusComplete, r), payment(sdk.PaymentTypeSent, sdk.PaymentStatusPending, r), payment(sdk.PaymentTypeSent, sdk.PaymentStatusFailed, r)
	for name, c := range map[string]struct {
		before, after *sdk.Payment
		fails         error
		away          bool
		amount        events.Msat
		maxFee        events.Msat
		age           time.Duration
		want          error
		sent          int
	}{
		"it goes well":                         {after: done, sent: 1},
		"paid before":                          {before: done},
		"paid before, says the SDK":            {after: done, fails: sdk.NewSendPaymentErrorAlreadyPaid(), sent: 1},
		"it failed before":                     {before: failed, after: done, sent: 1},
		"no route":                             {fails: sdk.NewSendPaymentErrorRouteNotFound(), want: wallet.ErrRejected, sent: 1},
		"too dear a route":                     {fails: sdk.NewSendPaymentErrorRouteTooExpensive(), after: failed, want: wallet.ErrRejected, sent: 1},
		"failed, it says, and it is done":      {fails: sdk.NewSendPaymentErrorPaymentFailed(), after: done, sent: 1},
		"expired, says the SDK":                {fails: sdk.NewSendPaymentErrorInvoiceExpired(), want: wallet.ErrExpired, sent: 1},
		"expired":                              {age: 2 * time.Hour, want: wallet.ErrExpired},
		"a timeout":                            {fails: sdk.NewSendPaymentErrorPaymentTimeout(), want: wallet.ErrUnavailable, sent: 1},
		"no connection":                        {fails: sdk.NewSendPaymentErrorServiceConnectivity(), want: wallet.ErrUnavailable, sent: 1},
		"anything else":                        {fails: sdk.NewSendPaymentErrorGeneric(), want: wallet.ErrUnavailable, sent: 1},
		"sent, and not in the books":           {want: wallet.ErrUnavailable, sent: 1},
		"nothing answers":                      {away: true, want: wallet.ErrUnavailable},
		"more than there is":                   {amount: 61_000, want: wallet.ErrInsufficient},
		"a fee bound that Breez does not keep": {maxFee: 4 * events.Sat, want: wallet.ErrRejected},
		"its own invoice":                      {before: payment(sdk.PaymentTypeReceived, sdk.PaymentStatusPending, r), want: wallet.ErrRejected},
		"another preimage":                     {before: payment(sdk.PaymentTypeSent, sdk.PaymentStatusComplete, wallet.NewPreimage()), want: wallet.ErrUnavailable},
		"under way, and nobody waits":          {before: pending, want: wallet.ErrInFlight},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := &cloud{fails: c.fails, after: c.after, away: c.away}
			w := open(t, cloud)
			if c.before != nil {
				cloud.books[r.Hash().String()] = c.before
			}
			v := bolt11.Invoice{
				Network: bolt11.Mainnet, Amount: max(c.amount, 42_000), Timestamp: time.Now().Add(-c.age), PaymentHash: r.Hash(), PaymentSecret: &[32]byte{1}, Description: "x", Expiry: time.Hour,
			}
			raw, err := v.Encode([32]byte{31: 9})
			if err != nil {
				t.Fatal(err)
			}
			maxFee := c.maxFee
			if maxFee == 0 {
				maxFee = 5 * events.Sat
			}
			within, stop := context.WithTimeout(ctx, 2*time.Second)
			if errors.Is(c.want, wallet.ErrInFlight) {
				within, stop = context.WithTimeout(ctx, 20*time.Millisecond)
			}
			defer stop()
			got, err := w.Pay(within, raw, maxFee)
			if !errors.Is(err, c.want) || c.want == nil && (err != nil || got != r) || len(cloud.sent) != c.sent {
				t.Errorf("%v, %v, sent %d times; want %v, %d", got, err, len(cloud.sent), c.want, c.sent)
			}
		})
	}
	cloud := &cloud{}
	w := open(t, cloud)
	if _, err := w.Sent(ctx, r.Hash()); !errors.Is(err, wallet.ErrNotFound) {
		t.Error(err)
	}
	for status, want := range map[sdk.PaymentStatus]wallet.PaymentState{
		sdk.PaymentStatusComplete: wallet.Succeeded, sdk.PaymentStatusPending: wallet.Pending, sdk.PaymentStatusFailed: wallet.Failed,
	} {
		cloud.books[r.Hash().String()] = payment(sdk.PaymentTypeSent, status, r)
		got, err := w.Sent(ctx, r.Hash())
		if err != nil || got.State != want || got.Amount != 42_000 || got.Fee != 7 || (want == wallet.Succeeded) != (got.Preimage == r) {
			t.Errorf("%v: %+v, %v", status, got, err)
		}
	}
	if _, err := w.Pay(ctx, "lnbc1nonsense", events.Sat); !errors.Is(err, wallet.ErrRejected) {
		t.Error(err)
	}
}

func TestReceiving(t *testing.T) {
	cloud := &cloud{}
	w := open(t, cloud)
	ask := wallet.InvoiceRequest{Amount: 42_000, Description: "infernet test", Until: time.Now().Add(10 * time.Minute)}
	r := wallet.NewPreimage()
	v, err := w.SealedInvoice(ctx, ask, r)
	if err != nil || v.Hash != r.Hash() || v.Amount != ask.Amount || v.Until.Sub(ask.Until).Abs() > 2*time.Second {
		t.Fatalf("%+v, %v", v, err)
	}
	if b, err := bolt11.Decode(v.Bolt11); err != nil || b.Description != ask.Description {
		t.Errorf("%+v, %v", b, err)
	}
	go func() { // it is paid while somebody waits, and the SDK tells of it
		cloud.mu.Lock()
		cloud.books[v.Hash.String()] = payment(sdk.PaymentTypeReceived, sdk.PaymentStatusComplete, r)
		cloud.mu.Unlock()
		w.OnEvent(sdk.BreezEventSynced{})
	}()
	got, err := w.Await(ctx, v.Hash)
	if err != nil || got.Amount != 42_000 || got.Hash != v.Hash || got.Held || got.At.Unix() != 1_800_000_000 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := w.Await(ctx, wallet.NewPreimage().Hash()); !errors.Is(err, wallet.ErrNotFound) {
		t.Error(err)
	}
	late, err := w.Invoice(ctx, ask)
	if err != nil {
		t.Fatal(err)
	}
	w.now = func() time.Time { return time.Now().Add(time.Hour) }
	if _, err := w.Await(ctx, late.Hash); !errors.Is(err, wallet.ErrExpired) {
		t.Error(err)
	}
	w.now = time.Now
	cloud.opening = 2_500_000
	if _, err := w.Invoice(ctx, ask); err == nil || !strings.Contains(err.Error(), "2500 sat") {
		t.Errorf("a channel would be opened: %v", err)
	}
	for name, bad := range map[string]wallet.InvoiceRequest{"no satoshi": {Amount: 1, Until: ask.Until}, "half of one": {Amount: 1500, Until: ask.Until}, "the past": {Amount: 1000}} {
		if _, err := w.Invoice(ctx, bad); err == nil {
			t.Errorf("%s: an invoice", name)
		}
	}
	all, err := w.Entries(ctx, wallet.In, time.Time{})
	if err != nil || len(all) != 249 || all[0].State != wallet.Succeeded || all[0].Description != "a job" || all[0].Fee != 7 || all[8].Hash == all[7].Hash {
		t.Errorf("%d entries, %v", len(all), err)
	}
	if have, err := w.Balance(ctx); err != nil || have != 70_000 {
		t.Error(have, err)
	}
	cloud.away = true
	_, err = w.Invoice(ctx, ask)
	_, err2 := w.Balance(ctx)
	if _, err3 := w.Entries(ctx, wallet.Out, time.Now()); !errors.Is(err, wallet.ErrUnavailable) || !errors.Is(err2, wallet.ErrUnavailable) || !errors.Is(err3, wallet.ErrUnavailable) {
		t.Error(err, err2, err3)
	}
}
