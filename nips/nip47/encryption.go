package nip47

import (
	"crypto/aes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/nbd-wtf/go-nostr/nip04"
	"github.com/nbd-wtf/go-nostr/nip44"
)

// Schemes of encryption.
const (
	NIP44 = "nip44_v2"
	NIP04 = "nip04" // deprecated, and what is meant where no scheme is named
)

// ErrScheme says that a scheme of encryption is not known here.
var ErrScheme = errors.New("unknown encryption")

// ivMark stands in what NIP-04 has encrypted, and in nothing else.
const ivMark = "?iv="

// SchemeOf says by which scheme a content was encrypted, by its shape.
func SchemeOf(content string) string {
	if strings.Contains(content, ivMark) {
		return NIP04
	}
	return NIP44
}

// Encrypt closes a message for a peer. Keys are hex. Errors: ErrScheme.
func Encrypt(scheme, secret, peer, plain string) (string, error) {
	switch scheme {
	case NIP44:
		key, err := nip44.GenerateConversationKey(peer, secret)
		if err != nil {
			return "", err
		}
		return nip44.Encrypt(plain, key)
	case NIP04:
		key, err := nip04.ComputeSharedSecret(peer, secret)
		if err != nil {
			return "", err
		}
		return nip04.Encrypt(plain, key)
	}
	return "", fmt.Errorf("%w: %q", ErrScheme, scheme)
}

// Decrypt opens what a peer closed. Errors: ErrScheme, and what is wrong with the content.
func Decrypt(scheme, secret, peer, content string) (string, error) {
	switch scheme {
	case NIP44:
		key, err := nip44.GenerateConversationKey(peer, secret)
		if err != nil {
			return "", err
		}
		return nip44.Decrypt(content, key)
	case NIP04:
		if err := check04(content); err != nil {
			return "", fmt.Errorf("nip04: %w", err)
		}
		key, err := nip04.ComputeSharedSecret(peer, secret)
		if err != nil {
			return "", err
		}
		return nip04.Decrypt(content, key)
	}
	return "", fmt.Errorf("%w: %q", ErrScheme, scheme)
}

// check04 refuses what the library dies of: parts that are no whole blocks.
func check04(content string) error {
	parts := strings.Split(content, ivMark)
	if len(parts) != 2 {
		return errors.New("it is not cipher" + ivMark + "vector")
	}
	for i, part := range parts {
		raw, err := base64.StdEncoding.DecodeString(part)
		switch {
		case err != nil:
			return err
		case len(raw) == 0 || len(raw)%aes.BlockSize != 0 || i == 1 && len(raw) != aes.BlockSize:
			return fmt.Errorf("%d bytes are no whole blocks", len(raw))
		}
	}
	return nil
}
