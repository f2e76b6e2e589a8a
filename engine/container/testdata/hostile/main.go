// Command hostile tries, one at a time, what a stranger's program may try. It prints "escaped" and what it got if that worked,
// and "contained" and why if not.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func escaped(format string, args ...any) { fmt.Printf("escaped: "+format+"\n", args...) }

func contained(format string, args ...any) { fmt.Printf("contained: "+format+"\n", args...) }

// tried reports a system call that is to fail.
func tried(name string, errno syscall.Errno) {
	if errno == 0 {
		escaped("%s worked", name)
		return
	}
	contained("%s: %v", name, errno)
}

func call(name string, number uintptr, args ...uintptr) {
	var a [6]uintptr
	copy(a[:], args)
	_, _, errno := syscall.RawSyscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
	tried(name, errno)
}

func pointer(text string) uintptr {
	b := append([]byte(text), 0)
	return uintptr(unsafe.Pointer(&b[0]))
}

var programs = map[string]func(arg string){
	// 1: the environment of the first process is that of whoever started it
	"environment": func(arg string) {
		body, err := os.ReadFile("/proc/1/environ")
		if bytes.Contains(body, []byte(arg)) || strings.Contains(strings.Join(os.Environ(), "\n"), arg) {
			escaped("the node's secret is in the environment")
			return
		}
		contained("%d bytes, %v", len(body), err)
	},
	// 2: files of the machine
	"files": func(arg string) {
		for _, path := range []string{arg, "/etc/shadow", "/root", "/home", "/proc/1/root" + arg, "/proc/self/cwd/../.." + arg, "/in/../.." + arg} {
			if body, err := os.ReadFile(path); err == nil {
				escaped("%s is read, %d bytes", path, len(body))
				return
			}
			if names, err := os.ReadDir(path); err == nil && len(names) > 0 {
				escaped("%s is listed", path)
				return
			}
		}
		contained("none is there")
	},
	// 3: a service of this machine
	"loopback": func(arg string) { dial("tcp", arg) },
	// 4: a socket that has no file
	"abstract": func(arg string) { dial("unix", "@"+arg) },
	// 5: names, and the network
	"names": func(string) {
		for _, at := range []string{"8.8.8.8:53", "1.1.1.1:53", "127.0.0.53:53", "[2606:4700:4700::1111]:53"} {
			c, err := net.DialTimeout("udp", at, time.Second)
			if err != nil {
				continue
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(300 * time.Millisecond))
			if _, err := c.Write([]byte("\x00\x01\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01")); err != nil {
				continue
			}
			if n, err := c.Read(make([]byte, 512)); err == nil && n > 0 {
				escaped("%s answers", at)
				return
			}
		}
		contained("nobody answers")
	},
	// 6: namespaces of its own, in which it would have every right
	"unshare": func(string) {
		call("unshare", syscall.SYS_UNSHARE, syscall.CLONE_NEWUSER|syscall.CLONE_NEWNS)
		cmd := exec.Command("/proc/self/exe", "nothing")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
		if err := cmd.Run(); err == nil {
			escaped("clone with a new user namespace worked")
		}
	},
	// 7: mounts
	"mount": func(string) {
		call("mount", syscall.SYS_MOUNT, pointer("none"), pointer("/tmp"), pointer("tmpfs"), 0, 0)
		call("umount", syscall.SYS_UMOUNT2, pointer("/proc"), syscall.MNT_DETACH)
		call("pivot_root", syscall.SYS_PIVOT_ROOT, pointer("/tmp"), pointer("/tmp"))
		call("chroot", syscall.SYS_CHROOT, pointer("/tmp"))
	},
	// 8: its own image, which the next customer gets, too
	"image": func(string) {
		for _, path := range []string{"/evil", "/bin/evil", "/in/evil", "/dev/evil", "/proc/evil", os.Args[0]} {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o755)
			if err == nil {
				f.Close()
				escaped("%s is written", path)
				return
			}
		}
		if err := os.Chmod("/", 0o777); err == nil {
			escaped("the root's mode is changed")
			return
		}
		contained("nothing is written")
	},
	// 9: devices
	"devices": func(string) {
		if err := syscall.Mknod("/tmp/disk", syscall.S_IFBLK|0o666, 8<<8); err == nil {
			if f, err := os.Open("/tmp/disk"); err == nil {
				f.Close()
				escaped("a disk is open")
				return
			}
		}
		for _, path := range []string{"/dev/mem", "/dev/kmem", "/dev/port", "/dev/sda", "/dev/vda", "/dev/kvm", "/dev/fuse", "/dev/net/tun"} {
			if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
				f.Close()
				escaped("%s is open", path)
				return
			}
		}
		contained("none is there")
	},
	// 10: the kernel's switches
	"switches": func(string) {
		for _, path := range []string{"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/proc/self/oom_score_adj", "/sys/kernel/uevent_helper"} {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				continue
			}
			if _, err = io.WriteString(f, "-1000"); err == nil {
				escaped("%s is written", path)
				return
			}
			f.Close()
		}
		contained("none is written")
	},
	// 11: keys that the kernel keeps
	"keyring": func(string) {
		call("keyctl", sysKeyctl, 0, ^uintptr(2), 0) // KEYCTL_GET_KEYRING_ID of the session's
		call("add_key", sysAddKey, pointer("user"), pointer("x"), pointer("y"), 1, ^uintptr(2))
	},
	// 12: other processes' memory
	"ptrace": func(string) {
		call("ptrace", syscall.SYS_PTRACE, syscall.PTRACE_ATTACH, uintptr(os.Getppid()))
		call("traceme", syscall.SYS_PTRACE, syscall.PTRACE_TRACEME)
		call("process_vm_readv", sysVMRead, 1)
		entries, _ := filepath.Glob("/proc/[0-9]*")
		if len(entries) > 1 {
			escaped("%d processes are seen", len(entries))
		}
	},
	// 13: a part of the kernel with a long list of holes
	"uring": func(string) {
		buf := make([]byte, 256)
		call("io_uring_setup", sysUring, 8, uintptr(unsafe.Pointer(&buf[0])))
	},
	// 14: processes without end
	"forks": func(string) {
		started := 0
		for range 5000 {
			cmd := exec.Command("/proc/self/exe", "wait")
			if err := cmd.Start(); err != nil {
				contained("%d processes: %v", started, err)
				time.Sleep(200 * time.Millisecond)
				return
			}
			started++
		}
		escaped("%d processes run", started)
	},
	// 15: memory without end
	"memory": func(string) {
		var all [][]byte
		for i := range 1024 {
			page := make([]byte, 1<<20)
			for j := 0; j < len(page); j += 4096 {
				page[j] = byte(i)
			}
			all = append(all, page)
		}
		escaped("%d MiB are taken", len(all))
	},
	// 15a: memory that processes share, which no limit of one process counts
	"shared": func(string) {
		var all [][]byte
		for i := range 64 {
			part, err := syscall.Mmap(-1, 0, 16<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_ANON)
			if err != nil {
				contained("after %d MiB: %v", 16*i, err)
				return
			}
			for j := 0; j < len(part); j += 4096 {
				part[j] = 1
			}
			all = append(all, part)
			time.Sleep(5 * time.Millisecond)
		}
		escaped("%d MiB are taken", 16*len(all))
	},
	// 16: memory as files
	"tmpfs": func(string) {
		for _, dir := range []string{"/tmp", "/dev/shm", "/dev"} {
			if n := fill(filepath.Join(dir, "x"), 512<<20); n >= 512<<20 {
				escaped("%s takes %d MiB", dir, n>>20)
				return
			}
		}
		contained("each is bounded")
	},
	// 17: the disk
	"disk": func(string) {
		for i := range 64 {
			if n := fill(fmt.Sprintf("/out/%d", i), 64<<20); n < 64<<20 {
				contained("after %d MiB", i*64+int(n>>20))
				return
			}
		}
		escaped("4 GiB are written")
	},
	// 17a: small files without end
	"files without end": func(string) {
		for i := range 1_000_000 {
			if os.WriteFile(fmt.Sprintf("/out/%d", i), []byte("x"), 0o600) != nil {
				contained("after %d", i)
				return
			}
		}
		escaped("a million files")
	},
	// 18: talk without end
	"flood": func(string) {
		line := []byte(strings.Repeat("x", 1<<16))
		for range 300 << 20 >> 16 {
			os.Stdout.Write(line)
		}
	},
	// 19: outputs that are other files
	"links": func(arg string) {
		os.Symlink(arg, "/out/link")
		os.Symlink("/etc/shadow", "/out/shadow.png")
		os.Symlink("/", "/out/folder")
		os.Link("/in/0", "/out/hard")
		syscall.Mkfifo("/out/pipe", 0o666)
		os.Mkdir("/out/shut", 0o700)
		os.WriteFile("/out/shut/inside", []byte("mine"), 0)
		os.Chmod("/out/shut", 0)
		os.WriteFile("/out/good.txt", []byte("mine"), 0o600)
		contained("left")
	},
	// 20: no end, whatever it is asked
	"for ever": func(string) {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
		exec.Command("/proc/self/exe", "wait").Start()
		_, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, 0, 0, 0, 0, 0)
		os.WriteFile("/out/errno", []byte(errno.Error()), 0o600)
		for {
			time.Sleep(time.Hour)
		}
	},
	// the hypervisor, and other kinds of sockets
	"sockets": func(string) {
		for name, domain := range map[string]int{"vsock": 40, "alg": 38, "packet": 17, "netlink": 16} {
			if fd, err := syscall.Socket(domain, syscall.SOCK_STREAM, 0); err == nil {
				syscall.Close(fd)
				escaped("a socket of %s is open", name)
			} else {
				contained("%s: %v", name, err)
			}
		}
		call("memfd_create", sysMemfd, pointer("x"), 0)
		call("shmget", sysShmget, 0, 1<<20, 0o1600)
	},
	"wait":    func(string) { time.Sleep(time.Hour) },
	"nothing": func(string) {},
	// an honest one
	"sum": func(string) {
		body, err := os.ReadFile("/in/0")
		if err == nil {
			err = os.WriteFile("/out/sum.txt", fmt.Appendf(nil, "%d bytes, %s", len(body), os.Getenv("GREETING")), 0o644)
		}
		os.WriteFile("/out/other.bin", []byte{0, 1, 2}, 0o644)
		fmt.Println("done", err)
	},
	"fails": func(string) {
		fmt.Fprintln(os.Stderr, "it is broken")
		os.Exit(3)
	},
}

func dial(network, at string) {
	c, err := net.DialTimeout(network, at, time.Second)
	if err == nil {
		c.Close()
		escaped("%s is reached", at)
		return
	}
	contained("%v", err)
}

func fill(path string, most int64) (n int64) {
	f, err := os.Create(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	signal.Ignore(syscall.SIGXFSZ)
	part := bytes.Repeat([]byte{1}, 1<<20)
	for n < most {
		m, err := f.Write(part)
		n += int64(m)
		if err != nil {
			return n
		}
	}
	return n
}

func main() {
	arg := ""
	if len(os.Args) > 2 {
		arg = os.Args[2]
	}
	programs[os.Args[1]](arg)
}
