package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// heldError says that a daemon runs in a data folder already.
type heldError struct {
	part, dir string
	at        string // where it is; "" if it has not said so
}

func (e *heldError) Error() string {
	if e.at != "" {
		return fmt.Sprintf("a %s runs in the data folder %s already: %s is up", e.part, e.dir, e.at)
	}
	return fmt.Sprintf("a %s runs in the data folder %s already", e.part, e.dir)
}

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
				body, _ := os.ReadFile(s.path(part + ".lock"))
				at, _, _ := strings.Cut(string(body), "\n")
				return nil, &heldError{part, filepath.Clean(s.text("data_dir")), strings.TrimSpace(at)}
			}
			return nil, err
		}
		if err := f.Truncate(0); err != nil { // what a daemon that is gone said of itself
			unlock()
			return nil, err
		}
	}
	return unlock, nil
}

// held says where the daemon that holds a lock is, for whoever finds it held.
func (s *settings) held(part, at string) error {
	return os.WriteFile(s.path(part+".lock"), []byte(at+"\n"), 0o600)
}

// heldAt is held, with the address where this machine reaches it whatever its name leads to.
func (s *settings) heldAt(part, at, local string) error { return s.held(part, at+"\n"+local) }

// local is that address; "" if it is not known.
func (s *settings) local(part string) string {
	body, _ := os.ReadFile(s.path(part + ".lock"))
	_, local, _ := strings.Cut(string(body), "\n")
	return strings.TrimSpace(local)
}

// readyFlag is for scripts: a daemon writes where it is into a file, once it works.
func readyFlag(cmd *cobra.Command, what string) *string {
	return cmd.Flags().String("ready-file", "", "write "+what+" to this file once all is ready")
}

// tellReady writes a ready file, whole or not at all, if one is wanted.
func tellReady(path, line string) error {
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path+".part", []byte(line+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}
