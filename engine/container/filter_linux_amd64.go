package container

import "golang.org/x/sys/unix"

const thisArch = unix.AUDIT_ARCH_X86_64

// oldForbidden are calls that only this architecture has.
var oldForbidden = []uint32{unix.SYS_IOPL, unix.SYS_IOPERM, unix.SYS_MODIFY_LDT, unix.SYS_KEXEC_FILE_LOAD, unix.SYS_USELIB, unix.SYS_USTAT, unix.SYS_SYSFS, unix.SYS__SYSCTL}
