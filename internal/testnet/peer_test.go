package testnet

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/pool"
	"infernet/wallet"
)

// peer is a running program of other people. What it says goes into the test's log: each run leaves its own record.
type peer struct {
	*running
	t testing.TB
}

// peer starts a program, which finds its orders in its environment.
func (n *Net) peer(t testing.TB, cmd *exec.Cmd, orders any) *peer {
	t.Helper()
	body, err := json.Marshal(orders)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "INFERNET_PEER="+string(body))
	r, err := begin(cmd, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{r, t}
	t.Cleanup(func() {
		p.stop()
		for t.Failed() && len(p.lines) > 0 { // what nobody waited for
			line := <-p.lines
			t.Log(line[:min(len(line), 1000)])
		}
	})
	return p
}

// hear waits until the program says word, and reads what follows it.
func (p *peer) hear(word string, v any) {
	p.t.Helper()
	line := p.wait(p.t, word+": ")
	p.t.Log(line[:min(len(line), 1000)])
	if v == nil {
		return
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(line, word+": ")), v); err != nil {
		p.t.Fatalf("it says %q: %v", line, err)
	}
}

// connection is a wallet of its own at the bank, as an address of NIP-47, and as we see it.
func (n *Net) connection(t testing.TB) (address string, w wallet.Wallet) {
	t.Helper()
	keys := events.GenerateKeys()
	raw, err := n.Bank.Address(keys)
	if err != nil {
		t.Fatal(err)
	}
	w, err = Wallets.Open(n.ctx, raw, n.log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	q := url.Values{"relay": {n.URL}, "secret": {keys.Secret()}}
	return "nostr+walletconnect://" + string(n.Bank.Keys.PublicKey()) + "?" + q.Encode(), w
}

// spent is what a wallet has given away of its opening money; below 0 it has earned.
func (n *Net) spent(t testing.TB, w wallet.Wallet) events.Msat {
	t.Helper()
	have, err := w.(wallet.Balancer).Balance(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return n.Bank.Opening - have
}

// stored is what the relay keeps about a job, oldest first.
func (n *Net) stored(t testing.TB, job events.ID, kinds ...int) []*nostr.Event {
	t.Helper()
	p := pool.New(n.ctx, []string{n.URL})
	defer p.Close()
	found, err := p.Query(n.ctx, nostr.Filter{Kinds: kinds, Tags: nostr.TagMap{"e": {string(job)}}})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortStableFunc(found, func(a, b *nostr.Event) int { return int(a.CreatedAt - b.CreatedAt) })
	return found
}
