package choose

import (
	"strings"
	"testing"
	"time"

	"infernet/events"
)

var now = time.Unix(1_800_000_000, 0)

func key(c string) events.PubKey { return events.PubKey(strings.Repeat(c, 64)) }

// candidates are three that differ: a is cheap and slow, b dear and fast, c in between and never tried.
func candidates() []Candidate {
	return []Candidate{
		{Node: key("a"), About: 10_000, Most: 20_000, Price: events.Price{Out: 10_000}, Measured: Measured{Jobs: 9, First: 2 * time.Second, Rate: 5}},
		{Node: key("b"), About: 40_000, Most: 80_000, Price: events.Price{Out: 40_000}, Measured: Measured{Jobs: 9, First: 100 * time.Millisecond, Rate: 80}},
		{Node: key("c"), About: 14_000, Most: 28_000, Price: events.Price{Out: 14_000}},
	}
}

func order(vs []Verdict) (in, out string) {
	for _, v := range vs {
		if v.Out {
			out += string(v.Node[:1])
		} else {
			in += string(v.Node[:1])
		}
	}
	return in, out
}

func TestRank(t *testing.T) {
	need := Need{MaxCost: 100_000, Wallet: true}
	ten := events.Msat(12_000)
	for _, c := range []struct {
		name     string
		controls Controls
		need     Need
		change   func([]Candidate)
		in, out  string
		says     string // of the last
	}{
		{"price", Controls{Sort: Price}, need, nil, "acb", "", "about 40 sat"},
		{"throughput: what was not measured is no worse than the best", Controls{Sort: Throughput}, need, nil, "cba", "", "5.0 tok/s"},
		{"latency", Controls{Sort: Latency}, need, nil, "cba", "", "first token after 2s"},
		{"best", Controls{}, need, nil, "cba", "", "first token after 2s"},
		{"order before all", Controls{Order: []events.PubKey{key("b")[:8]}, Sort: Price}, need, nil, "bac", "", "never tried"},
		{"only", Controls{Only: []events.PubKey{key("b")}}, need, nil, "b", "ac", "only names others"},
		{"ignore", Controls{Ignore: []events.PubKey{"AAAAAAAA"}, Sort: Price}, need, nil, "cb", "a", "ignore names it"},
		{"max_price", Controls{MaxPrice: &MaxPrice{Out: &ten}}, need, nil, "a", "bc", "max_price allows 12 sat"},
		{"too dear", Controls{Sort: Price}, Need{MaxCost: 15_000, Wallet: true}, nil, "ac", "b", "at most 15 sat may be paid"},
		{"no wallet", Controls{}, Need{MaxCost: 50_000}, nil, "", "abc", "no wallet"},
		{"a pause", Controls{Sort: Price}, need, func(all []Candidate) { all[0].Until, all[0].Measured.Why = now.Add(time.Second), "it fell silent" }, "cb", "a", "it fell silent"},
		{"all have a pause", Controls{Only: []events.PubKey{key("a")}}, need, func(all []Candidate) { all[0].Until = now.Add(time.Second) }, "a", "bc", "only"},
		{"who fails costs more", Controls{Sort: Price}, need, func(all []Candidate) { all[0].Failed = 0.5 }, "cab", "", "about 40 sat"},
		{"a lie of last week", Controls{Sort: Price}, need, func(all []Candidate) { all[0].Lied, all[0].Measured.Why = 0.5, "x" }, "cba", "", "it lied before (x)"},
		{"a lie just now, and nobody else", Controls{Only: []events.PubKey{key("a")}}, need, func(all []Candidate) { all[0].Lied, all[0].Until = 1, now.Add(time.Hour) }, "", "abc", ""},
		{"what it took counts", Controls{Sort: Price}, need, func(all []Candidate) { all[0].Dear = 3 }, "cab", "", "about 40 sat"},
		{"trusted reviews count while little is known", Controls{Sort: Price}, need, func(all []Candidate) { all[2].Trust = Trust{4, 0.1} }, "abc", "", "4 trusted reviews say 10 of 100"},
		{"context", Controls{Context: 8192}, need, func(all []Candidate) { all[1].Context = 8192 }, "b", "ac", "its model holds 0 tokens, 8192 are wanted"},
		{"digest", Controls{Digest: "ABC"}, need, func(all []Candidate) { all[1].Digest = "sha256:abcd" }, "b", "ac", "wanted is ABC"},
		{"cards", Controls{}, Need{MaxCost: 50_000, Wallet: true, Require: []events.Require{{Name: "gpu", Value: "NVIDIA_A100"}, {Name: "vram_mb", Value: "40000"}}}, func(all []Candidate) {
			all[1].GPUs = []events.GPU{{Name: "NVIDIA A100-SXM4-40GB", VRAMMB: 40960}}
		}, "b", "ac", "no gpu NVIDIA_A100"},
		{"while few are known, what is new is tried", Controls{}, need, func(all []Candidate) { all[2].About = 40_000; all[1].About = 30_000; all[0].About = 90_000 }, "cba", "", "about 90 sat"},
		{"later than it had said", Controls{Sort: Price}, need, func(all []Candidate) { all[0].Late = 30 }, "cba", "", "took 30 times as long as it had said"},
		{"who is busy waits", Controls{Sort: Price}, need, func(all []Candidate) { all[0].Load = 3 }, "cab", "", "about 40 sat"},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := candidates()
			if c.change != nil {
				c.change(all)
			}
			got := Rank(all, c.controls, c.need, now)
			in, out := order(got)
			if in != c.in || out != c.out || !strings.Contains(got[len(got)-1].Why, c.says) {
				t.Errorf("%s out %s, want %s out %s %q: %+v", in, out, c.in, c.out, c.says, got)
			}
		})
	}
}

func TestControlsAreChecked(t *testing.T) {
	for _, c := range []Controls{{Sort: "luck"}, {Only: []events.PubKey{"short"}}, {Ignore: []events.PubKey{"zzzzzzzz"}}} {
		if c.Check() == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

// TestOneJobInFiveTriesWhatIsNew has three nodes that are known, and a fourth that asks the same.
func TestOneJobInFiveTriesWhatIsNew(t *testing.T) {
	tried := 0
	for jobs := range 100 {
		all := []Candidate{{Node: key("d"), About: 10_000}}
		for _, node := range []string{"a", "b", "c"} {
			all = append(all, Candidate{Node: key(node), About: 10_000, Measured: Measured{Jobs: 100, First: time.Second, Rate: 10}})
		}
		all[1].Jobs += jobs
		if Rank(all, Controls{}, Need{MaxCost: 50_000, Wallet: true}, now)[0].Node == key("d") {
			tried++
		}
	}
	if tried != 20 {
		t.Errorf("%d of 100 jobs tried what is new", tried)
	}
}
