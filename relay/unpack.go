package relay

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"regexp"

	"infernet/relay/eventlog"
)

// ErrCut says that a backup has no end: whoever wrote it was cut off.
var ErrCut = errors.New("the backup is cut off: its last file, " + ManifestName + ", is missing")

// ErrDamaged says that a backup is not what its manifest says.
var ErrDamaged = errors.New("the backup is damaged")

var backupNames = regexp.MustCompile(`^(events/[0-9]{8,10}\.log|rules\.json)$`)

// Unpack reads a backup and gives each of its files, then holds all of them against the manifest. Files that each has not
// read to their end are read on.
func Unpack(from io.Reader, each func(name string, body io.Reader) error) (m Manifest, err error) {
	sums := map[string]string{}
	for in := tar.NewReader(from); ; {
		head, err := in.Next()
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return m, ErrCut
		case err != nil:
			return m, fmt.Errorf("%w: it is no tar file: %w", ErrDamaged, err)
		case head.Name == ManifestName:
			body, err := io.ReadAll(io.LimitReader(in, 64<<20))
			if err != nil {
				return m, ErrCut
			}
			if m, err = parseManifest(body); err != nil {
				return m, err
			}
			if _, err := io.Copy(io.Discard, from); err != nil { // the padding of the end
				return m, err
			}
			return m, m.hold(sums)
		case !backupNames.MatchString(head.Name):
			return m, fmt.Errorf("%w: a backup holds no file %q", ErrDamaged, cut(head.Name, 80))
		}
		sum := sha256.New()
		body := io.TeeReader(in, sum)
		err = each(head.Name, body)
		if err == nil {
			_, err = io.Copy(io.Discard, body)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = ErrCut
		}
		if err != nil {
			return m, err
		}
		sums[head.Name] = hex.EncodeToString(sum.Sum(nil))
	}
}

func parseManifest(body []byte) (m Manifest, err error) {
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("%w: %s: %w", ErrDamaged, ManifestName, err)
	}
	if m.Format != ManifestFormat {
		return m, fmt.Errorf("%w: it is of the form %q, this program reads %q", ErrDamaged, cut(m.Format, 80), ManifestFormat)
	}
	for _, f := range m.Files {
		if !backupNames.MatchString(f.Name) || f.Size < 0 {
			return m, fmt.Errorf("%w: a backup holds no file %q", ErrDamaged, cut(f.Name, 80))
		}
	}
	return m, nil
}

// hold holds what came against the manifest; what it left out is not looked for.
func (m Manifest) hold(sums map[string]string) error {
	for _, f := range m.Files {
		if f.SHA256 != "" && sums[f.Name] != f.SHA256 {
			return fmt.Errorf("%w: %s is not what %s says", ErrDamaged, f.Name, ManifestName)
		}
	}
	return nil
}

// ReadManifest reads what a backup that is a folder holds.
func ReadManifest(dir string) (Manifest, error) {
	body, err := os.ReadFile(filepath.Join(dir, ManifestName))
	if err != nil {
		return Manifest{}, err
	}
	return parseManifest(body)
}

// CopyFolder copies the files of a backup that is a folder into another one, and holds them against its manifest. A file
// that has grown since, as one does when a later backup was cut off, is copied as far as the manifest knows it.
func CopyFolder(from, to string) (m Manifest, err error) {
	if m, err = ReadManifest(from); err != nil {
		return m, err
	}
	for _, f := range m.Files {
		sum, err := copyPart(filepath.Join(to, path.Base(f.Name)), filepath.Join(from, filepath.FromSlash(f.Name)), f.Size)
		if err != nil {
			return m, err
		}
		if sum != f.SHA256 {
			return m, fmt.Errorf("%w: %s is not what %s says", ErrDamaged, f.Name, ManifestName)
		}
	}
	return m, nil
}

// copyPart copies the first bytes of a file, and gives their SHA-256.
func copyPart(to, from string, size int64) (string, error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	return WriteFile(to, io.LimitReader(in, size))
}

// WriteFile writes a file that is not there yet, returns once it is on the disk, and gives its SHA-256.
func WriteFile(to string, from io.Reader) (string, error) {
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, sum), from)
	return hex.EncodeToString(sum.Sum(nil)), errors.Join(err, out.Sync(), out.Close())
}

// EventsIn gives the events of the log that was unpacked into a folder, in their order, as JSON.
func EventsIn(ctx context.Context, dir string, yield func(raw []byte) error) error {
	l, err := eventlog.Open(eventlog.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer l.Close()
	s, err := l.Snapshot()
	if err != nil {
		return err
	}
	return s.Each(func(f eventlog.Found) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return yield(f.Raw)
	})
}
