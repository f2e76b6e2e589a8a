package container

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// image is a root filesystem that programs run in.
type image struct {
	name   string
	digest string // of its file
	root   string // where it is unpacked
}

// unpackAll unpacks the images of a folder, those that are not yet.
func unpackAll(ctx context.Context, from, to string, log *slog.Logger) ([]image, error) {
	var found []image
	for _, ending := range []string{".tar", ".tar.gz", ".tgz"} {
		files, err := filepath.Glob(filepath.Join(from, "*"+ending))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			one := image{name: strings.ToLower(strings.TrimSuffix(filepath.Base(file), ending))}
			began := time.Now()
			if one.digest, err = digestOf(ctx, file); err != nil {
				return nil, fmt.Errorf("image %s: %w", file, err)
			}
			one.root = filepath.Join(to, strings.TrimPrefix(one.digest, "sha256:"))
			if err := unpack(ctx, file, one.root); err != nil {
				return nil, fmt.Errorf("image %s: %w", file, err)
			}
			log.Info("an image is there", "name", one.name, "digest", one.digest, "after", time.Since(began).Round(time.Millisecond))
			found = append(found, one)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there is no image in %s; put a root filesystem there: docker export CONTAINER >%s", from, filepath.Join(from, "NAME.tar"))
	}
	return found, nil
}

func digestOf(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, reader{ctx, f}); err != nil {
		return "", err
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// reader stops with its context.
type reader struct {
	ctx context.Context
	io.Reader
}

func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// needed are folders that something is mounted on.
var needed = []string{"proc", "dev", "tmp", "in", "out"}

// unpack unpacks an archive into a folder that is there once all of it is. Devices and set-user-ID bits stay outside.
func unpack(ctx context.Context, archive, to string) (err error) {
	if _, err := os.Stat(to); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(to), "new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeAll(dir))
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	var in io.Reader = reader{ctx, f}
	if !strings.HasSuffix(archive, ".tar") {
		if in, err = gzip.NewReader(in); err != nil {
			return err
		}
	}
	for all := tar.NewReader(in); ; {
		h, err := all.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = place(root, h, all)
		}
		if err != nil {
			return err
		}
	}
	for _, name := range needed {
		if err := root.MkdirAll(name, 0o755); err != nil {
			return err
		}
	}
	if err := os.Rename(dir, to); err != nil && !errors.Is(err, fs.ErrExist) {
		if _, there := os.Stat(to); there != nil {
			return err
		}
		return removeAll(dir) // another process was faster
	}
	return nil
}

// place puts one entry of an archive into a root.
func place(root *os.Root, h *tar.Header, body io.Reader) error {
	name := filepath.Clean(strings.TrimLeft(h.Name, "/"))
	if name == "." {
		return nil
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	mode := fs.FileMode(h.Mode) & 0o777
	switch h.Typeflag {
	case tar.TypeDir:
		if err := root.MkdirAll(name, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	case tar.TypeReg:
		root.Remove(name) // a later entry counts
		f, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode|0o444)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, body)
		return errors.Join(err, f.Close())
	case tar.TypeSymlink:
		root.Remove(name)
		return root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		root.Remove(name)
		return root.Link(filepath.Clean(strings.TrimLeft(h.Linkname, "/")), name)
	}
	return nil
}
