package lightning

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"
)

var shared struct {
	sync.Mutex
	net *Network
	err error
}

// Test gives the network that all tests of a package share; it ends with the process. The test is skipped where lnd is not
// built, and with -short.
func Test(t testing.TB) *Network {
	t.Helper()
	if testing.Short() {
		t.Skip("starts other people's programs: not with -short")
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.net == nil && shared.err == nil {
		shared.net, shared.err = begun(t)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.net
}

func begun(t testing.TB) (*Network, error) {
	programs, err := Built()
	if err != nil {
		t.Skipf("needs lnd: %v", err)
	}
	dir, err := os.MkdirTemp("", "infernet-lightning-")
	if err != nil {
		return nil, err
	}
	began := time.Now()
	n, err := Start(context.Background(), Config{Programs: programs, Dir: dir, Nodes: []string{"alice", "carol", "dave"}})
	t.Logf("the network was there after %s", time.Since(began).Round(time.Millisecond))
	return n, err
}

// Run runs a package's tests and ends the network they shared: it is what TestMain returns.
func Run(m *testing.M) int {
	defer End()
	return m.Run()
}

// End ends the network that tests shared, and removes its data.
func End() {
	shared.Lock()
	defer shared.Unlock()
	if shared.net != nil {
		shared.net.Stop()
		os.RemoveAll(shared.net.Dir)
		shared.net = nil
	}
}
