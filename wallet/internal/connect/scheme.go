package connect

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/nips/nip47"
	"infernet/wallet"
)

// infoIn is how long a new connection waits for the wallet to say which encryptions it knows.
const infoIn = 1500 * time.Millisecond

// scheme is the encryption that client and wallet have in common, as the wallet's info event says.
type scheme struct {
	known chan struct{} // closed once the wallet has said what it can
	asked chan struct{} // closed once the relays were asked for that, or are not waited for any more

	mu   sync.Mutex
	said nip47.Capabilities
	at   nostr.Timestamp // of what was said
	old  bool            // without a word of what it can, the wallet refused the newer scheme
}

// hear takes in an info event; the newest counts.
func (s *scheme) hear(ev *nostr.Event) {
	said, err := nip47.ParseCapabilities(ev)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || ev.CreatedAt < s.at {
		return
	}
	if s.at == 0 {
		close(s.known)
	}
	s.said, s.at = said, ev.CreatedAt
}

// pick says which scheme to use. A wallet that says nothing of itself is spoken to by NIP-44, which NIP-47 requires.
func (s *scheme) pick(ctx context.Context) (string, error) {
	select {
	case <-s.known:
	case <-s.asked:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.at == 0 && s.old:
		return nip47.NIP04, nil
	case s.at == 0:
		return nip47.NIP44, nil
	}
	best := s.said.Encryption()
	if best == "" {
		return "", fmt.Errorf("%w: it encrypts by %v, here are %s and %s", wallet.ErrUnsupported, s.said.Encryptions, nip47.NIP44, nip47.NIP04)
	}
	return best, nil
}

// newer says whether the wallet is known to speak NIP-44.
func (s *scheme) newer() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at != 0 && s.said.Encryption() == nip47.NIP44
}

// refused says whether to try again, by another scheme: the wallet does not know the one it was spoken to by.
func (s *scheme) refused(used string) (again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at != 0 { // it has said meanwhile what it knows
		best := s.said.Encryption()
		return best != "" && best != used
	}
	if s.old || used == nip47.NIP04 {
		return false
	}
	s.old = true
	return true
}

// Encrypt closes a message for a peer by one of NIP-47's schemes. Errors: nip47.ErrScheme.
func Encrypt(ctx context.Context, keys *events.Keys, scheme string, peer events.PubKey, plain string) (string, error) {
	if scheme == nip47.NIP44 { // the conversation's key is kept
		return keys.Encrypt(ctx, peer, plain)
	}
	return nip47.Encrypt(scheme, keys.Secret(), string(peer), plain)
}

// Decrypt opens what a peer closed. Errors: nip47.ErrScheme, and what is wrong with the content.
func Decrypt(ctx context.Context, keys *events.Keys, scheme string, peer events.PubKey, content string) (string, error) {
	if scheme == nip47.NIP44 {
		return keys.Decrypt(ctx, peer, content)
	}
	return nip47.Decrypt(scheme, keys.Secret(), string(peer), content)
}
