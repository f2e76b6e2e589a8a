package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lock keeps a second daemon that plays one of these parts (relay, node, bank) out of a data folder, until unlock.
func (s *settings) lock(parts ...string) (unlock func(), err error) {
	if err := s.makeDataDir(); err != nil {
		return nil, err
	}
	var held []*os.File
	unlock = func() {
		for _, f := range held {
			f.Close()
		}
	}
	for _, part := range parts {
		f, err := os.OpenFile(s.path(part+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			unlock()
			return nil, err
		}
		held = append(held, f)
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			unlock()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				dir := filepath.Clean(s.text("data_dir"))
				return nil, withHint(fmt.Errorf("a %s runs in the data folder %s already", part, dir), "add --data-dir %s-2", dir)
			}
			return nil, err
		}
	}
	return unlock, nil
}
