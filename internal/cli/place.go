package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Where an answer goes is looked at before anything is paid for it.

// checkOut says why a file cannot be written, if that can be seen before.
func checkOut(flag, path string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return withHint(usage("%s %s: it is a folder, a file is wanted", flag, path), "ls -ld %s  # name a file in it", quoted(path))
	case err == nil && !info.Mode().IsRegular(): // a terminal, a pipe
		return nil
	case err == nil:
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return withHint(usage("%s: %w", flag, err), "ls -l %s", quoted(path))
		}
		return f.Close()
	}
	dir := filepath.Dir(path)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return withHint(usage("%s %s: there is no folder %s", flag, path, dir), "mkdir -p %s", quoted(dir))
	}
	return wantWritable(flag, path, dir)
}

// checkOutDir says why no files can be written into a folder, which is made if it is not there.
func checkOutDir(flag, path string) error {
	if path == "" {
		return nil
	}
	at := filepath.Clean(path)
	for {
		info, err := os.Stat(at)
		if err == nil && !info.IsDir() {
			return withHint(usage("%s %s: %s is no folder", flag, path, at), "ls -l %s", quoted(at))
		}
		up := filepath.Dir(at)
		if err == nil || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) || up == at {
			return wantWritable(flag, path, at)
		}
		at = up
	}
}

// canWrite tries to write in a folder that is there.
func canWrite(dir string) error {
	f, err := os.CreateTemp(dir, ".infernet-")
	if err == nil {
		return errors.Join(f.Close(), os.Remove(f.Name()))
	}
	if inner := (*fs.PathError)(nil); errors.As(err, &inner) { // the name of what was tried says nothing
		err = inner.Err
	}
	return fmt.Errorf("nothing can be written in %s: %w", dir, err)
}

// wantWritable is canWrite for a flag.
func wantWritable(flag, path, dir string) error {
	if err := canWrite(dir); err != nil {
		return withHint(usage("%s %s: %w", flag, path, err), "ls -ld %s", quoted(dir))
	}
	return nil
}
