package lightning

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// chain is a btcd on a chain of its own. What is mined belongs to everybody: it pays to the hash of a script that says yes.
type chain struct {
	program *program
	rpc     string
	cert    string
	http    *http.Client
	mu      sync.Mutex
	spent   int // rewards
}

const (
	rpcUser, rpcPass = "infernet", "regtest"

	// P2SH of the script OP_TRUE, and what opens it
	everybody = "2ND8PB9RrfCaAcjfjP1Y6nAgFd9zWHYX4DN"
	yes       = "020151"

	coin   = 100_000_000 // satoshi
	mature = 450         // blocks: rewards can be spent after 100, segwit and taproot are active after 432
)

func startChain(ctx context.Context, n *Network) (*chain, error) {
	dir := filepath.Join(n.Dir, "btcd")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	rpc, err := freePort()
	if err != nil {
		return nil, err
	}
	listen, err := freePort()
	if err != nil {
		return nil, err
	}
	c := &chain{rpc: rpc, cert: filepath.Join(dir, "rpc.cert")}
	c.program, err = begin(filepath.Join(n.Programs, "btcd"), filepath.Join(dir, "said"),
		"--regtest", "--datadir="+dir, "--logdir="+dir, "--configfile=none", "--rpcuser="+rpcUser, "--rpcpass="+rpcPass, "--rpclisten="+rpc,
		"--listen="+listen, "--rpccert="+c.cert, "--rpckey="+filepath.Join(dir, "rpc.key"), "--txindex", "--nodnsseed", "--miningaddr="+everybody)
	if err != nil {
		return nil, err
	}
	err = wait(ctx, "btcd", func() error {
		if c.http == nil {
			pem, err := os.ReadFile(c.cert)
			if err != nil {
				return err
			}
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM(pem) {
				return errors.New("its certificate is not written yet")
			}
			c.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
		}
		return c.call(ctx, "getblockcount", nil, new(int))
	})
	if err == nil {
		err = c.mine(ctx, mature)
	}
	if err != nil {
		c.program.kill()
	}
	return c, err
}

func (c *chain) call(ctx context.Context, method string, params []any, result any) error {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "1.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.rpc, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.SetBasicAuth(rpcUser, rpcPass)
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	var said struct {
		Result json.RawMessage `json:"result"`
		Error  *struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return fmt.Errorf("btcd: %s: %s", method, raw)
	}
	if said.Error != nil {
		return fmt.Errorf("btcd: %s: %s", method, said.Error.Message)
	}
	return json.Unmarshal(said.Result, result)
}

func (c *chain) mine(ctx context.Context, blocks int) error {
	return c.call(ctx, "generate", []any{blocks}, &[]string{})
}

// pay sends satoshi of the next unspent reward to an address, and mines it. The rest goes back to everybody: a fee of a
// whole reward would teach the nodes to pay such fees.
func (c *chain) pay(ctx context.Context, address string, satoshi int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	const reward, fee = 50 * coin, 10_000
	c.spent++
	var block string
	if err := c.call(ctx, "getblockhash", []any{c.spent}, &block); err != nil {
		return err
	}
	var mined struct {
		Tx []string `json:"tx"`
	}
	if err := c.call(ctx, "getblock", []any{block, 1}, &mined); err != nil {
		return err
	}
	var raw string
	err := c.call(ctx, "createrawtransaction", []any{
		[]any{map[string]any{"txid": mined.Tx[0], "vout": 0}},
		map[string]float64{address: float64(satoshi) / coin, everybody: float64(reward-fee-satoshi) / coin},
	}, &raw)
	if err != nil {
		return err
	}
	// the input's empty script (00 before its sequence) becomes the one that opens the reward
	const at = 2 * (4 + 1 + 32 + 4)
	if raw = raw[:at] + yes + strings.TrimPrefix(raw[at:], "00"); len(raw) < at {
		return errors.New("btcd: a transaction of another form")
	}
	if err := c.call(ctx, "sendrawtransaction", []any{raw}, new(string)); err != nil {
		return err
	}
	return c.mine(ctx, 1)
}
