// Package gpu says which graphics cards a machine has and how they are doing, and the same of its processor and memory.
//
// It promises that looking harms nothing: every probe is bounded in time, a probe that fails says why and the next one is
// asked, and a machine without a card is a normal machine. Begin with Find, then Watch.
package gpu

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Card is one graphics card.
type Card struct {
	ID     string // the vendor's own, or the place on the bus; the same after a restart where there is a bus
	Name   string // as its vendor sells it
	Vendor string // nvidia, amd, intel, apple, or "" where nobody says
	Memory int64  // bytes; 0 if unknown
	Driver string // its version; "" if unknown
	Shared bool   // its memory is the machine's
}

// Reading is how a card was doing at one moment. What a card does not tell is -1.
type Reading struct {
	Card    string  // its ID
	Busy    float64 // percent of the time
	Used    int64   // bytes of its memory
	Celsius float64
	Watts   float64
}

// unread is a reading of which nothing is known yet.
func unread(card string) Reading {
	return Reading{Card: card, Busy: -1, Used: -1, Celsius: -1, Watts: -1}
}

// Probe is one way to ask for cards.
type Probe interface {
	// Name is what the doctor calls it.
	Name() string
	// Cards lists the cards that this way sees: none is no error. ErrAbsent where there is nobody to ask.
	Cards(ctx context.Context) ([]Card, error)
	// Read tells how the cards that Cards has listed are doing now. A card that is missing in the answer is lost.
	Read(ctx context.Context) ([]Reading, error)
	// Close ends what Cards began.
	Close() error
}

// ErrAbsent says that a way to ask does not exist on this machine.
var ErrAbsent = errors.New("not on this machine")

// Asked is what became of one way to ask.
type Asked struct {
	Probe string
	Cards int
	Err   error // nil, ErrAbsent, or what went wrong
}

// Machine is what was found.
type Machine struct {
	Host  Host
	Cards []Card
	Asked []Asked // every way that was tried, in order
	using []Probe
}

// probeIn is how long one way may take to answer.
const probeIn = 5 * time.Second

// Find asks every way in turn. A later way adds only cards that no earlier one has seen: of NVIDIA's cards NVML knows most,
// then nvidia-smi; the system's own files know AMD's and Intel's; and what an engine lists is asked where nobody else saw any.
func Find(ctx context.Context, c Config) *Machine {
	m := &Machine{Host: readHost(ctx)}
	for _, p := range c.probes() {
		if _, engine := p.(*engineProbe); engine && len(m.Cards) > 0 {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, probeIn)
		found, err := p.Cards(bounded)
		cancel()
		fresh := m.fresh(found)
		m.Asked = append(m.Asked, Asked{p.Name(), len(found), err})
		if len(fresh) == 0 {
			if err := p.Close(); err != nil && c.Log != nil {
				c.Log.Debug("a probe did not close", "probe", p.Name(), "err", err)
			}
			continue
		}
		m.Cards, m.using = append(m.Cards, fresh...), append(m.using, p)
	}
	return m
}

// fresh leaves the cards that are not known yet: neither by id, nor as a card of a vendor that a better way has told of.
func (m *Machine) fresh(found []Card) (fresh []Card) {
	for _, c := range found {
		known := false
		for _, have := range m.Cards {
			known = known || have.ID == c.ID || have.Vendor == "nvidia" && c.Vendor == "nvidia"
		}
		if !known {
			fresh = append(fresh, c)
		}
	}
	return fresh
}

// Read asks for the state of every card. A card of whose probe nothing is heard is not in the answer; the errors are joined.
func (m *Machine) Read(ctx context.Context) ([]Reading, error) {
	var all []Reading
	var errs []error
	for _, p := range m.using {
		bounded, cancel := context.WithTimeout(ctx, probeIn)
		got, err := p.Read(bounded)
		cancel()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Name(), err))
		}
		for _, r := range got {
			if m.has(r.Card) {
				all = append(all, r)
			}
		}
	}
	return all, errors.Join(errs...)
}

func (m *Machine) has(id string) bool {
	for _, c := range m.Cards {
		if c.ID == id {
			return true
		}
	}
	return false
}

// Why says in one line why no card was found, for people.
func (m *Machine) Why() string {
	var said []string
	for _, a := range m.Asked {
		switch {
		case errors.Is(a.Err, ErrAbsent):
		case a.Err != nil:
			said = append(said, a.Probe+": "+a.Err.Error())
		case a.Cards == 0:
			said = append(said, a.Probe+" sees none")
		}
	}
	return strings.Join(said, "; ")
}

// Close ends what Find began.
func (m *Machine) Close() error {
	var errs []error
	for _, p := range m.using {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

// Config says where to look. All of it may be left out.
type Config struct {
	Root   string // folder in which sys and proc lie; / if unset
	Smi    string // nvidia-smi; the one in PATH if unset
	Engine string // llama-server that lists devices; nobody is asked if unset
	Log    *slog.Logger
	Probes []Probe // asked instead of this machine's
}

func (c Config) probes() []Probe {
	if c.Probes != nil {
		return c.Probes
	}
	all := append(nvmlProbes(), &smiProbe{program: c.Smi}, &sysfsProbe{root: c.Root}, &appleProbe{})
	if c.Engine != "" {
		all = append(all, &engineProbe{program: c.Engine})
	}
	return all
}
