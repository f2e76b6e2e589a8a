package eventlog

import (
	"errors"
	"os"
	"syscall"
)

// syncData leaves out the times of a file, which nobody needs after a crash.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// allocate takes the room now, so that a full disk shows before an event is taken.
func allocate(f *os.File, size int64) error {
	for {
		err := syscall.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.ENOSYS):
			return nil // a file system that cannot: it grows as it is written
		default:
			return err
		}
	}
}
