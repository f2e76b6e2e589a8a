package completions

import (
	"fmt"
	"strings"

	"infernet/engine"
	"infernet/events"
)

// Unknown is the error of a model that is not there: it names the ids most like it, at most three.
func Unknown(model string, have []engine.Model) error {
	if len(have) == 0 {
		return fmt.Errorf("%w %q; the engine has none", engine.ErrUnknownModel, model)
	}
	var ids []string
	for _, m := range have {
		ids = append(ids, m.ID)
	}
	near := events.Near(model, ids)
	if len(near) == 0 {
		near = ids[:min(3, len(ids))]
	}
	return fmt.Errorf("%w %q; near it: %s", engine.ErrUnknownModel, model, strings.Join(near, ", "))
}
