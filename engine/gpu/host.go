package gpu

import (
	"context"
	"runtime"

	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"
)

// Host is the machine around the cards.
type Host struct {
	CPU    string // the processor's name
	Cores  int    // that can compute at the same time
	Memory int64  // bytes
}

// Load is how the machine was doing at one moment. What cannot be told is -1.
type Load struct {
	CPU    float64 // percent of all cores, since the last reading
	Memory int64   // bytes in use
	Free   int64   // bytes free where Folder lies
}

func readHost(ctx context.Context) Host {
	h := Host{Cores: runtime.NumCPU()}
	if info, err := cpu.InfoWithContext(ctx); err == nil && len(info) > 0 {
		h.CPU = info[0].ModelName
	}
	if memory, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		h.Memory = int64(memory.Total)
	}
	return h
}

// ReadLoad tells how the machine is doing; folder is where room on the disk matters.
func ReadLoad(ctx context.Context, folder string) Load {
	l := Load{CPU: -1, Memory: -1, Free: -1}
	if percent, err := cpu.PercentWithContext(ctx, 0, false); err == nil && len(percent) > 0 {
		l.CPU = percent[0]
	}
	if memory, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		l.Memory = int64(memory.Used)
	}
	if folder != "" {
		if usage, err := disk.UsageWithContext(ctx, folder); err == nil {
			l.Free = int64(usage.Free)
		}
	}
	return l
}
