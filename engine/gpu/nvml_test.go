//go:build cgo && linux

package gpu

import (
	"errors"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock/dgxa100"
)

// dgx is the vendor's own stand-in for a machine with eight A100, with readings.
func dgx() *dgxa100.Server {
	s := dgxa100.New()
	s.ErrorStringFunc = func(ret nvml.Return) string { return "an error" }
	for i, d := range s.Devices {
		d := d.(*dgxa100.Device)
		d.GetUtilizationRatesFunc = func() (nvml.Utilization, nvml.Return) { return nvml.Utilization{Gpu: uint32(10 * i)}, nvml.SUCCESS }
		d.GetTemperatureFunc = func(nvml.TemperatureSensors) (uint32, nvml.Return) { return uint32(50 + i), nvml.SUCCESS }
		d.GetPowerUsageFunc = func() (uint32, nvml.Return) { return 61_500, nvml.SUCCESS }
	}
	return s
}

func TestNVMLSeesADGX(t *testing.T) {
	s := dgx()
	m := Find(t.Context(), Config{Probes: []Probe{&nvmlProbe{lib: s}, &smiProbe{program: program(t, `echo 'GPU-x, another view of the same, 1, 2'`)}}})
	if len(m.Cards) != 8 {
		t.Fatalf("found %d cards: %+v", len(m.Cards), m.Asked)
	}
	if c := m.Cards[0]; c.Name != "Mock NVIDIA A100-SXM4-40GB" && c.Name != "NVIDIA A100-SXM4-40GB" || c.Memory < 40_000_000_000 || c.Vendor != "nvidia" || c.Driver == "" {
		t.Errorf("card %+v", c)
	}
	got, err := m.Read(t.Context())
	if err != nil || len(got) != 8 {
		t.Fatalf("read %+v, %v", got, err)
	}
	for i, r := range got {
		if r.Card != m.Cards[i].ID || r.Busy != float64(10*i) || r.Celsius != float64(50+i) || r.Watts != 61.5 || r.Used < 0 {
			t.Errorf("card %d: %+v", i, r)
		}
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

// TestNVMLLosesACard is a card that falls off the bus while the node runs.
func TestNVMLLosesACard(t *testing.T) {
	s := dgx()
	m := Find(t.Context(), Config{Probes: []Probe{&nvmlProbe{lib: s}}})
	defer m.Close()
	fallen := s.Devices[3].(*dgxa100.Device)
	fallen.GetMemoryInfoFunc = func() (nvml.Memory, nvml.Return) { return nvml.Memory{}, nvml.ERROR_GPU_IS_LOST }
	one := m.Sample(t.Context(), "")
	if len(one.Cards) != 7 || len(one.Lost) != 1 || one.Lost[0] != m.Cards[3].ID {
		t.Errorf("lost %v of %d", one.Lost, len(one.Cards))
	}
}

// TestNVMLIsNotCalledAfterAFailedInit: the vendor's library would end the process. Every other method of the stand-in
// panics.
func TestNVMLIsNotCalledAfterAFailedInit(t *testing.T) {
	for _, ret := range []nvml.Return{nvml.ERROR_LIBRARY_NOT_FOUND, nvml.ERROR_DRIVER_NOT_LOADED, nvml.ERROR_UNKNOWN} {
		p := &nvmlProbe{lib: &mock.Interface{InitFunc: func() nvml.Return { return ret }}}
		_, err := p.Cards(t.Context())
		if err == nil || (ret == nvml.ERROR_LIBRARY_NOT_FOUND) != errors.Is(err, ErrAbsent) {
			t.Errorf("init says %d: %v", ret, err)
		}
		if _, err := p.Read(t.Context()); err == nil {
			t.Errorf("init says %d: read", ret)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}
