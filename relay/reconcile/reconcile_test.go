package reconcile

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip77/negentropy"
	"github.com/nbd-wtf/go-nostr/nip77/negentropy/storage/vector"
)

func random(r *rand.Rand, times int) Item {
	i := Item{At: 1_700_000_000 + int64(r.IntN(times))}
	for k := range i.ID {
		i.ID[k] = byte(r.Uint32())
	}
	return i
}

func serve(items []Item) Peer {
	s := NewServer(NewSet(slices.Clone(items)))
	return func(_ context.Context, m string) (string, error) { return s.Answer(m) }
}

// TestCompareFindsEveryDifference holds random pairs of sets against each other, of all sizes, crowded into one second or
// far apart, and the answers cut off.
func TestCompareFindsEveryDifference(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, n := range []int{0, 1, 31, 32, 33, 1000, 5000} {
		for _, apart := range []int{0, 1, 50, n, 3 * n} {
			for _, times := range []int{1, 100, 10_000_000} {
				var common, first, second []Item
				for range n {
					common = append(common, random(r, times))
				}
				for range apart {
					if r.IntN(3) > 0 {
						first = append(first, random(r, times))
					} else {
						second = append(second, random(r, times))
					}
				}
				d, err := Compare(t.Context(), serve(slices.Concat(common, first)), serve(slices.Concat(common, second)), 1<<30)
				if err != nil || !d.Whole {
					t.Fatalf("%d in common, %d apart, %d seconds: %v", n, apart, times, err)
				}
				if !same(d.First, first) || !same(d.Second, second) {
					t.Errorf("%d in common, %d apart, %d seconds: found %d and %d, not %d and %d", n, apart, times, len(d.First), len(d.Second), len(first), len(second))
				}
				if apart == 0 && d.Rounds > 2 {
					t.Errorf("%d in common and no more: %d rounds", n, d.Rounds)
				}
			}
		}
	}
}

func same(ids [][32]byte, items []Item) bool {
	have, want := map[[32]byte]int{}, map[[32]byte]int{}
	for _, id := range ids {
		have[id]++
	}
	for _, i := range items {
		want[i.ID]++
	}
	return maps.Equal(have, want)
}

func TestCompareStopsAtMost(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var items []Item
	for range 5000 {
		items = append(items, random(r, 1000))
	}
	d, err := Compare(t.Context(), serve(items), serve(nil), 500)
	if err != nil || d.Whole || len(d.First) < 500 || len(d.First) > 4000 {
		t.Errorf("%d found, whole %v, %v", len(d.First), d.Whole, err)
	}
}

// TestSetIsTheLibrarysOwn: fingerprints and bounds are those of the library's set.
func TestSetIsTheLibrarysOwn(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var items []Item
	theirs := vector.New()
	for range 500 {
		i := random(r, 50)
		items = append(items, i)
		theirs.Insert(nostr.Timestamp(i.At), hex.EncodeToString(i.ID[:]))
	}
	theirs.Seal()
	ours := NewSet(items)
	for range 300 {
		from, to := r.IntN(501), r.IntN(501)
		from, to = min(from, to), max(from, to)
		if a, b := ours.Fingerprint(from, to), theirs.Fingerprint(from, to); a != b {
			t.Fatalf("fingerprint of %d to %d: %s, not %s", from, to, a, b)
		}
		bound := negentropy.Bound{Item: negentropy.Item{Timestamp: nostr.Timestamp(1_700_000_000 + r.IntN(60)), ID: fmt.Sprintf("%02x", r.IntN(256))}}
		if a, b := ours.FindLowerBound(from, to, bound), theirs.FindLowerBound(from, to, bound); a != b {
			t.Fatalf("bound %s in %d to %d: %d, not %d", bound, from, to, a, b)
		}
	}
}

func TestMessagesThatAreNone(t *testing.T) {
	for name, m := range map[string]string{
		"nothing": "", "half a byte": "6", "no hex": "61zz", "a time that is cut": "6180", "a number without end": "61" + strings.Repeat("ff", 40),
		"a list longer than the message": "610000" + "02" + "8fffffff7f", "a bound longer than an id": "610121" + strings.Repeat("aa", 33) + "00",
		"a bound of length -1": "6101" + strings.Repeat("ff", 9) + "7f", "after the end of time": "61000000" + "000000", "a mode that is none": "61000003",
		"the end of time with an id": "610001aa00", "a time beyond all": "61" + "81ffffffffff7f" + "0000", "back": "61" + "0502ffff00" + "0101aa00",
		"a fingerprint that is cut": "61000001aabb",
	} {
		if _, err := Parse(m); err == nil {
			t.Errorf("%s: taken", name)
		}
		if _, err := NewServer(NewSet([]Item{{At: 1}})).Answer(m); err == nil {
			t.Errorf("%s: answered", name)
		}
	}
	if _, err := Parse("62"); !errors.Is(err, ErrVersion) {
		t.Errorf("version 2: %v", err)
	}
	if answer, err := NewServer(NewSet(nil)).Answer("62aa"); err != nil || answer != "61" {
		t.Errorf("version 2 is answered with %q, %v", answer, err)
	}
}

// TestCompareWithALiarEnds: one that always says something else.
func TestCompareWithALiarEnds(t *testing.T) {
	n := byte(0)
	liar := func(context.Context, string) (string, error) {
		n++
		return Message{{Until: Infinity, Mode: Fingerprint, Print: [16]byte{n}}}.String(), nil
	}
	if _, err := Compare(t.Context(), liar, liar, 100); err == nil {
		t.Error("it found no difference")
	}
}

// FuzzAnswer: whatever is said, a server answers or refuses.
func FuzzAnswer(f *testing.F) {
	for _, m := range []string{"61", "6100000100000000000000000000000000000000", "61000002", "6100000200", "62"} {
		f.Add(m)
	}
	r := rand.New(rand.NewPCG(5, 6))
	var items []Item
	for range 300 {
		items = append(items, random(r, 20))
	}
	set := NewSet(items)
	f.Fuzz(func(t *testing.T, m string) {
		answer, err := NewServer(set).Answer(m)
		if err != nil {
			return
		}
		if _, err := Parse(answer); err != nil {
			t.Errorf("%q is answered with %q: %v", m, answer, err)
		}
		if len(answer) > 4*FrameLimit+4*len(m) {
			t.Errorf("%q is answered with %d characters", m, len(answer))
		}
	})
}
