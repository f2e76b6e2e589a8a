package cli

import (
	"errors"
	"strings"
	"testing"

	"infernet/engine/gpu"
)

func TestDoctorJudgesCards(t *testing.T) {
	card := gpu.Card{ID: "1", Name: "RTX 4090", Vendor: "nvidia", Memory: 24564 << 20}
	absent := gpu.Asked{Probe: "NVML", Err: gpu.ErrAbsent}
	for _, c := range []struct {
		name string
		m    gpu.Machine
		want string // of what is found, or "!" and of the error
	}{
		{"none", gpu.Machine{Asked: []gpu.Asked{absent, {Probe: "sysfs"}}}, "none: jobs run on the processor"},
		{"two", gpu.Machine{Cards: []gpu.Card{card, card}, Asked: []gpu.Asked{{Probe: "NVML", Cards: 2}}}, "2× RTX 4090 24 GB"},
		{"no driver", gpu.Machine{Cards: []gpu.Card{card}, Asked: []gpu.Asked{absent, {Probe: "sysfs", Cards: 1}}}, "!driver does not answer"},
		{"broken driver", gpu.Machine{Asked: []gpu.Asked{{Probe: "nvidia-smi", Err: errors.New("version mismatch")}}}, "!nvidia-smi: version mismatch"},
		{"NVML broken, nvidia-smi not", gpu.Machine{Cards: []gpu.Card{card}, Asked: []gpu.Asked{{Probe: "NVML", Err: errors.New("odd")}, {Probe: "nvidia-smi", Cards: 1}}}, "RTX 4090"},
	} {
		found, err := judge(&c.m)
		got := found
		if err != nil {
			got = "!" + err.Error()
		}
		if !strings.HasPrefix(got, c.want[:1]) && c.want[0] == '!' || !strings.Contains(got, strings.TrimPrefix(c.want, "!")) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		var hint *hinted
		if err != nil && !errors.As(err, &hint) {
			t.Errorf("%s: no hint with %v", c.name, err)
		}
	}
}
