package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"infernet/events"
)

// book is where the addresses of files that were put are kept: with their keys, so for their owner only.
type book struct{ path string }

// entry is one line of the book.
type entry struct {
	Address string    `json:"address"`
	Name    string    `json:"name"`
	At      time.Time `json:"at"`
	Removed string    `json:"removed,omitempty"` // the SHA-256 of a file that was removed: its name means the one before
}

func (a *app) book() book { return book{a.settings.path("files.jsonl")} }

func (b book) add(file events.Blob, name string) error {
	return b.write(entry{Address: file.URI(), Name: name, At: time.Now().UTC()})
}

// remove notes that a file is no longer on its servers.
func (b book) remove(sum string) error { return b.write(entry{Removed: sum, At: time.Now().UTC()}) }

func (b book) write(e entry) error {
	f, err := os.OpenFile(b.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	body, err := json.Marshal(e)
	if err == nil {
		_, err = f.Write(append(body, '\n'))
	}
	return errors.Join(err, f.Close())
}

// read gives all entries, oldest first.
func (b book) read() (all []entry, err error) {
	f, err := os.Open(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", b.path, n, err)
		}
		all = append(all, e)
	}
	return all, lines.Err()
}

// find finds the newest entry of a name or SHA-256, or its beginning, whose file was not removed; an empty blob if there is none.
func (b book) find(name string) (found events.Blob, err error) {
	all, err := b.read()
	var named []events.Blob
	for _, e := range all {
		named = slices.DeleteFunc(named, func(file events.Blob) bool { return file.Sum == e.Removed })
		file, bad := events.ParseBlob(e.Address)
		if bad == nil && (e.Name == name || file.Sum == name || keyStart.MatchString(name) && strings.HasPrefix(file.Sum, name)) {
			named = append(named, file)
		}
	}
	if len(named) > 0 {
		found = named[len(named)-1]
	}
	return found, err
}

// names are the names of files by SHA-256.
func (b book) names() (map[string]string, error) {
	all, err := b.read()
	names := map[string]string{}
	for _, e := range all {
		if file, bad := events.ParseBlob(e.Address); bad == nil {
			names[file.Sum] = e.Name
		}
	}
	return names, err
}
