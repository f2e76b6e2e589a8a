package httpd

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// AppKey is what is known of an app key. The key itself is shown once, when it is issued; kept is its hash.
type AppKey struct {
	ID      string    `json:"id"`               // the beginning of its hash
	Hash    string    `json:"hash"`             // SHA-256 in hex
	Name    string    `json:"name"`             // the app's, for people
	Scopes  []string  `json:"scopes,omitempty"` // what it is for; everything if none is named
	Owner   string    `json:"owner,omitempty"`  // the Nostr key that it acts for
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires,omitzero"` // never if zero
}

func (k AppKey) may(scope string) bool {
	return scope == "" || len(k.Scopes) == 0 || slices.Contains(k.Scopes, scope)
}

// KeyPrefix is how every app key begins, so that people and scanners know one.
const KeyPrefix = "ifn_"

// Keys are the app keys of a file. Many processes may open it; what one issues or revokes, the others know at once.
type Keys struct {
	path string

	mu     sync.Mutex
	stamp  stamp
	byHash map[string]AppKey
}

// stamp says which version of a file was read.
type stamp struct {
	at   time.Time
	size int64
	file uint64 // inode: a file that is replaced is another one
}

// OpenKeys opens a file of app keys; it is made with the first key.
func OpenKeys(path string) (*Keys, error) {
	k := &Keys{path: path, byHash: map[string]AppKey{}}
	return k, k.read()
}

// Issue makes an app key. The secret is what the app sends; it is nowhere else.
func (k *Keys) Issue(ask AppKey, now time.Time) (secret string, key AppKey, err error) {
	raw := make([]byte, 32)
	rand.Read(raw)
	secret = KeyPrefix + base64.RawURLEncoding.EncodeToString(raw)
	key = ask
	key.Hash = hashOf(secret)
	key.ID, key.Issued = key.Hash[:12], now.UTC().Truncate(time.Second)
	return secret, key, k.change(func() error {
		k.byHash[key.Hash] = key
		return nil
	})
}

// ErrNoKey says that no app key has this id.
var ErrNoKey = errors.New("there is no such app key")

// Revoke ends an app key.
func (k *Keys) Revoke(id string) error {
	return k.change(func() error {
		for hash, key := range k.byHash {
			if key.ID == id {
				delete(k.byHash, hash)
				return nil
			}
		}
		return fmt.Errorf("%w: %s", ErrNoKey, id)
	})
}

// List gives the app keys, oldest first.
func (k *Keys) List() ([]AppKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	err := k.read()
	return k.list(), err
}

func (k *Keys) list() []AppKey {
	all := make([]AppKey, 0, len(k.byHash))
	for _, key := range k.byHash {
		all = append(all, key)
	}
	slices.SortFunc(all, func(a, b AppKey) int {
		if c := a.Issued.Compare(b.Issued); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return all
}

var errUnknownKey = errors.New("this app key is not known, or was revoked")

// find gives what is known of an app key. It is found by its hash: how long that takes says nothing about other keys.
func (k *Keys) find(secret string, now time.Time) (AppKey, error) {
	if k == nil {
		return AppKey{}, errUnknownKey
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.read(); err != nil {
		return AppKey{}, errors.New("app keys cannot be read now") // the path is nobody's business
	}
	key, ok := k.byHash[hashOf(secret)]
	switch {
	case !ok:
		return AppKey{}, errUnknownKey
	case !key.Expires.IsZero() && !now.Before(key.Expires):
		return AppKey{}, fmt.Errorf("the app key %s has expired", key.ID)
	}
	return key, nil
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// read reads the file if it has changed since.
func (k *Keys) read() error {
	info, err := os.Stat(k.path)
	if errors.Is(err, os.ErrNotExist) {
		clear(k.byHash)
		k.stamp = stamp{}
		return nil
	}
	if err != nil {
		return err
	}
	now := stamp{at: info.ModTime(), size: info.Size()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		now.file = sys.Ino
	}
	if now == k.stamp {
		return nil
	}
	body, err := os.ReadFile(k.path)
	if err != nil {
		return err
	}
	var all []AppKey
	if err := json.Unmarshal(body, &all); err != nil {
		return fmt.Errorf("%s is no file of app keys: %w", k.path, err)
	}
	clear(k.byHash)
	for _, key := range all {
		k.byHash[key.Hash] = key
	}
	k.stamp = now
	return nil
}

// change changes the file, whole or not at all, while no other process does.
func (k *Keys) change(do func() error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(k.path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	if err := k.read(); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	k.stamp = stamp{} // what was done may fail to be written: the file is what counts
	body, err := json.MarshalIndent(k.list(), "", "  ")
	if err != nil {
		return err
	}
	return replaceFile(k.path, append(bytes.TrimSpace(body), '\n'))
}

func replaceFile(path string, body []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.part") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(body)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
