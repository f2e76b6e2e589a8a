package testnet

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// namespaceEnv says that this process may mount disks: it is in namespaces of its own.
const namespaceEnv = "INFERNET_TEST_NAMESPACE"

// inNamespace runs the test again in a user and a mount namespace, where small disks can be mounted that nobody else sees,
// and says whether there are such. Where the system allows none, the test goes on without.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(namespaceEnv) != "" {
		if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
			t.Fatal(err)
		}
		return true
	}
	within := func(args ...string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(os.Environ(), namespaceEnv+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}, GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		return cmd
	}
	at := t.TempDir()
	if err := within("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", at).Run(); err != nil {
		t.Logf("no disks are filled: the system lets nobody mount them in a namespace: %v", err)
		return false
	}
	args := append([]string{os.Args[0]}, os.Args[1:]...)
	cmd := within(append(args, "-test.run=^"+t.Name()+"$", "-test.count=1")...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("in its namespace: %v", err)
	}
	return true
}

// diskSize is room for a party's books, and no more.
const diskSize = "48m"

// dir is a party's folder; a small disk of its own where the test can mount one.
func (m *parties) dir(role string) string {
	dir := filepath.Join(m.t.TempDir(), role)
	if err := os.Mkdir(dir, 0o700); err != nil {
		m.t.Fatal(err)
	}
	if os.Getenv(namespaceEnv) != "" && m.fault.Act == "full" && m.fault.whom() == role {
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+diskSize); err != nil {
			m.t.Fatal(err)
		}
		m.t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				m.t.Error(err)
			}
		})
	}
	return dir
}

// fill fills a disk to the last byte, and gives the function that makes room again.
func fill(dir string) (empty func()) {
	path := filepath.Join(dir, "filler")
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		n, err := f.Write(make([]byte, size))
		switch {
		case errors.Is(err, syscall.ENOSPC):
			if size /= 2; n > 0 {
				size *= 2
			}
		case err != nil:
			panic(err)
		}
	}
	var once sync.Once
	return func() { once.Do(func() { os.Remove(path) }) }
}
