package completions

import (
	"fmt"
	"sort"
	"strings"

	"infernet/engine"
)

// Unknown is the error of a model that is not there: it names the ids most like it, at most three.
func Unknown(model string, have []engine.Model) error {
	if len(have) == 0 {
		return fmt.Errorf("%w %q; the engine has none", engine.ErrUnknownModel, model)
	}
	type near struct {
		id   string
		cost int
	}
	var all []near
	for _, m := range have {
		cost := distance(model, m.ID)
		if strings.Contains(m.ID, model) || strings.Contains(model, m.ID) {
			cost = 0 // a family's name stands for its members
		}
		all = append(all, near{m.ID, cost})
	}
	sort.Slice(all, func(i, j int) bool {
		if all[i].cost != all[j].cost {
			return all[i].cost < all[j].cost
		}
		return all[i].id < all[j].id
	})
	var ids []string
	for _, n := range all[:min(3, len(all))] {
		ids = append(ids, n.id)
	}
	return fmt.Errorf("%w %q; near it: %s", engine.ErrUnknownModel, model, strings.Join(ids, ", "))
}

// distance is Levenshtein's: how many letters differ.
func distance(a, b string) int {
	a, b = a[:min(len(a), 128)], b[:min(len(b), 128)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
