package relay

import (
	"context"
	"fmt"
	"slices"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// refuseAdmission holds what the operator has decided: banned keys and events, kinds that are not taken, and keys that may
// publish where not everybody may.
func (r *Relay) refuseAdmission(ctx context.Context, ev *nostr.Event) (bool, string) {
	d, terms := r.rules.now.Load(), r.terms()
	if why, banned := d.BannedEvents[ev.ID]; banned {
		return true, "blocked: the relay's operator has removed this event" + because(why)
	}
	if why, banned := d.BannedKeys[ev.PubKey]; banned {
		return true, "blocked: this key was banned here" + because(why)
	}
	if !terms.takes(d, ev.Kind) {
		return true, fmt.Sprintf("blocked: kind %d is not taken here; the relay's facts (NIP-11) say what is", ev.Kind)
	}
	if terms.Closed && !importing(ctx) && !r.letIn(ctx, ev) {
		if len(authedOf(ctx)) == 0 {
			return true, "auth-required: only keys that the operator has let in may publish here; AUTH with one of them"
		}
		return true, "restricted: only keys that the operator has let in may publish here"
	}
	return false, ""
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

// letIn says whether an event may come in where not everybody may publish: by its author, by a key that its connection has
// proved, as jobs are bought with fresh keys, or as a private message (NIP-59) to one that is let in.
func (r *Relay) letIn(ctx context.Context, ev *nostr.Event) bool {
	if r.trusts(ev.PubKey) || slices.ContainsFunc(authedOf(ctx), r.trusts) {
		return true
	}
	if ev.Kind != nostr.KindGiftWrap {
		return false
	}
	to := ev.Tags.Find("p")
	return to != nil && r.trusts(to[1])
}

// trusts says whether the operator has let a key in.
func (r *Relay) trusts(key string) bool {
	if _, allowed := r.rules.now.Load().AllowedKeys[key]; allowed {
		return true
	}
	return slices.Contains(r.terms().Admins, key)
}

// marketKinds are kinds that a market needs beside its own: profiles and lists of relays, deletions, reports, private messages,
// wallets (NIP-47), remote signers (NIP-46), zaps, and where relays and files are found.
var marketKinds = []int{
	nostr.KindProfileMetadata, nostr.KindFollowList, nostr.KindDeletion, nostr.KindGiftWrap, nostr.KindReporting, nostr.KindZapRequest, nostr.KindZap,
	nostr.KindRelayListMetadata, 10050, 10063, 13194, 23194, 23195, 23196, 23197, nostr.KindNostrConnect,
}

// takes says whether events of a kind are taken: as the operator has decided for it, else as the settings say.
func (c *Config) takes(d *decided, kind int) bool {
	if allowed, decided := d.Kinds[kind]; decided {
		return allowed
	}
	if !c.MarketOnly {
		return true
	}
	request := kind >= 5000 && kind < 7000 // NIP-90, also what this program does not know
	return request || events.IsMarket(kind) || slices.Contains(marketKinds, kind) || slices.Contains(c.Kinds, kind)
}

type sessionKey struct{}

func withSession(ctx context.Context, s *session) context.Context {
	return context.WithValue(ctx, sessionKey{}, s)
}

// authedOf are the keys that the connection has proved which an event comes from (NIP-42).
func authedOf(ctx context.Context) (keys []string) {
	s, _ := ctx.Value(sessionKey{}).(*session)
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.authed {
		keys = append(keys, key)
	}
	return keys
}
