package llamacpp

import (
	"os/exec"
	"syscall"
)

// group gives a process a group of its own, so that all it starts can be ended with it, and a death with this process:
// Pdeathsig comes when the thread that started it ends, so keeper never leaves its thread.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

func terminate(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
func kill(cmd *exec.Cmd)      { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
