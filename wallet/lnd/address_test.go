package lnd_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"infernet/events"
	"infernet/wallet"
	"infernet/wallet/lnd"
)

var openers = wallet.Openers{"lnd": lnd.Open}

// TestAddressesAreReadStrictly gives addresses with each mistake; no error repeats the secret.
func TestAddressesAreReadStrictly(t *testing.T) {
	const secret = "0201036c6e6402"
	file := filepath.Join(t.TempDir(), "macaroon")
	if err := os.WriteFile(file, []byte("a macaroon"), 0o600); err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string]string{
		"lnd://127.0.0.1:8080?macaroon=" + secret:                   "",
		"lnd://127.0.0.1?macaroon=" + file:                          "",
		"lnd://node.example?private=true&macaroon=" + secret:        "",
		"lnd://?macaroon=" + secret:                                 "host:port",
		"lnd://127.0.0.1:8080":                                      "none is given",
		"lnd://127.0.0.1:8080?macaroon=/no/such/file":               "no such file",
		"lnd://127.0.0.1:8080?macaron=" + secret:                    "unknown field",
		"lnd://127.0.0.1:8080/v1?macaroon=" + secret:                "nothing else",
		"lnd://me:" + secret + "@127.0.0.1:8080?macaroon=" + file:   "nothing else",
		"lnd://127.0.0.1:8080?private=perhaps&macaroon=" + secret:   "true or false",
		"lnd://127.0.0.1:8080?cert=" + file + "&macaroon=" + secret: "no certificate",
	} {
		w, err := openers.Open(context.Background(), raw, nil)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", raw, err)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, not %q", raw, err, want)
		case err != nil && strings.Contains(err.Error(), secret):
			t.Errorf("the secret is in %q", err)
		}
		if w != nil {
			w.Close()
		}
	}
}

// saying is a server at lnd's place that answers everything in the same way.
func saying(t *testing.T, status int, body any) (at string) {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(body)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return "lnd://" + s.Listener.Addr().String() + "?macaroon=0201&cert=" + base64.RawURLEncoding.EncodeToString(s.Certificate().Raw)
}

// TestTroubleOfTheNodeIsNoAnswer has a node that is locked, starting or something else: what became of a payment is not
// known then, and is never called failed.
func TestTroubleOfTheNodeIsNoAnswer(t *testing.T) {
	v, err := openFake(t, saying(t, 200, struct{}{})).(wallet.Receiver).Invoice(within(t), wallet.InvoiceRequest{Amount: events.Sat, Until: time.Now().Add(time.Minute)})
	if err == nil && v.Bolt11 != "" {
		t.Errorf("nothing was answered, and the invoice is %+v", v)
	}
	for name, at := range map[string]string{
		"is locked":    saying(t, 500, map[string]any{"code": 2, "message": "wallet locked, unlock it to enable full RPC access"}),
		"starting":     saying(t, 500, map[string]any{"code": 2, "message": "the RPC server is in the process of starting up, but not yet ready to accept calls"}),
		"not as lnd":   saying(t, 502, "bad gateway"),
		"refused":      "lnd://127.0.0.1:1?macaroon=0201",
		"tls.cert":     strings.SplitAfter(saying(t, 200, struct{}{}), "macaroon=0201")[0],
		"says no more": saying(t, 200, map[string]any{"result": map[string]string{"status": "IN_FLIGHT"}}),
	} {
		w := openFake(t, at)
		_, err := w.(wallet.Payer).Pay(within(t), foreign(t), 0)
		if !errors.Is(err, wallet.ErrUnavailable) || errors.Is(err, wallet.ErrRejected) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: pay: %v", name, err)
		}
		if _, err := w.(wallet.Balancer).Balance(within(t)); name != "says no more" && !errors.Is(err, wallet.ErrUnavailable) {
			t.Errorf("%s: balance: %v", name, err)
		}
	}
}

func openFake(t *testing.T, at string) wallet.Wallet {
	t.Helper()
	w, err := openers.Open(context.Background(), at, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// TestOnlyThePinnedCertificate meets a node with another certificate than was pinned.
func TestOnlyThePinnedCertificate(t *testing.T) {
	at := saying(t, 200, struct{}{})
	other, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tls.cert")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other}), 0o600); err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(at, "&cert=")
	_, err = openFake(t, before+"&cert="+file).(wallet.Balancer).Balance(within(t))
	if !errors.Is(err, wallet.ErrUnavailable) || !strings.Contains(err.Error(), "tls.cert") {
		t.Errorf("got %v", err)
	}
	if _, err := openFake(t, at).(wallet.Balancer).Balance(within(t)); err != nil {
		t.Errorf("with its own certificate: %v", err)
	}
}

func selfSigned() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotAfter: time.Now().Add(time.Hour)}
	return x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
}
