package lightning

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Node is an lnd of the network.
type Node struct {
	Name string
	Dir  string
	Key  string // its public key

	net             *Network
	rpc, rest, peer string
	program         *program
	http            *http.Client
	macaroon        string
}

// Start starts the node again after Kill, and returns when it answers and is at the chain's end.
func (n *Node) Start(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return err
	}
	chain := n.net.chain
	n.program, err = begin(filepath.Join(n.net.Programs, "lnd"), filepath.Join(n.Dir, "said"),
		"--lnddir="+n.Dir, "--alias="+n.Name, "--noseedbackup", "--rpclisten="+n.rpc, "--restlisten="+n.rest, "--listen="+n.peer, "--bitcoin.regtest",
		"--bitcoin.node=btcd", "--btcd.rpchost="+chain.rpc, "--btcd.rpcuser="+rpcUser, "--btcd.rpcpass="+rpcPass, "--btcd.rpccert="+chain.cert,
		"--nobootstrap", "--trickledelay=50", "--bitcoin.defaultchanconfs=1", fmt.Sprintf("--bitcoin.basefee=%d", n.net.FeeBase), "--bitcoin.feerate=0",
		"--minbackoff=100ms", "--maxbackoff=1s", "--no-disconnect-on-pong-failure", "--maxlogfilesize=1", "--accept-keysend", "--channel-commit-interval=5ms")
	if err != nil {
		return err
	}
	var info struct {
		Key    string `json:"identity_pubkey"`
		Synced bool   `json:"synced_to_chain"`
	}
	err = wait(ctx, n.Name, func() error {
		select {
		case <-n.program.done:
			return fmt.Errorf("it has ended: %s", n.said())
		default:
		}
		if err := n.read(); err != nil {
			return err
		}
		if err := n.Call(ctx, http.MethodGet, "/v1/getinfo", nil, &info); err != nil {
			return err
		}
		if !info.Synced {
			return errors.New("it is not at the end of the chain")
		}
		return nil
	})
	n.Key = info.Key
	return err
}

// said is the end of what it logged.
func (n *Node) said() []byte {
	said, _ := os.ReadFile(filepath.Join(n.Dir, "said"))
	return said[max(0, len(said)-500):]
}

// read reads the certificate and the macaroon, which the node writes when it starts for the first time.
func (n *Node) read() error {
	pem, err := os.ReadFile(filepath.Join(n.Dir, "tls.cert"))
	if err != nil {
		return err
	}
	macaroon, err := os.ReadFile(filepath.Join(n.Dir, "data", "chain", "bitcoin", "regtest", "admin.macaroon"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return errors.New("its certificate is not written yet")
	}
	n.macaroon = hex.EncodeToString(macaroon)
	n.http = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	return nil
}

// Kill ends the node as kill -9 does.
func (n *Node) Kill() { n.program.kill() }

// Call asks the node's REST API, as its admin. params may be nil.
func (n *Node) Call(ctx context.Context, method, path string, params, result any) error {
	var body io.Reader
	if params != nil {
		raw, err := json.Marshal(params)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, "https://"+n.rest+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Grpc-Metadata-macaroon", n.macaroon)
	resp, err := n.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s %s: %s", n.Name, method, path, raw)
	}
	return json.Unmarshal(raw, result)
}

// Permissions of macaroons.
var (
	Receive = []string{"info:read", "invoices:read", "invoices:write"}
	Spend   = []string{"info:read", "offchain:read", "offchain:write"}
	Both    = []string{"info:read", "invoices:read", "invoices:write", "offchain:read", "offchain:write"}
)

// URL is the address of the node as a wallet that may do what allow says.
func (n *Node) URL(ctx context.Context, allow []string) (string, error) {
	type permission struct {
		Entity string `json:"entity"`
		Action string `json:"action"`
	}
	var asked struct {
		Permissions []permission `json:"permissions"`
	}
	for _, name := range allow {
		entity, action, _ := cut(name)
		asked.Permissions = append(asked.Permissions, permission{entity, action})
	}
	var baked struct {
		Macaroon string `json:"macaroon"`
	}
	if err := n.Call(ctx, http.MethodPost, "/v1/macaroon", asked, &baked); err != nil {
		return "", err
	}
	q := url.Values{"macaroon": {baked.Macaroon}, "cert": {filepath.Join(n.Dir, "tls.cert")}}
	return (&url.URL{Scheme: "lnd", Host: n.rest, RawQuery: q.Encode()}).String(), nil
}
