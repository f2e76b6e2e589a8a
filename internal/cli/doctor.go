package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

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
		Annotations: says("check, ok, found, error, hint"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			missing := 0
			checks := a.checks()
			for _, c := range checks {
				ctx, cancel := context.WithTimeout(cmd.Context(), 8*time.Second)
				found, err := c.look(ctx)
				cancel()
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
		if _, general := meaning(err, a.args); hint == general {
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
