package quorum

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"infernet/consumer"
	"infernet/events"
)

// sameness is how two answers are held against each other.
type sameness func(i, j int) (bool, error)

func (b *buying) sameness(ctx context.Context, p Plan, given []*Answer, out *Outcome) (sameness, error) {
	text := func(i int) string { return given[i].Got.Text }
	switch p.Verify {
	case Tolerance:
		tolerance := p.Tolerance
		if tolerance == 0 {
			tolerance = 0.01
		}
		return func(i, j int) (bool, error) { return near(text(i), text(j), tolerance), nil }, nil
	case Embedding:
		vectors, paid, err := b.embed(ctx, p.Embedder, given)
		if out.Paid += paid; err != nil {
			return nil, fmt.Errorf("embeddings: %w", err)
		}
		least := p.Alike
		if least == 0 {
			least = 0.9
		}
		return func(i, j int) (bool, error) { return cosine(vectors[i], vectors[j]) >= least, nil }, nil
	case Command:
		return func(i, j int) (bool, error) { return runSame(ctx, p.Same, text(i), text(j)) }, nil
	}
	return func(i, j int) (bool, error) { return blanks(text(i)) == blanks(text(j)), nil }, nil
}

// blanks makes all runs of blanks one.
func blanks(s string) string { return strings.Join(strings.Fields(s), " ") }

var number = regexp.MustCompile(`[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?`)

// near says whether two texts are the same, but for numbers that differ by no more than a part of the larger.
func near(a, b string, tolerance float64) bool {
	if blanks(number.ReplaceAllString(a, "#")) != blanks(number.ReplaceAllString(b, "#")) {
		return false
	}
	x, y := number.FindAllString(a, -1), number.FindAllString(b, -1)
	for i := range x {
		u, err := strconv.ParseFloat(x[i], 64)
		v, wrong := strconv.ParseFloat(y[i], 64)
		if err != nil || wrong != nil || math.Abs(u-v) > tolerance*max(math.Abs(u), math.Abs(v)) {
			return false
		}
	}
	return true
}

func cosine(a, b []float64) float64 {
	var dot, x, y float64
	for i := range min(len(a), len(b)) {
		dot, x, y = dot+a[i]*b[i], x+a[i]*a[i], y+b[i]*b[i]
	}
	if len(a) != len(b) || x == 0 || y == 0 {
		return 0
	}
	return dot / math.Sqrt(x*y)
}

// embed buys the embeddings of all answers, as one job, with what is left of the money.
func (b *buying) embed(ctx context.Context, model string, given []*Answer) (vectors [][]float64, paid events.Msat, err error) {
	o := consumer.Order{Kind: events.KindEmbeddings, Way: consumer.Direct, MaxCost: b.left, Pay: b.o.Pay, Life: b.o.Life, Label: b.label}
	if model != "" {
		o.Params = events.Params{{Name: "model", Values: []string{model}}}
	}
	for _, a := range given {
		o.Inputs = append(o.Inputs, events.Input{Value: cmp.Or(a.Got.Text, " "), Type: "text"})
	}
	d, err := b.c.Do(ctx, o, nil)
	if err != nil {
		return nil, 0, err
	}
	if err := json.Unmarshal([]byte(d.Text), &vectors); err != nil || len(vectors) != len(given) {
		return nil, d.Paid, fmt.Errorf("node %.8s gave no %d vectors", d.Node, len(given))
	}
	return vectors, d.Paid, nil
}

// runSame has a command say whether two texts are the same.
func runSame(ctx context.Context, command, a, b string) (bool, error) {
	dir, err := os.MkdirTemp("", "infernet-same-*")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	paths := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}
	for i, text := range []string{a, b} {
		if err := os.WriteFile(paths[i], []byte(text), 0o600); err != nil {
			return false, err
		}
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", command+` "$@"`, "same", paths[0], paths[1])
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &exit) && exit.ExitCode() == 1:
		return false, nil
	}
	return false, fmt.Errorf("%s: %w: %.200s", command, err, said)
}

// group puts answers that are the same into groups, the largest first; of groups as large, that of the better node.
func group(given []*Answer, same sameness) error {
	var groups [][]int
	for i := range given {
		at := -1
		for g, members := range groups {
			ok, err := same(members[0], i)
			if err != nil {
				return err
			}
			if ok {
				at = g
				break
			}
		}
		if at < 0 {
			groups = append(groups, nil)
			at = len(groups) - 1
		}
		groups[at] = append(groups[at], i)
	}
	slices.SortStableFunc(groups, func(a, b []int) int { return len(b) - len(a) })
	for g, members := range groups {
		for _, i := range members {
			given[i].Group = g
		}
	}
	return nil
}
