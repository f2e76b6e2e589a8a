package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lock keeps a second daemon of the same kind out of a data folder, until unlock.
func (s *settings) lock(name string) (unlock func(), err error) {
	if err := s.makeDataDir(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.path(name+".lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, withHint(fmt.Errorf("another %s uses the data folder %s", name, filepath.Clean(s.text("data_dir"))),
				"infernet %s --data-dir %s-2", name, filepath.Clean(s.text("data_dir")))
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}
