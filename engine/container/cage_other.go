//go:build !linux || !(amd64 || arm64)

package container

import (
	"context"
	"errors"
	"os"
)

// cage keeps programs apart; only Linux can.
type cage struct{ images string }

type end struct {
	exit           int
	killed         string
	stdout, stderr string
}

func openCage(context.Context, options) (*cage, error) {
	return nil, errors.New("programs can be kept apart on Linux only")
}

func (c *cage) check(context.Context) error { return nil }
func (c *cage) room(int) (*room, error)     { return nil, errors.ErrUnsupported }
func (c *cage) close() error                { return nil }
func (c *cage) run(context.Context, string, *room, task) (*end, error) {
	return nil, errors.ErrUnsupported
}

func onDisk(info os.FileInfo) int64 { return info.Size() }
