package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"infernet/events"
)

// readSecret reads a file that only its owner may read.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return "", withHint(fmt.Errorf("%s is a directory", path), "ls -l %s", quoted(path))
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", withHint(fmt.Errorf("%s can be read by others", path), "chmod 600 %s", quoted(path))
	}
	body, err := os.ReadFile(path)
	return strings.TrimSpace(string(body)), err
}

// writeSecret writes a file that only its owner may read. It never replaces one.
func writeSecret(path, secret string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(secret + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// keys reads a key file, and makes it if there is none.
func keys(path string) (*events.Keys, error) {
	secret, err := readSecret(path)
	if errors.Is(err, fs.ErrNotExist) {
		fresh := events.GenerateKeys()
		return fresh, writeSecret(path, fresh.Secret())
	}
	if err != nil {
		return nil, err
	}
	k, err := events.NewKeys(secret)
	if err != nil {
		return nil, noKey(path, err)
	}
	return k, nil
}

// noKey says that a file holds no key, and how to put it aside.
func noKey(path string, err error) error {
	return withHint(fmt.Errorf("%s holds no key: %w", path, err), "mv %s %s; infernet key  # makes a new one", quoted(path), quoted(path+".bad"))
}
