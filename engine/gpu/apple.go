package gpu

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"runtime"

	"github.com/shirou/gopsutil/v4/mem"
)

// appleProbe asks macOS. Its cards share the machine's memory, and tell nothing about how busy they are without rights.
type appleProbe struct{ cards []Card }

func (p *appleProbe) Name() string { return "system_profiler" }

func (p *appleProbe) Cards(ctx context.Context) ([]Card, error) {
	if runtime.GOOS != "darwin" {
		return nil, ErrAbsent
	}
	path, err := exec.LookPath("system_profiler")
	if err != nil {
		return nil, ErrAbsent
	}
	out, err := output(ctx, path, "SPDisplaysDataType", "-json")
	if err != nil {
		return nil, err
	}
	if p.cards, err = appleCards([]byte(out)); err != nil {
		return nil, err
	}
	if memory, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		for i := range p.cards {
			p.cards[i].Memory = int64(memory.Total)
		}
	}
	return p.cards, nil
}

// appleCards reads the list of displays.
func appleCards(body []byte) (cards []Card, err error) {
	var list struct {
		Displays []struct {
			Model  string `json:"sppci_model"`
			Type   string `json:"sppci_device_type"`
			Vendor string `json:"spdisplays_vendor"`
		} `json:"SPDisplaysDataType"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("its answer: %w", err)
	}
	for i, d := range list.Displays {
		if d.Type == "spdisplays_gpu" && d.Model != "" {
			cards = append(cards, Card{ID: fmt.Sprintf("display-%d", i), Name: d.Model, Vendor: vendorOf(d.Vendor + " " + d.Model), Shared: true})
		}
	}
	return cards, nil
}

func (p *appleProbe) Read(context.Context) (all []Reading, err error) {
	for _, c := range p.cards {
		all = append(all, unread(c.ID))
	}
	return all, nil
}

func (p *appleProbe) Close() error { return nil }
