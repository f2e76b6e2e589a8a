//go:build unix

package blob

import (
	"math"
	"syscall"
)

// freeBytes is how much room the disk under a folder has.
func freeBytes(dir string) int64 {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return math.MaxInt64
	}
	return int64(min(uint64(fs.Bavail)*uint64(fs.Bsize), math.MaxInt64))
}
