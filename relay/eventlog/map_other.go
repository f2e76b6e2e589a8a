//go:build !unix

package eventlog

import "os"

func mapFile(path string) ([]byte, error) { return os.ReadFile(path) }

func unmap([]byte) {}

func lock(dir string) (*os.File, error) { return os.Open(dir) }
