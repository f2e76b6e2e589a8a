package llamacpp

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// digest is the SHA-256 of a model's file, computed beside the loading. A file of many gigabytes takes its time, so what was
// computed is kept in the cache, under the file's size and time of change.
type digest struct {
	cancel context.CancelFunc
	done   chan struct{}
	value  string
}

// known is what the cache holds of one file.
type known struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	Time   int64  `json:"mtime"` // nanoseconds since 1970
	Digest string `json:"digest"`
}

func hash(path string, log *slog.Logger) *digest {
	ctx, cancel := context.WithCancel(context.Background())
	d := &digest{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		value, err := sum(ctx, path)
		switch {
		case err == nil:
			d.value = value
		case !errors.Is(err, context.Canceled):
			log.Warn("the model's digest is unknown", "err", err)
		}
	}()
	return d
}

// wait gives the digest, or "" if it is not known within limit.
func (d *digest) wait(ctx context.Context, limit time.Duration) string {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-d.done:
		return d.value
	case <-timer.C:
	case <-ctx.Done():
	}
	return ""
}

func (d *digest) close() {
	d.cancel()
	<-d.done
}

// sum reads the file, or the cache if the file is unchanged.
func sum(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("digest: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("digest: %w", err)
	}
	name := sha256.Sum256([]byte(path))
	note := filepath.Join(cacheDir(), "digests", hex.EncodeToString(name[:8])+".json")
	now := known{Path: path, Size: info.Size(), Time: info.ModTime().UnixNano()}
	var old known
	if data, err := os.ReadFile(note); err == nil && json.Unmarshal(data, &old) == nil {
		if now.Digest = old.Digest; now == old {
			return old.Digest, nil
		}
	}
	h := sha256.New()
	if _, err := io.Copy(h, &stoppable{ctx, f}); err != nil {
		return "", fmt.Errorf("digest %s: %w", path, err)
	}
	now.Digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	now.keep(note) // without a cache it is computed again next time
	return now.Digest, nil
}

func (k known) keep(path string) {
	data, err := json.Marshal(k)
	if err != nil || os.MkdirAll(filepath.Dir(path), 0o755) != nil {
		return
	}
	part := fmt.Sprintf("%s.%d", path, os.Getpid())
	if os.WriteFile(part, data, 0o644) != nil || os.Rename(part, path) != nil {
		os.Remove(part)
	}
}

// stoppable is a reader that ends with its context.
type stoppable struct {
	ctx context.Context
	in  io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.in.Read(p)
}
