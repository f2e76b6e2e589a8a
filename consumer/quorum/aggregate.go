package quorum

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// aggregate makes one answer of those that were given, of which some agree.
func aggregate(ctx context.Context, p Plan, given []*Answer) (string, error) {
	var texts []string
	for _, a := range given {
		texts = append(texts, a.Got.Text)
	}
	switch p.Aggregate {
	case Concat:
		return strings.Join(texts, "\n\n"), nil
	case Mean, Median:
		return numbers(p.Aggregate, texts)
	case BestOf:
		return best(ctx, p.Score, texts)
	case Combine:
		return combine(ctx, p.Combine, texts)
	}
	i := slices.IndexFunc(given, func(a *Answer) bool { return a.Group == 0 })
	return texts[i], nil
}

// numbers is the mean or the median of texts that are a number each, or arrays of as many.
func numbers(how string, texts []string) (string, error) {
	var rows [][]float64
	array := true
	for i, text := range texts {
		var row []float64
		if err := json.Unmarshal([]byte(text), &row); err != nil {
			array = false
			found := number.FindAllString(text, -1)
			if len(found) != 1 {
				return "", fmt.Errorf("answer %d has %d numbers, not one: %.80q", i+1, len(found), text)
			}
			x, err := strconv.ParseFloat(found[0], 64)
			if err != nil {
				return "", err
			}
			row = []float64{x}
		}
		if rows = append(rows, row); len(row) != len(rows[0]) {
			return "", fmt.Errorf("answer %d has %d numbers, the first %d", i+1, len(row), len(rows[0]))
		}
	}
	out := make([]float64, len(rows[0]))
	for at := range out {
		var column []float64
		for _, row := range rows {
			column = append(column, row[at])
		}
		out[at] = middle(how, column)
	}
	if !array && len(out) == 1 {
		return strconv.FormatFloat(out[0], 'g', -1, 64), nil
	}
	body, err := json.Marshal(out)
	return string(body), err
}

func middle(how string, all []float64) float64 {
	if how == Mean {
		sum := 0.0
		for _, x := range all {
			sum += x
		}
		return sum / float64(len(all))
	}
	slices.Sort(all)
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}

// best is the text with the highest score.
func best(ctx context.Context, command string, texts []string) (string, error) {
	at, highest := 0, 0.0
	for i, text := range texts {
		score := 0.0
		if command == "" {
			for j, other := range texts {
				if i != j {
					score += common(text, other)
				}
			}
		} else {
			said, err := tell(ctx, command, []byte(text))
			if err != nil {
				return "", err
			}
			if score, err = strconv.ParseFloat(strings.TrimSpace(said), 64); err != nil {
				return "", fmt.Errorf("%s: its score is no number: %.80q", command, said)
			}
		}
		if i == 0 || score > highest {
			at, highest = i, score
		}
	}
	return texts[at], nil
}

// common is how much of two texts' words is in both, 0 to 1.
func common(a, b string) float64 {
	words := map[string]int{}
	for _, w := range strings.Fields(strings.ToLower(a)) {
		words[w] |= 1
	}
	for _, w := range strings.Fields(strings.ToLower(b)) {
		words[w] |= 2
	}
	both := 0
	for _, in := range words {
		if in == 3 {
			both++
		}
	}
	return float64(both) / float64(max(1, len(words)))
}

func combine(ctx context.Context, command string, texts []string) (string, error) {
	body, err := json.Marshal(texts)
	if err != nil {
		return "", err
	}
	return tell(ctx, command, body)
}

// tell runs a command with a text on its stdin, and gives its stdout.
func tell(ctx context.Context, command string, in []byte) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("%s: %w: %.200s", command, err, exit.Stderr)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", command, err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
