package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"infernet/engine/gpu"
	"infernet/events"
)

// machine is what this machine can compute with.
func (a *app) machine(ctx context.Context) *gpu.Machine {
	return gpu.Find(ctx, gpu.Config{Engine: a.llamaServer(), Log: a.log})
}

// llamaServer is the llama-server of this machine; "" if there is none.
func (a *app) llamaServer() string {
	for _, at := range []string{"llama-server", filepath.Join(a.cacheDir(), "llama", "bin", "llama-server")} {
		if path, err := exec.LookPath(at); err == nil {
			return path
		}
	}
	return ""
}

// shown are the cards as the market sees them.
func shown(cards []gpu.Card) (all []events.GPU) {
	for _, c := range cards {
		all = append(all, events.GPU{Name: c.Name, VRAMMB: int(c.Memory >> 20)})
	}
	return all
}

// describe is a machine in one line.
func describe(m *gpu.Machine) string {
	cards := "no graphics card"
	if len(m.Cards) > 0 {
		cards = gpusOf(shown(m.Cards))
	}
	processor := or(m.Host.CPU, "processor")
	return fmt.Sprintf("%s; %s, %d cores, %d GB", cards, processor, m.Host.Cores, (m.Host.Memory+1<<29)>>30)
}

// checkGPU looks for cards. None is fine; one that is there and does not answer is not.
func (a *app) checkGPU(ctx context.Context) (string, error) {
	m := a.machine(ctx)
	defer m.Close()
	return judge(m)
}

func judge(m *gpu.Machine) (string, error) {
	var failed []string
	told := false // the vendor's own way has answered
	for _, asked := range m.Asked {
		switch {
		case asked.Err != nil && !errors.Is(asked.Err, gpu.ErrAbsent):
			failed = append(failed, asked.Probe+": "+asked.Err.Error())
		case asked.Err == nil && asked.Cards > 0 && (asked.Probe == "NVML" || asked.Probe == "nvidia-smi"):
			told = true
		}
	}
	nvidia := false
	for _, c := range m.Cards {
		nvidia = nvidia || c.Vendor == "nvidia"
	}
	switch {
	case nvidia && !told: // the bus has it, its driver not
		return "", driverHint(fmt.Errorf("%s is there, and its driver does not answer: %s", gpusOf(shown(m.Cards)), or(strings.Join(failed, "; "), "NVIDIA's driver is not installed, or not passed in")))
	case len(m.Cards) == 0 && len(failed) > 0:
		return "", driverHint(errors.New(strings.Join(failed, "; ")))
	case len(m.Cards) == 0:
		return "none: jobs run on the processor. " + describe(m), nil
	}
	return describe(m), nil
}

// driverHint says how a card gets its driver; in a container that is the host's to do.
func driverHint(err error) error {
	if inContainer() {
		return withHint(err, "docker run --rm --gpus all debian nvidia-smi  # on the host: is the NVIDIA Container Toolkit there?")
	}
	return withHint(err, "nvidia-smi  # is the driver installed, and of the running kernel?")
}

// inContainer says whether this process runs in a container.
func inContainer() bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := os.Stat(mark); err == nil {
			return true
		}
	}
	return false
}
