//go:build cgo && linux

package gpu

import (
	"context"
	"errors"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// nvmlProbe asks NVIDIA's own library. A call after an Init that failed ends the process, so every call stands behind
// begun.
type nvmlProbe struct {
	lib   nvml.Interface
	begun bool
}

func nvmlProbes() []Probe { return []Probe{&nvmlProbe{lib: nvml.New()}} }

func (p *nvmlProbe) Name() string { return "NVML" }

// begin initialises the library, once.
func (p *nvmlProbe) begin() error {
	if p.begun {
		return nil
	}
	switch ret := p.lib.Init(); ret {
	case nvml.SUCCESS:
		p.begun = true
		return nil
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		return ErrAbsent
	case nvml.ERROR_DRIVER_NOT_LOADED:
		return errors.New("the library is there and the kernel's driver is not loaded")
	default: // nvml.ErrorString would be a call into the library
		return fmt.Errorf("init answers %d", int(ret))
	}
}

func (p *nvmlProbe) Cards(context.Context) (cards []Card, err error) {
	if err := p.begin(); err != nil {
		return nil, err
	}
	driver, _ := p.lib.SystemGetDriverVersion()
	err = p.each(func(id string, d nvml.Device) error {
		name, ret := d.GetName()
		if ret != nvml.SUCCESS {
			return fmt.Errorf("name: %s", p.lib.ErrorString(ret))
		}
		card := Card{ID: id, Name: name, Vendor: "nvidia", Driver: driver}
		if memory, ret := d.GetMemoryInfo(); ret == nvml.SUCCESS {
			card.Memory = int64(memory.Total)
		}
		cards = append(cards, card)
		return nil
	})
	return cards, err
}

// each calls for every card. A card that has fallen off the bus is left out: it is lost.
func (p *nvmlProbe) each(call func(id string, d nvml.Device) error) error {
	count, ret := p.lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return fmt.Errorf("count the cards: %s", p.lib.ErrorString(ret))
	}
	for i := range count {
		d, ret := p.lib.DeviceGetHandleByIndex(i)
		if ret == nvml.ERROR_GPU_IS_LOST {
			continue
		}
		if ret != nvml.SUCCESS {
			return fmt.Errorf("card %d: %s", i, p.lib.ErrorString(ret))
		}
		id, ret := d.GetUUID()
		if ret == nvml.ERROR_GPU_IS_LOST {
			continue
		}
		if ret != nvml.SUCCESS {
			return fmt.Errorf("card %d: its id: %s", i, p.lib.ErrorString(ret))
		}
		if err := call(id, d); err != nil {
			return fmt.Errorf("card %s: %w", id, err)
		}
	}
	return nil
}

func (p *nvmlProbe) Read(context.Context) (all []Reading, err error) {
	if err := p.begin(); err != nil {
		return nil, err
	}
	err = p.each(func(id string, d nvml.Device) error {
		r := unread(id)
		memory, ret := d.GetMemoryInfo()
		switch ret {
		case nvml.ERROR_GPU_IS_LOST:
			return nil
		case nvml.SUCCESS:
			r.Used = int64(memory.Used)
		}
		if use, ret := d.GetUtilizationRates(); ret == nvml.SUCCESS {
			r.Busy = float64(use.Gpu)
		}
		if celsius, ret := d.GetTemperature(nvml.TEMPERATURE_GPU); ret == nvml.SUCCESS {
			r.Celsius = float64(celsius)
		}
		if milliwatts, ret := d.GetPowerUsage(); ret == nvml.SUCCESS {
			r.Watts = float64(milliwatts) / 1000
		}
		all = append(all, r)
		return nil
	})
	return all, err
}

func (p *nvmlProbe) Close() error {
	if !p.begun {
		return nil
	}
	p.begun = false
	if ret := p.lib.Shutdown(); ret != nvml.SUCCESS {
		return fmt.Errorf("shut down: %s", p.lib.ErrorString(ret))
	}
	return nil
}
