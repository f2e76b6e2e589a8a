//go:build !linux

package eventlog

import "os"

func syncData(f *os.File) error { return f.Sync() }

func allocate(*os.File, int64) error { return nil }
