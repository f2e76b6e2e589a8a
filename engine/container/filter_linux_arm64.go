package container

import "golang.org/x/sys/unix"

const thisArch = unix.AUDIT_ARCH_AARCH64

// oldForbidden are calls that only this architecture has.
var oldForbidden = []uint32{unix.SYS_KEXEC_FILE_LOAD}
