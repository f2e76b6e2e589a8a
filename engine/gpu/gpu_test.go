package gpu

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// tree writes files below a folder, as the system would show them.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// program writes a shell script that stands for a vendor's program.
func program(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

const pci = "sys/bus/pci/devices/"

func TestSysfsSeesCardsOfAMDAndIntel(t *testing.T) {
	root := tree(t, map[string]string{
		pci + "0000:03:00.0/class": "0x030000", pci + "0000:03:00.0/vendor": "0x1002", pci + "0000:03:00.0/device": "0x744c",
		pci + "0000:03:00.0/product_name": "Radeon RX 7900 XTX", pci + "0000:03:00.0/mem_info_vram_total": "25753026560",
		pci + "0000:03:00.0/mem_info_vram_used": "1073741824", pci + "0000:03:00.0/gpu_busy_percent": "37",
		pci + "0000:03:00.0/hwmon/hwmon4/temp1_input": "61000", pci + "0000:03:00.0/hwmon/hwmon4/power1_average": "213000000",
		pci + "0000:00:02.0/class": "0x030000", pci + "0000:00:02.0/vendor": "0x8086", pci + "0000:00:02.0/device": "0x4680",
		pci + "0000:01:00.0/class": "0x030000", pci + "0000:01:00.0/vendor": "0x1af4", // a virtual machine's screen
		pci + "0000:02:00.0/class": "0x020000", pci + "0000:02:00.0/vendor": "0x8086", // a network card
		pci + "0000:04:00.0/class": "0x030200", pci + "0000:04:00.0/vendor": "0x10de", pci + "0000:04:00.0/device": "0x2684",
		"proc/driver/nvidia/gpus/0000:04:00.0/information": "Model: \t\t NVIDIA GeForce RTX 4090\nIRQ: 1",
	})
	m := Find(t.Context(), Config{Probes: []Probe{&sysfsProbe{root: root}}})
	defer m.Close()
	byID := map[string]Card{}
	for _, c := range m.Cards {
		byID[c.ID] = c
	}
	want := map[string]Card{
		"pci-0000:03:00.0": {ID: "pci-0000:03:00.0", Name: "Radeon RX 7900 XTX", Vendor: "amd", Memory: 25753026560},
		"pci-0000:00:02.0": {ID: "pci-0000:00:02.0", Name: "Intel 4680", Vendor: "intel", Shared: true},
		"pci-0000:04:00.0": {ID: "pci-0000:04:00.0", Name: "NVIDIA GeForce RTX 4090", Vendor: "nvidia"},
	}
	if len(byID) != len(want) {
		t.Errorf("found %+v", m.Cards)
	}
	for id, card := range want {
		if byID[id] != card {
			t.Errorf("%s is %+v, want %+v", id, byID[id], card)
		}
	}
	one := m.Sample(t.Context(), root)
	for _, r := range one.Cards {
		if amd := (Reading{"pci-0000:03:00.0", 37, 1 << 30, 61, 213}); r.Card == amd.Card && r != amd {
			t.Errorf("read %+v, want %+v", r, amd)
		}
	}
	if len(one.Lost) != 0 || one.Load.Memory <= 0 || one.Load.Free <= 0 {
		t.Errorf("sample %+v", one)
	}
	if err := os.RemoveAll(filepath.Join(root, pci, "0000:03:00.0")); err != nil {
		t.Fatal(err)
	}
	if one = m.Sample(t.Context(), root); len(one.Lost) != 1 || one.Lost[0] != "pci-0000:03:00.0" {
		t.Errorf("a card that was pulled out is not lost: %+v", one)
	}
}

func TestSmiIsReadAsItWrites(t *testing.T) {
	smi := program(t, `case "$1" in
*memory.total*) echo 'GPU-1, NVIDIA GeForce RTX 4090, 24564, 550.54.14'; echo 'GPU-2, "NVIDIA, odd", [N/A], 550.54.14' ;;
*) echo 'GPU-1, 97, 20110, 71, 402.31'; echo 'GPU-2, [N/A], [N/A], 40, [Not Supported]' ;;
esac`)
	m := Find(t.Context(), Config{Probes: []Probe{&smiProbe{program: smi}}})
	if len(m.Cards) != 2 || m.Cards[0] != (Card{ID: "GPU-1", Name: "NVIDIA GeForce RTX 4090", Vendor: "nvidia", Memory: 24564 << 20, Driver: "550.54.14"}) || m.Cards[1].Memory != 0 {
		t.Fatalf("cards %+v, asked %+v", m.Cards, m.Asked)
	}
	got, err := m.Read(t.Context())
	if err != nil || len(got) != 2 || got[0] != (Reading{"GPU-1", 97, 20110 << 20, 71, 402.31}) || got[1] != (Reading{"GPU-2", -1, -1, 40, -1}) {
		t.Errorf("read %+v, %v", got, err)
	}
}

// TestProbesThatFailSayWhy is the doctor's case: a driver that does not answer, one that is broken, none at all.
func TestProbesThatFailSayWhy(t *testing.T) {
	broken := program(t, `echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver." >&2; exit 9`)
	odd := program(t, `echo "GPU-1"`)
	hangs := program(t, `exec sleep 60`)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	m := Find(ctx, Config{Probes: []Probe{&smiProbe{program: broken}, &smiProbe{program: odd}, &smiProbe{program: hangs}, &smiProbe{program: "/nonexistent/nvidia-smi"}}})
	if len(m.Cards) != 0 || len(m.Asked) != 4 {
		t.Fatalf("found %+v, asked %+v", m.Cards, m.Asked)
	}
	for i, want := range []string{"couldn't communicate with the NVIDIA driver", "1 columns, 4 were asked for", "no answer in time"} {
		if err := m.Asked[i].Err; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("probe %d says %v, want %q", i, err, want)
		}
	}
	if !errors.Is(m.Asked[3].Err, ErrAbsent) {
		t.Errorf("a program that is not there: %v", m.Asked[3].Err)
	}
	if why := m.Why(); !strings.Contains(why, "communicate") || strings.Contains(why, "not on this machine") {
		t.Errorf("why: %s", why)
	}
}

