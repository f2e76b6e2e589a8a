package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nbd-wtf/go-nostr/nip19"
	"github.com/nbd-wtf/go-nostr/nip49"

	"infernet/events"
	"infernet/internal/bunker"
)

// A key file holds one line: a secret key in hex or as nsec (NIP-19), the same encrypted with a password (NIP-49), or the
// address of a bunker that holds it elsewhere (NIP-46).
const (
	plainKey     = "plain"
	encryptedKey = "encrypted"
	bunkerKey    = "bunker"
)

// keyForm says which of these a key file's line is.
func keyForm(line string) string {
	switch {
	case strings.HasPrefix(line, "ncryptsec1"):
		return encryptedKey
	case strings.HasPrefix(line, "bunker://"):
		return bunkerKey
	}
	return plainKey
}

// signer opens the key in a file: it asks for a password where one is needed, and connects to a bunker. A file that is not
// there is made, with a fresh key in clear. done ends a connection.
func (a *app) signer(ctx context.Context, path string) (s events.Signer, done func(), err error) {
	line, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		s, err = keys(path)
		return s, func() {}, err
	}
	if err != nil {
		return nil, nil, err
	}
	if keyForm(line) != bunkerKey {
		k, err := a.unlock(ctx, path, line)
		return k, func() {}, err
	}
	client, err := keys(path + ".client") // the bunker knows this machine by it
	if err != nil {
		return nil, nil, err
	}
	b, err := bunker.Open(ctx, bunker.Config{Address: line, Client: client, Log: a.log, OnAuth: func(url string) {
		fmt.Fprintf(a.Err, "the bunker wants you to agree at %s\n", url)
	}})
	if err != nil {
		return nil, nil, withHint(fmt.Errorf("%s: %w", path, err), "infernet key --help  # what a key file can hold")
	}
	return b, func() { b.Close() }, nil
}

// unlock reads a key that is in the file itself.
func (a *app) unlock(ctx context.Context, path, line string) (*events.Keys, error) {
	switch {
	case keyForm(line) == encryptedKey:
		password, err := a.password(ctx, "password of "+path, false)
		if err != nil {
			return nil, err
		}
		if line, err = decryptKey(line, password); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	case strings.HasPrefix(line, "nsec1"):
		_, secret, err := nip19.Decode(line)
		if err != nil {
			return nil, fmt.Errorf("%s: it holds no nsec: %w", path, err)
		}
		line = secret.(string)
	}
	k, err := events.NewKeys(line)
	if err != nil {
		return nil, noKey(path, err)
	}
	return k, nil
}

// scryptCost is what each try of a password costs: 2^16 rounds, 64 MB, some tenths of a second (NIP-49's example).
const scryptCost = 16

// maxScryptCost bounds what a foreign file can make this machine do: 4 GB.
const maxScryptCost = 22

// encryptKey encrypts a secret key, and reads it back before it says so.
func encryptKey(secret, password string) (string, error) {
	line, err := nip49.Encrypt(secret, password, scryptCost, nip49.KnownToHaveBeenHandledInsecurely) // it lay in clear
	if err != nil {
		return "", err
	}
	if again, err := decryptKey(line, password); err != nil || again != secret {
		return "", errors.New("the key cannot be read back; nothing was changed")
	}
	return line, nil
}

func decryptKey(line, password string) (string, error) {
	const letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l" // BIP 173
	cost := 0
	for _, c := range line[:min(len(line), len("ncryptsec1")+4)][len("ncryptsec1"):] { // 20 bits: version, cost, and 4 more
		cost = cost<<5 | max(0, strings.IndexRune(letters, c))
	}
	if cost = cost >> 4 & 0xff; len(line) != 162 || cost > maxScryptCost {
		return "", errors.New("it holds no whole ncryptsec (NIP-49), or one that takes too much memory")
	}
	secret, err := nip49.Decrypt(line, password)
	if err != nil || len(secret) != 64 {
		return "", withHint(usage("the password is wrong, or the file is damaged"), "infernet key --password-file FILE")
	}
	return secret, nil
}

// password reads a password: from the file that is set, else from the terminal, twice where it is a new one.
func (a *app) password(ctx context.Context, prompt string, fresh bool) (string, error) {
	if path := a.settings.text("password_file"); path != "" {
		password, err := readSecret(path)
		if err == nil && password == "" {
			err = fmt.Errorf("%s is empty", path)
		}
		if err != nil {
			return "", fmt.Errorf("password_file: %w", err)
		}
		return password, nil
	}
	fd, typed := a.terminal()
	if !typed {
		return "", withHint(usage("a password is needed, and nobody is at a terminal to type it"), "%s",
			remark(again(a.args, "--password-file", "/path/of/a/file"), "that only you can read"))
	}
	ask := func(prompt string) (string, error) {
		fmt.Fprintf(a.Err, "%s: ", prompt)
		return a.readPassword(ctx, fd)
	}
	password, err := ask(prompt)
	if err != nil {
		return "", err
	}
	if password == "" {
		return "", usage("the password is empty")
	}
	if fresh {
		again, err := ask("the same again")
		if err != nil {
			return "", err
		}
		if again != password {
			return "", usage("the two are not the same")
		}
	}
	return password, nil
}

// replaceSecret writes a secret file anew: the old one stays until the new one is on the disk.
func replaceSecret(path, secret string) error {
	part := path + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeSecret(part, secret); err != nil {
		return err
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
