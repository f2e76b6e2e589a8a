package events

import (
	"cmp"
	"slices"
	"strings"
)

// Near gives up to three of have that look like want, the likest first: for "did you mean".
func Near(want string, have []string) []string {
	type match struct {
		name string
		far  int
	}
	want = strings.ToLower(want)
	var found []match
	for _, name := range have {
		low := strings.ToLower(name)
		far := distance(want, low)
		if strings.Contains(low, want) || strings.Contains(want, low) {
			far = min(far, 1)
		}
		if far <= max(2, len(want)/2) {
			found = append(found, match{name, far})
		}
	}
	slices.SortFunc(found, func(a, b match) int { return cmp.Or(cmp.Compare(a.far, b.far), cmp.Compare(a.name, b.name)) })
	var names []string
	for _, m := range found[:min(3, len(found))] {
		names = append(names, m.name)
	}
	return names
}

// distance is how many letters must change to turn a into b (Levenshtein).
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
