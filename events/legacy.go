package events

import (
	"context"
	"crypto/aes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip04"
)

// LegacyReader is a Signer that also opens what old clients encrypt by NIP-04. Nothing is ever written that way: answers
// to such a job are NIP-44, which every client that is still in use reads.
type LegacyReader interface {
	DecryptLegacy(ctx context.Context, peer PubKey, cipher string) (string, error)
}

var _ LegacyReader = (*Keys)(nil)

// legacyMark stands between cipher and vector in NIP-04; no NIP-44 payload has it.
const legacyMark = "?iv="

func isLegacy(ev *nostr.Event) bool { return strings.Contains(ev.Content, legacyMark) }

// decrypt opens an event's content, whichever of the two ways closed it.
func decrypt(ctx context.Context, ev *nostr.Event, peer PubKey, s Signer) (string, error) {
	if !isLegacy(ev) {
		return s.Decrypt(ctx, peer, ev.Content)
	}
	old, ok := s.(LegacyReader)
	if !ok {
		return "", errors.New("it is encrypted by NIP-04, which this signer cannot read")
	}
	return old.DecryptLegacy(ctx, peer, ev.Content)
}

// refuseLegacy refuses messages of this profile that are encrypted by NIP-04, whose bits can be changed unseen.
func refuseLegacy(ev *nostr.Event, tags nostr.Tags) error {
	if !isLegacy(ev) {
		return nil
	}
	for _, name := range []string{"profile", "step", "sealed"} {
		if tags.Find(name) != nil {
			return errors.New("messages of the profile are encrypted by NIP-44, this one by NIP-04")
		}
	}
	return nil
}

// DecryptLegacy opens what peer closed for this key, or this key for peer, by NIP-04.
func (k *Keys) DecryptLegacy(_ context.Context, peer PubKey, cipher string) (string, error) {
	if err := checkLegacy(cipher); err != nil {
		return "", err
	}
	if !isHex64(string(peer)) {
		return "", fmt.Errorf("the peer %s is no key", quote(string(peer)))
	}
	shared, err := nip04.ComputeSharedSecret(string(peer), k.secret)
	if err != nil {
		return "", err
	}
	return nip04.Decrypt(cipher, shared)
}

// checkLegacy refuses what the library dies of: parts that are no whole blocks.
func checkLegacy(content string) error {
	cipher, vector, _ := strings.Cut(content, legacyMark)
	for _, part := range []struct {
		name, text string
		most       int
	}{{"cipher", cipher, MaxEvent}, {"vector", vector, aes.BlockSize}} {
		raw, err := base64.StdEncoding.DecodeString(part.text)
		if err != nil {
			return fmt.Errorf("NIP-04: %s: %w", part.name, err)
		}
		if n := len(raw); n == 0 || n%aes.BlockSize != 0 || n > part.most {
			return fmt.Errorf("NIP-04: a %s of %d bytes is no whole number of blocks", part.name, n)
		}
	}
	return nil
}
