package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"infernet/events"
)

// reasons are what a file can be reported for (NIP-56).
var reasons = []string{"illegal", "malware", "nudity", "profanity", "spam", "impersonation", "other"}

func (a *app) fileReportCommand() *cobra.Command {
	var sort, why string
	cmd := &cobra.Command{
		Use:   "report FILE",
		Short: "Report a bad file to the file servers",
		Long: "Sends a signed report (BUD-09) to each server. Servers keep it for their operator to read; from a key that the operator names\n" +
			"in relay.moderators it removes the file for good, and the file is not taken again.",
		Example:     "infernet file report report.pdf --sort malware",
		Annotations: says("sha256, server"),
		Args:        cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(reasons, sort) {
				return usage("--sort %q is none of %s", sort, strings.Join(reasons, ", "))
			}
			return a.movingOne(args[0], func(m mover, b events.Blob) error { return a.reportFile(cmd.Context(), m, b, sort, why) })
		},
	}
	fileFlags(cmd)
	cmd.Flags().StringVar(&sort, "sort", "other", "what it is: "+strings.Join(reasons, ", "))
	cmd.Flags().StringVar(&why, "why", "", "a line for the operator")
	return cmd
}

// reportFile tells every server; an error if none took it.
func (a *app) reportFile(ctx context.Context, m mover, b events.Blob, sort, why string) error {
	return a.eachServer(m, b, "reported to", func(server string) error { return m.Report(ctx, server, b.Sum, sort, why) })
}

// eachServer does one thing with a file on each server, and says so; an error if none did it.
func (a *app) eachServer(m mover, b events.Blob, done string, do func(server string) error) error {
	var failed error
	some := false
	for _, server := range m.servers {
		if err := do(server); err != nil {
			failed = err
			continue
		}
		some = true
		if a.json {
			a.object(a.Out, map[string]any{"sha256": b.Sum, "server": server})
		} else {
			fmt.Fprintf(a.Out, "%s %s %s\n", b.Sum, done, server)
		}
	}
	if some {
		return nil
	}
	return failed
}
