package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// checkIn is how long one check may take.
const checkIn = 8 * time.Second

// check is one thing the doctor looks at.
type check struct {
	name string
	look func(ctx context.Context) (found string, err error)
	hint string
}

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "doctor",
		Short:       "What is there and what is missing, with the command that mends it",
		Example:     "infernet doctor",
		Annotations: evenBroken("check, ok, found, error, hint"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			missing := 0
			checks := a.checks()
			for _, c := range checks {
				var waits *waiting
				if !a.json {
					waits = startWaiting(a.Err, "the check of the "+c.name)
				}
				ctx, cancel := context.WithTimeout(cmd.Context(), checkIn)
				found, err := c.look(ctx)
				cancel()
				waits.end()
				if errors.Is(err, context.DeadlineExceeded) {
					err = fmt.Errorf("no answer in %s", checkIn)
				}
				if err != nil {
					missing++
				}
				a.diagnose(c, found, err)
			}
			if missing > 0 {
				return fmt.Errorf("%d of %d checks failed", missing, len(checks))
			}
			return nil
		},
	}
}

func (a *app) diagnose(c check, found string, err error) {
	message, hint := "", ""
	if err != nil {
		_, message, hint = explain(err, a.args)
		if _, general := meaning(err, a.args); hint == general && c.hint != "" {
			hint = c.hint
		}
	}
	if a.json {
		out := map[string]any{"check": c.name, "ok": err == nil, "found": found}
		if err != nil {
			out["error"], out["hint"] = message, hint
		}
		a.object(a.Out, out)
		return
	}
	if err == nil {
		fmt.Fprintf(a.Out, "ok    %-12s %s\n", c.name, found)
		return
	}
	fmt.Fprintf(a.Out, "fail  %-12s %s\n", c.name, message)
	fmt.Fprintf(a.Out, "      hint: %s\n", hint)
}
