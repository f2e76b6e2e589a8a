package events

import (
	"context"
	"fmt"
	"sync"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip44"
)

// Signer acts for one key: it signs events and reads and writes what travels encrypted between it and a peer (NIP-44).
type Signer interface {
	PublicKey() PubKey
	// Sign sets the event's pubkey, id and sig.
	Sign(ctx context.Context, ev *nostr.Event) error
	Encrypt(ctx context.Context, peer PubKey, plain string) (string, error)
	Decrypt(ctx context.Context, peer PubKey, cipher string) (string, error)
}

// Keys is a Signer that holds its secret key in memory.
type Keys struct {
	secret string
	public PubKey

	mu    sync.Mutex
	peers map[PubKey][32]byte // conversation keys; each costs an ECDH
}

var _ Signer = (*Keys)(nil)

// NewKeys makes a Signer of a secret key, 64 hex characters.
func NewKeys(secret string) (*Keys, error) {
	if !isHex64(secret) {
		return nil, fmt.Errorf("secret key: want 64 lower-case hex characters, have %d characters", len(secret))
	}
	public, err := nostr.GetPublicKey(secret)
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	return &Keys{secret: secret, public: PubKey(public), peers: map[PubKey][32]byte{}}, nil
}

// GenerateKeys makes a Signer with a fresh secret key.
func GenerateKeys() *Keys {
	k, err := NewKeys(nostr.GeneratePrivateKey())
	if err != nil {
		panic(err) // the generator yields valid keys only
	}
	return k
}

// PublicKey is the key others know this signer by.
func (k *Keys) PublicKey() PubKey { return k.public }

// Secret is the secret key in hex, for the file that keeps it. Never log it.
func (k *Keys) Secret() string { return k.secret }

// Sign sets the event's pubkey, id and sig.
func (k *Keys) Sign(_ context.Context, ev *nostr.Event) error { return ev.Sign(k.secret) }

// Encrypt closes plain for peer (NIP-44 v2).
func (k *Keys) Encrypt(_ context.Context, peer PubKey, plain string) (string, error) {
	key, err := k.conversation(peer)
	if err != nil {
		return "", err
	}
	return nip44.Encrypt(plain, key)
}

// Decrypt opens what peer closed for this key, or this key for peer (NIP-44 v2).
func (k *Keys) Decrypt(_ context.Context, peer PubKey, cipher string) (string, error) {
	key, err := k.conversation(peer)
	if err != nil {
		return "", err
	}
	return nip44.Decrypt(cipher, key)
}

// Conversation is the NIP-44 key between this key and a peer. It opens what travels between the two, and nothing else: for a
// Proof, and never for the log.
func (k *Keys) Conversation(peer PubKey) ([32]byte, error) { return k.conversation(peer) }

func (k *Keys) conversation(peer PubKey) ([32]byte, error) {
	k.mu.Lock()
	key, ok := k.peers[peer]
	k.mu.Unlock()
	if ok {
		return key, nil
	}
	key, err := nip44.GenerateConversationKey(string(peer), k.secret)
	if err != nil {
		return key, fmt.Errorf("conversation key with %s: %w", peer, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.peers) >= 10_000 { // a node meets a fresh key with every job
		clear(k.peers)
	}
	k.peers[peer] = key
	return key, nil
}
