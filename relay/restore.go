package relay

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"infernet/relay/eventlog"
)

// restoredDir is where the files of a backup wait, complete, to take the place of what a relay stores.
const restoredDir = "events.restored"

// Restore lets fill put the files of a backup into a folder, reads each from end to end, and puts them in the place of what is
// stored in a relay's folder, which no relay may be using. What was there is kept beside it, and its folder given; "" if there
// was nothing. A crash in between loses nothing: the next start, or Restore again, ends it.
func Restore(dir string, fill func(folder string) error, log *slog.Logger) (before string, err error) {
	held, err := eventlog.Hold(filepath.Join(dir, "events"))
	if err != nil {
		return "", err
	}
	defer held.Close()
	part := filepath.Join(dir, "events.new")
	if err := errors.Join(os.RemoveAll(part), os.RemoveAll(filepath.Join(dir, restoredDir)), os.Mkdir(part, 0o700)); err != nil {
		return "", err
	}
	defer os.RemoveAll(part)
	if err := fill(part); err != nil {
		return "", err
	}
	logs, err := filepath.Glob(filepath.Join(part, "*.log"))
	if err != nil {
		return "", err
	}
	for _, path := range logs {
		if err := checkSegment(path); err != nil {
			return "", fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	if err := errors.Join(syncFolder(part), os.Rename(part, filepath.Join(dir, restoredDir)), syncFolder(dir)); err != nil {
		return "", err
	}
	return swapIn(dir, log)
}

// Stores says whether anything is stored in a relay's folder.
func Stores(dir string) bool {
	logs, _ := filepath.Glob(filepath.Join(dir, "events", "*.log"))
	return slices.ContainsFunc(logs, eventlog.Holds) || exists(filepath.Join(dir, "MANIFEST")) // of an earlier version
}

func checkSegment(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	_, err = eventlog.CheckSegment(f, info.Size())
	return err
}

// takeRestored ends a Restore that a crash has cut off.
func takeRestored(dir string, log *slog.Logger) error {
	if _, err := os.Stat(filepath.Join(dir, restoredDir)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	_, err := swapIn(dir, log)
	return err
}

// swapIn lets what was restored take its place.
func swapIn(dir string, log *slog.Logger) (before string, err error) {
	events, restored := filepath.Join(dir, "events"), filepath.Join(dir, restoredDir)
	logs, _ := filepath.Glob(filepath.Join(events, "*.log"))
	switch _, err := os.Stat(events); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", err
	case len(logs) == 0:
		if err := os.RemoveAll(events); err != nil {
			return "", err
		}
	default:
		before = fmt.Sprintf("%s.before-%s", events, time.Now().UTC().Format("20060102-150405"))
		if err := os.Rename(events, before); err != nil {
			return "", err
		}
	}
	if kept := filepath.Join(restored, rulesName); exists(kept) {
		if err := os.Rename(kept, filepath.Join(dir, rulesName)); err != nil {
			return before, err
		}
	}
	if err := errors.Join(os.Rename(restored, events), syncFolder(dir)); err != nil {
		return before, err
	}
	log.Info("a backup is in the place of what was stored", "dir", events, "before", before)
	return before, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
