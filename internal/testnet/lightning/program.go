package lightning

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// program is a started program. It ends with this process, also when that is killed (on Linux).
type program struct {
	cmd  *exec.Cmd
	done chan struct{}
}

// begin starts a program; what it says goes into the file log.
func begin(path, log string, args ...string) (*program, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &program{cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.SysProcAttr = out, out, dieWithParent()
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel takes the end of the thread that started it for the parent's
		defer close(p.done)
		defer out.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return p, nil
}

// kill ends the program as kill -9 does, and waits for its end.
func (p *program) kill() {
	if p != nil {
		p.cmd.Process.Kill()
		<-p.done
	}
}
