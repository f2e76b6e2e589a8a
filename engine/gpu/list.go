package gpu

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
)

// engineProbe asks llama-server which devices it would compute on: whatever the vendor, what it lists is what works.
type engineProbe struct{ program string }

func (p *engineProbe) Name() string { return "llama-server" }

// device is a line of its list, such as "  Vulkan0: AMD Radeon RX 7900 XTX (24560 MiB, 22614 MiB free)".
var device = regexp.MustCompile(`^\s+(\S+): (.+) \((\d+) MiB, (\d+) MiB free\)\s*$`)

func (p *engineProbe) list(ctx context.Context) (cards []Card, all []Reading, err error) {
	path, err := exec.LookPath(p.program)
	if err != nil {
		return nil, nil, ErrAbsent
	}
	out, err := output(ctx, path, "--list-devices")
	if err != nil {
		return nil, nil, err
	}
	if !strings.Contains(out, "Available devices") {
		return nil, nil, fmt.Errorf("%s --list-devices lists nothing: it may be too old", p.program)
	}
	for _, text := range strings.Split(out, "\n") {
		m := device.FindStringSubmatch(text)
		if m == nil || strings.Contains(strings.ToLower(m[2]), "llvmpipe") { // the processor, dressed up
			continue
		}
		total, _ := strconv.ParseInt(m[3], 10, 64) // digits
		free, _ := strconv.ParseInt(m[4], 10, 64)
		card := Card{ID: m[1], Name: m[2], Memory: total << 20, Vendor: vendorOf(m[1] + " " + m[2])}
		r := unread(card.ID)
		r.Used = max(0, total-free) << 20
		cards, all = append(cards, card), append(all, r)
	}
	return cards, all, nil
}

// brands are words in a device's name that tell its vendor; the first that fits decides.
var brands = []struct{ word, vendor string }{
	{"nvidia", "nvidia"}, {"cuda", "nvidia"}, {"geforce", "nvidia"}, {"amd", "amd"}, {"radeon", "amd"}, {"rocm", "amd"}, {"intel", "intel"}, {"apple", "apple"}, {"metal", "apple"},
}

func vendorOf(name string) string {
	name = strings.ToLower(name)
	for _, b := range brands {
		if strings.Contains(name, b.word) {
			return b.vendor
		}
	}
	return ""
}

func (p *engineProbe) Cards(ctx context.Context) ([]Card, error) {
	cards, _, err := p.list(ctx)
	return cards, err
}

func (p *engineProbe) Read(ctx context.Context) ([]Reading, error) {
	_, all, err := p.list(ctx)
	return all, err
}

func (p *engineProbe) Close() error { return nil }
