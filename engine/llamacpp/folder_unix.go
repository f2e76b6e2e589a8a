//go:build unix

package llamacpp

import (
	"os"
	"syscall"
)

// hold opens a lock file and locks it, if nobody else has. The lock goes with the file's last descriptor, which no child
// process inherits.
func hold(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
