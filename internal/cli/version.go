package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// version is set by make.
var version = "dev"

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "version",
		Short:       "What this program is made of",
		Example:     "infernet version",
		Annotations: says("version, commit, go, platform, libsecp256k1"),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			facts := map[string]string{"version": version, "go": runtime.Version(), "libsecp256k1": "no", "platform": runtime.GOOS + "/" + runtime.GOARCH}
			if commit := built("vcs.revision"); commit != "" {
				facts["commit"] = commit
			}
			if libsecp() {
				facts["libsecp256k1"] = "yes"
			}
			if a.json {
				a.object(a.Out, facts)
				return nil
			}
			fmt.Fprintf(a.Out, "infernet %s, commit %s, %s, %s, libsecp256k1 %s\n",
				version, or(cutKey(facts["commit"]), "unknown"), facts["go"], facts["platform"], facts["libsecp256k1"])
			return nil
		},
	}
}

// libsecp says whether signatures are made by libsecp256k1.
func libsecp() bool {
	return slices.Contains(strings.Split(built("-tags"), ","), "libsecp256k1") && built("CGO_ENABLED") == "1"
}

// built is how the program was built: a setting of the build, "" if unknown.
func built(name string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == name {
			return s.Value
		}
	}
	return ""
}
