package relay

import (
	"encoding/json"
	"slices"

	"github.com/nbd-wtf/go-nostr"
)

// isProtected says whether only its author may publish an event (NIP-70).
func isProtected(ev *nostr.Event) bool {
	return slices.ContainsFunc(ev.Tags, func(t nostr.Tag) bool { return len(t) > 0 && t[0] == "-" })
}

// refuseProtected refuses a protected event from anybody but its author, and a repost that carries one.
func (s *session) refuseProtected(ev *nostr.Event) string {
	if isProtected(ev) {
		s.mu.Lock()
		known, author := len(s.authed) > 0, s.authed[ev.PubKey]
		s.mu.Unlock()
		switch {
		case author:
		case known:
			return "restricted: this event may only be published by its author, and you have proven another key"
		default:
			return "auth-required: this event may only be published by its author"
		}
	}
	if ev.Kind == nostr.KindRepost || ev.Kind == nostr.KindGenericRepost {
		var inner nostr.Event
		if json.Unmarshal([]byte(ev.Content), &inner) == nil && isProtected(&inner) {
			return "blocked: a repost does not carry a protected event"
		}
	}
	return ""
}
