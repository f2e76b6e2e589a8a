package fleet

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"golang.org/x/crypto/scrypt"

	"infernet/events"
)

// letters are those of a code that nobody mistakes for each other.
const letters = "abcdefghjkmnpqrstuvwxyz23456789"

// freshCode makes a code of ten letters in two groups, 49 bits.
func freshCode() string {
	var b strings.Builder
	for b.Len() < 11 {
		if b.Len() == 5 {
			b.WriteByte('-')
			continue
		}
		one := make([]byte, 1)
		rand.Read(one) // it does not fail
		if int(one[0]) < 256/len(letters)*len(letters) {
			b.WriteByte(letters[int(one[0])%len(letters)])
		}
	}
	return b.String()
}

// stretch makes a key of a code, for one node. It is slow on purpose (32 MiB, about 0.1 s): who pretends to be the node
// gets a proof that fits only its own key, and cannot try out the codes that would make it.
func stretch(code string, node events.PubKey) ([]byte, error) {
	code = strings.ToLower(strings.TrimSpace(code))
	return scrypt.Key([]byte(code), []byte("infernet/claim/v1 "+node), 1<<15, 8, 1, 32)
}

// proofOf is what a key says to show that it knows the code, without saying it.
func proofOf(stretched []byte, owner events.PubKey) string {
	mac := hmac.New(sha256.New, stretched)
	mac.Write([]byte(owner))
	return hex.EncodeToString(mac.Sum(nil))
}

// Claim makes the caller the owner of a node, by its one-time code; a key that the node's settings name needs none. Errors:
// ErrSilent, also of a node that has another owner; *Error.
func (o *Owner) Claim(ctx context.Context, node events.PubKey, code string) (who Identity, err error) {
	var in ClaimAsked
	if code != "" {
		key, err := stretch(code, node)
		if err != nil {
			return who, err
		}
		in.Proof = proofOf(key, o.Signer.PublicKey())
	}
	err = o.Call(ctx, node, Claim, in, &who)
	return who, err
}
