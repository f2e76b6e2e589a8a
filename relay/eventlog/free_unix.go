//go:build unix

package eventlog

import (
	"math"
	"syscall"
)

// Free is how many bytes the disk under a folder has left for this process; very many if that is not known.
func Free(dir string) int64 {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return math.MaxInt64
	}
	return int64(min(uint64(fs.Bavail)*uint64(fs.Bsize), math.MaxInt64))
}
