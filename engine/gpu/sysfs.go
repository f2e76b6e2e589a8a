package gpu

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// sysfsProbe reads the files in which Linux tells of its devices: AMD's and Intel's cards, and NVIDIA's where only the
// kernel's driver is there. It needs no library and no rights.
type sysfsProbe struct {
	root  string
	cards map[string]string // folder of each card, by id
}

func (p *sysfsProbe) Name() string { return "sysfs" }

// vendors are the vendors of graphics cards, by PCI id.
var vendors = map[string]string{"0x10de": "nvidia", "0x1002": "amd", "0x8086": "intel"}

func (p *sysfsProbe) Cards(context.Context) (cards []Card, err error) {
	root := p.root
	if root == "" {
		root = "/"
	}
	devices := filepath.Join(root, "sys/bus/pci/devices")
	entries, err := os.ReadDir(devices)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrAbsent
	}
	if err != nil {
		return nil, err
	}
	p.cards = map[string]string{}
	for _, e := range entries {
		dir := filepath.Join(devices, e.Name())
		class := line(dir, "class")
		vendor := vendors[line(dir, "vendor")]
		// 0x03 is a display controller, 0x1200 a processing accelerator (PCI's list of classes). What belongs to no known
		// vendor is a virtual machine's screen
		if vendor == "" || !strings.HasPrefix(class, "0x03") && !strings.HasPrefix(class, "0x1200") {
			continue
		}
		card := Card{ID: "pci-" + e.Name(), Vendor: vendor, Name: nameOf(root, dir, vendor, e.Name()), Driver: line(dir, "driver/module/version")}
		switch vendor {
		case "amd":
			card.Memory = bytesIn(dir, "mem_info_vram_total")
		case "intel":
			card.Memory = bytesIn(dir, "lmem_total_bytes") // of cards of its own; none in what shares the machine's memory
			card.Shared = card.Memory <= 0
		}
		card.Memory = max(card.Memory, 0)
		p.cards[card.ID] = dir
		cards = append(cards, card)
	}
	return cards, nil
}

// nameOf is what a card is called: the driver's word for it, else its vendor and PCI id.
func nameOf(root, dir, vendor, at string) string {
	if vendor == "nvidia" {
		told, _ := os.ReadFile(filepath.Join(root, "proc/driver/nvidia/gpus", at, "information"))
		for _, text := range strings.Split(string(told), "\n") {
			if key, name, ok := strings.Cut(text, ":"); ok && strings.TrimSpace(key) == "Model" {
				return strings.TrimSpace(name)
			}
		}
	}
	if name := line(dir, "product_name"); name != "" {
		return name
	}
	brand := map[string]string{"nvidia": "NVIDIA", "amd": "AMD", "intel": "Intel"}[vendor]
	return brand + " " + strings.TrimPrefix(line(dir, "device"), "0x")
}

func (p *sysfsProbe) Read(context.Context) (all []Reading, err error) {
	for _, id := range slices.Sorted(maps.Keys(p.cards)) {
		dir := p.cards[id]
		if _, err := os.Stat(dir); err != nil {
			continue // it is lost
		}
		r := unread(id)
		if busy := bytesIn(dir, "gpu_busy_percent"); busy >= 0 {
			r.Busy = float64(busy)
		}
		r.Used = bytesIn(dir, "mem_info_vram_used")
		sensors, _ := filepath.Glob(filepath.Join(dir, "hwmon", "hwmon*")) // the pattern is well formed
		for _, at := range sensors {
			if t := bytesIn(at, "temp1_input"); t >= 0 {
				r.Celsius = float64(t) / 1000 // millidegrees
			}
			for _, name := range []string{"power1_average", "power1_input"} {
				if w := bytesIn(at, name); w >= 0 && r.Watts < 0 {
					r.Watts = float64(w) / 1e6 // microwatts
				}
			}
		}
		all = append(all, r)
	}
	return all, nil
}

func (p *sysfsProbe) Close() error { return nil }

// line is the text of a file of one line; "" if it cannot be read.
func line(dir, name string) string {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// bytesIn is the number in a file; -1 if there is none.
func bytesIn(dir, name string) int64 {
	n, err := strconv.ParseInt(line(dir, name), 10, 64)
	if err != nil {
		return -1
	}
	return n
}
