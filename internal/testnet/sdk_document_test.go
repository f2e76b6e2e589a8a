package testnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"infernet/consumer/gateway"
	"infernet/events"
	"infernet/internal/notify"
)

// TestSDKDocument holds sdk/js/openapi.json, which the SDK's types are made of, against what a gateway serves. `make sdk` writes
// both anew.
func TestSDKDocument(t *testing.T) {
	t.Parallel()
	n := Start(t)
	all := func(c *gateway.Config) {
		c.Notices = func(context.Context, int64, int) ([]notify.Notice, error) { return nil, nil }
		c.Prove = func(context.Context, events.ID) (*events.Proof, error) { return nil, errors.New("nothing was bought") }
	}
	got := n.gateway(t, all).ask(ctx, "GET", "/openapi.json", nil)
	var doc map[string]any
	if err := json.Unmarshal([]byte(got.text), &doc); err != nil {
		t.Fatal(err)
	}
	doc["info"].(map[string]any)["version"] = "1"
	paths := doc["paths"].(map[string]any)
	delete(paths, "/metrics")
	body, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	body = append(body, '\n')
	const file = "../../sdk/js/openapi.json"
	if os.Getenv("INFERNET_UPDATE") != "" {
		if err := os.WriteFile(file, body, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(file); err != nil || !bytes.Equal(have, body) {
		t.Errorf("%s is stale (%v); make sdk writes it anew", file, err)
	}
}
