package events

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// A sealed result is sold by its key: the node publishes it encrypted under the invoice's preimage, and paying reveals
// the preimage. Everything the customer must check before it pays is under the node's signature.
//
//	K   = HKDF-SHA256(r, salt = job id, info "infernet/sealed/v1", 32)
//	aad = "infernet/sealed/v1" ‖ job ‖ node key ‖ customer key ‖ H
//	S   = nonce12 ‖ ChaCha20-Poly1305(K, nonce12, salt ‖ P, aad)
//	x   = SHA-256("infernet/x/v1" ‖ salt ‖ P)
const (
	sealedInfo = "infernet/sealed/v1"
	sealedX    = "infernet/x/v1"
	saltSize   = 32
)

// ErrFraud says that a sealed result does not hold what its node signed: with the result event, S and r anybody can
// check it.
var ErrFraud = errors.New("the sealed result does not open to what the node signed")

// errOtherText is the ErrFraud of a result that opens, to another text than the node signed.
var errOtherText = fmt.Errorf("%w: another text than its hash", ErrFraud)

// SealedFor names the job and the parties that a sealed result is bound to.
type SealedFor struct {
	Job      ID
	Node     PubKey
	Customer PubKey
}

// Seal closes a result under the preimage r, with fresh salt and nonce. It returns S and x.
func Seal(f SealedFor, r [32]byte, result []byte) (sealed []byte, x string, err error) {
	var salt [saltSize]byte
	var nonce [chacha20poly1305.NonceSize]byte
	rand.Read(salt[:])
	rand.Read(nonce[:])
	return seal(f, r, result, salt, nonce)
}

func seal(f SealedFor, r [32]byte, result []byte, salt [saltSize]byte, nonce [chacha20poly1305.NonceSize]byte) ([]byte, string, error) {
	if len(result) > MaxSealed {
		return nil, "", fmt.Errorf("result of %d bytes, at most %d are sold sealed", len(result), MaxSealed)
	}
	aead, aad, err := f.cipher(r)
	if err != nil {
		return nil, "", err
	}
	plain := append(bytes.Clone(salt[:]), result...)
	return aead.Seal(nonce[:], nonce[:], plain, aad), sealX(plain), nil
}

// Unseal opens S with the preimage r and checks x. Anything else than the signed result is ErrFraud.
func Unseal(f SealedFor, r [32]byte, sealed []byte, x string) ([]byte, error) {
	aead, aad, err := f.cipher(r)
	if err != nil {
		return nil, err
	}
	if len(sealed) < chacha20poly1305.NonceSize+saltSize+chacha20poly1305.Overhead {
		return nil, fmt.Errorf("%w: only %d bytes", ErrFraud, len(sealed))
	}
	nonce, body := sealed[:chacha20poly1305.NonceSize], sealed[chacha20poly1305.NonceSize:]
	plain, err := aead.Open(nil, nonce, body, aad)
	if err != nil {
		return nil, fmt.Errorf("%w: the key does not fit", ErrFraud)
	}
	if sealX(plain) != x {
		return nil, errOtherText
	}
	return plain[saltSize:], nil
}

// SealedSum is what the `sealed` tag says of S: its SHA-256, hex.
func SealedSum(sealed []byte) string {
	sum := sha256.Sum256(sealed)
	return hex.EncodeToString(sum[:])
}

func sealX(saltAndResult []byte) string {
	h := sha256.New()
	h.Write([]byte(sealedX))
	h.Write(saltAndResult)
	return hex.EncodeToString(h.Sum(nil))
}

type aeadCipher interface {
	Seal(dst, nonce, plaintext, additionalData []byte) []byte
	Open(dst, nonce, ciphertext, additionalData []byte) ([]byte, error)
}

func (f SealedFor) cipher(r [32]byte) (aeadCipher, []byte, error) {
	job, node, customer, err := f.bytes()
	if err != nil {
		return nil, nil, err
	}
	key, err := hkdf.Key(sha256.New, r[:], job, sealedInfo, chacha20poly1305.KeySize)
	if err != nil {
		return nil, nil, err
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil, nil, err
	}
	hash := sha256.Sum256(r[:])
	return aead, bytes.Join([][]byte{[]byte(sealedInfo), job, node, customer, hash[:]}, nil), nil
}

func (f SealedFor) bytes() (job, node, customer []byte, err error) {
	for _, part := range []struct {
		to   *[]byte
		name string
		hex  string
	}{{&job, "job", string(f.Job)}, {&node, "node", string(f.Node)}, {&customer, "customer", string(f.Customer)}} {
		b, err := hex.DecodeString(part.hex)
		if err != nil || len(b) != 32 {
			return nil, nil, nil, fmt.Errorf("sealed result: %s is no id: %s", part.name, quote(part.hex))
		}
		*part.to = b
	}
	return job, node, customer, nil
}
