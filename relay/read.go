package relay

import (
	"encoding/json"

	"github.com/nbd-wtf/go-nostr"
)

// foreignEvent reads an EVENT with fields that no NIP knows: the library stumbles over them, and they are nothing to a relay.
// It gives nil if the message is none.
func foreignEvent(body []byte) *nostr.Event {
	var parts []json.RawMessage
	var label string
	if json.Unmarshal(body, &parts) != nil || len(parts) != 2 || json.Unmarshal(parts[0], &label) != nil || label != "EVENT" {
		return nil
	}
	var ev *struct {
		ID, PubKey, Content, Sig string
		CreatedAt                nostr.Timestamp `json:"created_at"`
		Kind                     int
		Tags                     nostr.Tags
	}
	if json.Unmarshal(parts[1], &ev) != nil || ev == nil || ev.Sig == "" {
		return nil
	}
	return &nostr.Event{ID: ev.ID, PubKey: ev.PubKey, CreatedAt: ev.CreatedAt, Kind: ev.Kind, Tags: ev.Tags, Content: ev.Content, Sig: ev.Sig}
}
