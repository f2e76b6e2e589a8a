//go:build !unix

package blob

import "math"

// freeBytes is not known here: Total bounds what is kept.
func freeBytes(string) int64 { return math.MaxInt64 }
