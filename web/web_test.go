package web

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"slices"
	"testing"

	"infernet/events"
)

var update = flag.Bool("update", false, "write what is generated anew")

type param struct {
	Name   string   `json:"name"`
	Type   string   `json:"type"`
	Min    float64  `json:"min,omitempty"`
	Max    float64  `json:"max,omitempty"`
	Values []string `json:"values,omitempty"`
	MaxLen int      `json:"maxLen,omitempty"`
	About  string   `json:"about"`
}

type kind struct {
	Number int    `json:"number"`
	Name   string `json:"name"`
	Alt    string `json:"alt"`
	Inputs struct {
		Min   int      `json:"min"`
		Max   int      `json:"max"`
		Types []string `json:"types"`
	} `json:"inputs"`
	Params  []param  `json:"params"`
	Unit    string   `json:"unit"`
	Outputs []string `json:"outputs"`
	OutUnit int64    `json:"outUnit"`
}

// TestKindsAreThoseOfTheProgram holds the page's table of kinds to the Go one; go test ./web -update writes it.
func TestKindsAreThoseOfTheProgram(t *testing.T) {
	var all []kind
	for _, number := range slices.Sorted(maps.Keys(events.Kinds)) {
		k := events.Kinds[number]
		if k.Own { // nothing that people order
			continue
		}
		out := kind{Number: k.Number, Name: k.Name, Alt: k.Alt, Unit: k.Unit, Outputs: k.Outputs, OutUnit: k.OutUnit}
		out.Inputs.Min, out.Inputs.Max, out.Inputs.Types = k.Inputs.Min, k.Inputs.Max, k.Inputs.Types
		for _, p := range k.Params {
			out.Params = append(out.Params, param{p.Name, string(p.Type), p.Min, p.Max, p.Values, p.MaxLen, p.About})
		}
		all = append(all, out)
	}
	want, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	const file = "src/lib/kinds.json"
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, _ := os.ReadFile(file); !bytes.Equal(have, want) {
		t.Errorf("%s is stale; run: go test ./web -update, then make web", file)
	}
}

func gzipped(body []byte) int {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(body)
	w.Close()
	return out.Len()
}
