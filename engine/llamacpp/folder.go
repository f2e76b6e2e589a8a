package llamacpp

import (
	"fmt"
	"os"
	"path/filepath"
)

// prefix begins the names of the folders that hold the sockets of llama-servers.
const prefix = "infernet-llama-"

// folder is a folder of one engine. Its lock is held as long as the process lives, however that ends: so the next one knows
// which folders nobody needs any more.
type folder struct {
	path string
	lock *os.File
}

// newFolder makes one, and removes those of processes that were killed.
func newFolder() (*folder, error) {
	sweep(os.TempDir())
	for try := 0; ; try++ {
		path, err := os.MkdirTemp("", prefix)
		if err != nil {
			return nil, fmt.Errorf("folder for llama-server's socket: %w", err)
		}
		lock, err := hold(filepath.Join(path, "lock"), os.O_CREATE)
		if err == nil {
			if _, err = os.Stat(lock.Name()); err == nil {
				return &folder{path, lock}, nil
			}
			lock.Close() // another process swept in the moment between
		}
		os.RemoveAll(path)
		if try == 3 {
			return nil, fmt.Errorf("lock the folder for llama-server's socket: %w", err)
		}
	}
}

// sweep removes the folders whose lock nobody holds. One without a lock is being made, or is not ours.
func sweep(dir string) {
	left, _ := filepath.Glob(filepath.Join(dir, prefix+"*"))
	for _, path := range left {
		lock, err := hold(filepath.Join(path, "lock"), 0)
		if err != nil {
			continue
		}
		os.RemoveAll(path)
		lock.Close()
	}
}

func (f *folder) remove() error {
	err := os.RemoveAll(f.path)
	f.lock.Close()
	return err
}
