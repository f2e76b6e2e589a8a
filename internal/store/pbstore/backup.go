package pbstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/tools/archive"
)

// ErrNoBackup says that a file holds no store.
var ErrNoBackup = errors.New("it is no backup of a store")

// Backup writes a zip file with a copy of the whole store, as of one moment. Writers wait meanwhile.
func (s *Store) Backup(ctx context.Context, to io.Writer) (err error) {
	name := strings.ToLower(rand.Text()) + ".zip"
	if err := s.app.CreateBackup(ctx, name); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	path := filepath.Join(s.app.DataDir(), core.LocalBackupsDirName, name)
	defer func() { err = errors.Join(err, os.Remove(path), remove(path+".attrs")) }()
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer f.Close()
	_, err = io.Copy(to, f)
	return err
}

// Restore puts the store of a backup in the place of the one in a folder, which must not be open. A file that holds no
// store changes nothing: ErrNoBackup.
func Restore(dir, zip string) error {
	fresh, old := dir+".restored", dir+".replaced"
	if err := errors.Join(os.RemoveAll(fresh), os.RemoveAll(old)); err != nil {
		return err
	}
	defer os.RemoveAll(fresh)
	if err := os.MkdirAll(fresh, 0o700); err != nil {
		return err
	}
	if err := archive.Extract(zip, fresh); err != nil {
		return fmt.Errorf("%s: %w: %w", zip, ErrNoBackup, err)
	}
	if err := check(fresh); err != nil {
		return fmt.Errorf("%s: %w: %w", zip, ErrNoBackup, err)
	}
	if err := os.Rename(dir, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return errors.Join(err, os.Rename(old, dir))
	}
	return os.RemoveAll(old)
}

// check opens a store and looks whether its pages and rows are whole.
func check(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "data.db")); err != nil {
		return err
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	var said string
	err = s.app.DB().NewQuery("pragma integrity_check").Row(&said)
	if err == nil && said != "ok" {
		err = errors.New(said)
	}
	if err == nil {
		_, err = s.Marks(context.Background())
	}
	return errors.Join(err, s.Close())
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
