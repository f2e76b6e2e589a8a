package market

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"infernet/events"
)

// Sample is the market at one moment of its history.
type Sample struct {
	At      events.Unix            `json:"at"`
	Alive   int                    `json:"alive" doc:"nodes that lived"`
	Nodes   int                    `json:"nodes" doc:"nodes that were announced"`
	Open    int                    `json:"open" doc:"jobs that waited or ran, in clear"`
	Jobs    int                    `json:"jobs" doc:"requests since the sample before"`
	Results int                    `json:"results" doc:"results since the sample before"`
	Models  map[string]ModelSample `json:"models" doc:"what living nodes asked, by model; at most 50, those of most nodes"`
}

// ModelSample is what was asked for a model, msat for 1000 units in and 1000 out.
type ModelSample struct {
	Nodes int `json:"nodes"`
	Spread
}

// How much history is kept.
const (
	SampleEach = 10 * time.Minute
	keptFor    = Days * 24 * time.Hour
	maxModels  = 50
)

// SampleOf is what history keeps of a view.
func SampleOf(v *View, jobs, results int) Sample {
	s := Sample{At: v.At, Alive: v.Alive, Nodes: len(v.Nodes), Open: len(v.Jobs), Jobs: jobs, Results: results, Models: map[string]ModelSample{}}
	for _, m := range v.Models[:min(len(v.Models), maxModels)] {
		s.Models[m.ID] = ModelSample{m.Nodes, m.Price}
	}
	return s
}

// History is the samples of the last 30 days, in a file of one line each. What it says follows from no event that is still
// there: prices are replaced. Losing it loses charts and nothing else.
type History struct {
	path string // "" keeps it in memory

	mu  sync.Mutex
	all []Sample // the oldest first
}

// OpenHistory reads what a file has; lines that are torn fall away. path "" keeps history in memory.
func OpenHistory(path string, now time.Time) (*History, error) {
	h := &History{path: path}
	if path == "" {
		return h, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	lines, kept := 0, bufio.NewScanner(f)
	kept.Buffer(nil, 1<<20)
	for kept.Scan() {
		lines++
		var s Sample
		if json.Unmarshal(kept.Bytes(), &s) == nil && s.At > events.At(now.Add(-keptFor)) {
			h.all = append(h.all, s)
		}
	}
	if err := kept.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(h.all, func(a, b Sample) int { return cmp.Compare(a.At, b.At) })
	if len(h.all) < lines {
		return h, h.write()
	}
	return h, nil
}

// write writes the file anew: whole, or not at all.
func (h *History) write() error {
	f, err := os.CreateTemp(filepath.Dir(h.path), filepath.Base(h.path))
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriter(f)
	out := json.NewEncoder(w)
	for _, s := range h.all {
		if err := out.Encode(s); err != nil {
			f.Close()
			return err
		}
	}
	if err := errors.Join(w.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), h.path)
}

// Add keeps a sample.
func (h *History) Add(s Sample) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, s)
	for len(h.all) > 0 && h.all[0].At < s.At-events.Unix(keptFor/time.Second) {
		h.all = h.all[1:]
	}
	if h.path == "" {
		return nil
	}
	f, err := os.OpenFile(h.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(f).Encode(s), f.Close())
}

// Last is when the last sample was taken; 0 if there is none.
func (h *History) Last() events.Unix {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.all) == 0 {
		return 0
	}
	return h.all[len(h.all)-1].At
}

// Between gives samples of a part of time, the oldest first, at most so many, evenly spread. With a model only its prices are
// in them.
func (h *History) Between(since, until events.Unix, model string, most int) []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := []Sample{}
	for _, s := range h.all {
		if s.At >= since && (until == 0 || s.At <= until) {
			found = append(found, s)
		}
	}
	if most > 0 && len(found) > most {
		thin := make([]Sample, most)
		for i := range thin {
			thin[i] = found[(len(found)-1)*i/max(most-1, 1)]
		}
		found = thin
	}
	if model != "" {
		for i, s := range found {
			found[i].Models = map[string]ModelSample{}
			if m, ok := s.Models[model]; ok {
				found[i].Models[model] = m
			}
		}
	}
	return found
}
