//go:build amd64 || arm64

package container

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Offsets in what a filter is shown of a system call (seccomp(2)): its number, the architecture, the arguments' lower halves.
const (
	offNumber   = 0
	offArch     = 4
	offFirstArg = 16
)

// Answers of a filter.
const (
	allow  = 0x7fff0000
	refuse = 0x00050000 // with an error number
	slay   = 0x80000000 // the whole process
)

// forbidden are calls that no job needs, and that attacks begin with: other namespaces and mounts, other processes' memory,
// the kernel's own modules, programs, keys and queues, and memory that no limit counts.
var forbidden = append([]uint32{
	unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT,
	unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_MOUNT_SETATTR,
	unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD, unix.SYS_KCMP, unix.SYS_PROCESS_MADVISE,
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD,
	unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_QUOTACTL, unix.SYS_ACCT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_REBOOT,
	unix.SYS_SYSLOG, unix.SYS_VHANGUP, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX,
	unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_PERSONALITY, unix.SYS_MBIND, unix.SYS_SET_MEMPOLICY, unix.SYS_MIGRATE_PAGES, unix.SYS_MOVE_PAGES,
	unix.SYS_MEMFD_CREATE, unix.SYS_MEMFD_SECRET, unix.SYS_SHMGET, unix.SYS_MSGGET, unix.SYS_VMSPLICE,
	unix.SYS_SCHED_SETAFFINITY,
}, oldForbidden...)

// namespaces are the flags of clone(2) that make any.
const namespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// filter is the program that the kernel asks about every call of a job: everything is allowed but what is listed. A call of
// another architecture, whose numbers mean other things, ends the job.
func filter() ([]byte, error) {
	load := func(at uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: at, Size: 4} }
	answer := func(value uint32) bpf.Instruction { return bpf.RetConstant{Val: value} }
	p := []bpf.Instruction{
		load(offArch), bpf.JumpIf{Cond: bpf.JumpEqual, Val: thisArch, SkipTrue: 1}, answer(slay),
		load(offNumber),
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: 0x40000000, SkipTrue: 1}, answer(slay), // x32, which is the same architecture
	}
	for _, number := range forbidden {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: number, SkipTrue: 1}, answer(refuse|uint32(unix.EPERM)))
	}
	// what cannot be looked into is said not to exist: libraries then take the older one
	p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_CLONE3, SkipTrue: 1}, answer(refuse|uint32(unix.ENOSYS)))
	p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_CLONE, SkipTrue: 3},
		load(offFirstArg), bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: namespaces, SkipTrue: 1}, answer(refuse|uint32(unix.EPERM)), load(offNumber))
	// the signal that ends it with the node stays set
	p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_PRCTL, SkipTrue: 3},
		load(offFirstArg), bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PR_SET_PDEATHSIG, SkipTrue: 1}, answer(refuse|uint32(unix.EPERM)), load(offNumber))
	// of sockets only those that a namespace of its own keeps in: not vsock, which reaches the machine below, nor alg
	p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_SOCKET, SkipTrue: 5}, load(offFirstArg),
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_UNIX, SkipTrue: 3}, bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_INET, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_INET6, SkipTrue: 1}, answer(refuse|uint32(unix.EAFNOSUPPORT)))
	p = append(p, answer(allow))
	raw, err := bpf.Assemble(p)
	if err != nil {
		return nil, fmt.Errorf("the filter of system calls: %w", err)
	}
	var out bytes.Buffer
	for _, i := range raw { // struct sock_filter, in the machine's order
		binary.Write(&out, binary.NativeEndian, i)
	}
	return out.Bytes(), nil
}