// TestEngineListsDevicesWhereNobodyElseDoes holds the vendor-neutral way.
func TestEngineListsDevicesWhereNobodyElseDoes(t *testing.T) {
	server := program(t, `printf 'Available devices:\n  Vulkan0: AMD Radeon RX 7900 XTX (RADV NAVI31) (24560 MiB, 22614 MiB free)\n  Vulkan1: llvmpipe (LLVM 19.1.0, 256 bits) (24152 MiB, 22614 MiB free)\n'`)
	m := Find(t.Context(), Config{Probes: []Probe{&sysfsProbe{root: t.TempDir()}, &engineProbe{server}}})
	if len(m.Cards) != 1 || m.Cards[0] != (Card{ID: "Vulkan0", Name: "AMD Radeon RX 7900 XTX (RADV NAVI31)", Vendor: "amd", Memory: 24560 << 20}) {
		t.Fatalf("cards %+v, asked %+v", m.Cards, m.Asked)
	}
	if got, err := m.Read(t.Context()); err != nil || len(got) != 1 || got[0].Used != (24560-22614)<<20 {
		t.Errorf("read %+v, %v", got, err)
	}
	seen := &smiProbe{program: program(t, `echo 'GPU-1, RTX, 1, 2'`)}
	if m := Find(t.Context(), Config{Probes: []Probe{seen, &engineProbe{server}}}); len(m.Cards) != 1 || m.Cards[0].ID != "GPU-1" {
		t.Errorf("the engine's list was added to what the vendor says: %+v", m.Cards)
	}
}

// TestRealLlamaServerListsItsDevices asks the engine of this machine, where there is one.
func TestRealLlamaServerListsItsDevices(t *testing.T) {
	home, _ := os.UserHomeDir()
	cache := os.Getenv("INFERNET_CACHE")
	if cache == "" {
		cache = filepath.Join(home, ".cache", "infernet")
	}
	server := filepath.Join(cache, "llama", "bin", "llama-server")
	if _, err := os.Stat(server); err != nil {
		t.Skip("needs llama-server: make engine")
	}
	p := &engineProbe{server}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cards, err := p.Cards(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("llama-server lists %d devices: %+v", len(cards), cards)
}

func TestAppleListIsRead(t *testing.T) {
	cards, err := appleCards([]byte(`{"SPDisplaysDataType":[{"_name":"Apple M3 Max","spdisplays_vendor":"sppci_vendor_Apple","sppci_device_type":"spdisplays_gpu","sppci_model":"Apple M3 Max"},{"_name":"a screen"}]}`))
	if err != nil || len(cards) != 1 || cards[0] != (Card{ID: "display-0", Name: "Apple M3 Max", Vendor: "apple", Shared: true}) {
		t.Errorf("cards %+v, %v", cards, err)
	}
	if _, err := appleCards([]byte("nothing")); err == nil {
		t.Error("no JSON was taken")
	}
}

// TestThisMachine is the normal case of the machines that test this: whatever is there, looking harms nothing.
func TestThisMachine(t *testing.T) {
	m := Find(t.Context(), Config{})
	defer m.Close()
	if m.Host.Cores != runtime.NumCPU() || m.Host.Memory < 1<<28 {
		t.Errorf("host %+v", m.Host)
	}
	for _, c := range m.Cards {
		if c.ID == "" || c.Name == "" || c.Memory < 0 {
			t.Errorf("card %+v", c)
		}
	}
	t.Logf("%s, %d cores, %d MiB; %d cards; asked %+v", m.Host.CPU, m.Host.Cores, m.Host.Memory>>20, len(m.Cards), m.Asked)
}

func TestSeriesIsBounded(t *testing.T) {
	s := NewSeries(3)
	if _, ok := s.Last(); ok {
		t.Error("an empty series has a last sample")
	}
	began := time.Unix(1000, 0)
	for i := range 10 {
		s.Add(Sample{At: began.Add(time.Duration(i) * time.Second)})
	}
	all := s.Since(began)
	if len(all) != 3 || all[0].At.Unix() != 1007 || all[2].At.Unix() != 1009 {
		t.Errorf("kept %+v", all)
	}
	if last, ok := s.Last(); !ok || last.At.Unix() != 1009 {
		t.Errorf("last %+v", last)
	}
	if late := s.Since(began.Add(9 * time.Second)); len(late) != 1 {
		t.Errorf("since the ninth second: %d", len(late))
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	m, s := Find(ctx, Config{Probes: []Probe{}}), NewSeries(4)
	told := 0
	m.Watch(ctx, time.Millisecond, t.TempDir(), s, func(Sample) {
		if told++; told == 6 {
			cancel()
		}
	})
	if all := s.Since(time.Time{}); len(all) != 4 || told < 6 {
		t.Errorf("%d samples kept, %d told", len(all), told)
	}
}
