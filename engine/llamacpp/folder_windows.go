package llamacpp

import (
	"errors"
	"os"
)

// hold only makes the file: there is no socket here to be left behind.
func hold(path string, flag int) (*os.File, error) {
	if flag == 0 {
		return nil, errors.ErrUnsupported
	}
	return os.OpenFile(path, os.O_RDWR|flag, 0o600)
}
