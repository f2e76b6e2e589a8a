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
	"path"
	"slices"
	"time"

	"infernet/relay/eventlog"
)

// A backup is a tar file: the segments of the log up to one moment, then MANIFEST.json, which says what has to be there.
// Without it the backup is not whole. Indexes are not in it: they are made again.

// Manifest says what a backup holds.
type Manifest struct {
	Format string       `json:"format"` // ManifestFormat
	Store  string       `json:"store"`  // whose segments: those of one store that have a name and a size in common are the same
	Made   int64        `json:"made"`   // unix seconds
	Events int          `json:"events"` // that are found in it
	Files  []BackupFile `json:"files"`
}

// BackupFile is a file of a backup.
type BackupFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"` // "" of one that was left out: who asked has it
}

// ManifestFormat is the form of a backup, and ManifestName its last file.
const (
	ManifestFormat = "infernet relay backup 1"
	ManifestName   = "MANIFEST.json"
)

// Have says what of an earlier backup need not be sent again.
type Have struct {
	Store string       `json:"store,omitempty"`
	Files []BackupFile `json:"files,omitempty"`
}

func (h Have) holds(store string, f BackupFile) bool {
	return h.Store == store && slices.ContainsFunc(h.Files, func(had BackupFile) bool { return had.Name == f.Name && had.Size == f.Size })
}

// Backup writes a backup of what is stored now, while the relay goes on. What had holds is named and left out.
func (r *Relay) Backup(ctx context.Context, to io.Writer, had Have) error {
	if !r.work() {
		return errClosing
	}
	defer r.working.Done()
	s, err := r.store.log.Snapshot()
	if err != nil {
		return err
	}
	m := Manifest{Format: ManifestFormat, Store: s.ID, Made: r.Now().Unix(), Events: r.store.log.Stat().Events}
	w := tar.NewWriter(to)
	for _, p := range s.Parts {
		f := BackupFile{Name: path.Join("events", p.Name), Size: p.Size}
		if !had.holds(s.ID, f) {
			if f.SHA256, err = r.pack(ctx, w, p, f.Name); err != nil {
				return fmt.Errorf("back up %s: %w", p.Name, err)
			}
		}
		m.Files = append(m.Files, f)
	}
	for name, body := range r.kept() {
		sum := sha256.Sum256(body)
		m.Files = append(m.Files, BackupFile{Name: name, Size: int64(len(body)), SHA256: hex.EncodeToString(sum[:])})
		if err := packBytes(w, name, body, m.Made); err != nil {
			return err
		}
	}
	body, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return errors.Join(packBytes(w, ManifestName, append(body, '\n'), m.Made), w.Close())
}

// pack writes one segment, and gives its SHA-256.
func (r *Relay) pack(ctx context.Context, w *tar.Writer, p eventlog.Part, name string) (string, error) {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: p.Size, ModTime: time.Unix(r.Now().Unix(), 0)}); err != nil {
		return "", err
	}
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), until{ctx, r, p.Reader()}); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func packBytes(w *tar.Writer, name string, body []byte, at int64) error {
	err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(body)), ModTime: time.Unix(at, 0)})
	if err == nil {
		_, err = w.Write(body)
	}
	return err
}

var errClosing = errors.New("the relay shuts down")

// until reads while nobody has had enough: a relay that is told to end waits for no backup.
type until struct {
	ctx context.Context
	r   *Relay
	io.Reader
}

func (u until) Read(b []byte) (int, error) {
	switch {
	case u.ctx.Err() != nil:
		return 0, u.ctx.Err()
	case u.r.leaving():
		return 0, errClosing
	}
	return u.Reader.Read(b)
}

func (r *Relay) leaving() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closing
}
