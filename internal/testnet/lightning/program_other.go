//go:build !linux

package lightning

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
