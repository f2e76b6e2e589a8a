package store

import (
	"context"
	"encoding/base64"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/ledger"
)

// TestKeysOfFilesStayOut reads an encrypted result with a file: the key that opens the file is no part of the history.
func TestKeysOfFilesStayOut(t *testing.T) {
	l, err := ledger.Open(filepath.Join(t.TempDir(), "customer.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, node, customer := context.Background(), events.GenerateKeys(), events.GenerateKeys()
	sign := func(m events.Message, by events.Signer) *nostr.Event {
		t.Helper()
		ev, err := events.Sign(ctx, m, by)
		if err != nil {
			t.Fatal(err)
		}
		return ev
	}
	bid, now := events.Sat, events.At(time.Now())
	req := sign(&events.Request{
		Head: events.Head{At: now, Expires: now + 1000}, Kind: events.KindText, Profile: true, Deadline: now + 60, Bid: &bid,
		Inputs: []events.Input{{Value: "paint", Type: "text"}}, To: []events.PubKey{node.PublicKey()}, Encrypted: true,
	}, customer)
	key := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	file := events.Blob{Sum: strings.Repeat("ab", 32), Size: 100, Mime: "image/png", Servers: []string{"https://example.com"}, Key: key}
	shown := file
	shown.Key = ""
	result := sign(&events.Result{
		Head: events.Head{At: now, Expires: now + 1000}, Kind: events.KindText + 1000, Job: events.ID(req.ID), To: customer.PublicKey(),
		Status: "success", Files: []events.Blob{shown}, Content: events.WithFiles("here it is", []events.Blob{file}), Encrypted: true,
	}, node)
	facts := map[string][]byte{"key": []byte(customer.Secret())}
	if err := l.Take(events.ID(req.ID), ledger.Customer, facts, req, result); err != nil {
		t.Fatal(err)
	}
	rows, err := l.Rows(events.ID(req.ID))
	if err != nil || len(rows) != 1 {
		t.Fatal(rows, err)
	}
	job, err := jobOf(ctx, l, rows[0], nil)
	if err != nil || job.Input != "paint" || job.Output != "here it is" || job.Peer != node.PublicKey() {
		t.Errorf("have %+v, %v", job, err)
	}
}
