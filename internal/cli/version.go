package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by make.
var version = "dev"

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "What this program is made of",
		Example: "infernet version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			facts := map[string]string{"version": version, "go": runtime.Version(), "libsecp256k1": "no", "platform": runtime.GOOS + "/" + runtime.GOARCH}
			if libsecp() {
				facts["libsecp256k1"] = "yes"
			}
			if a.json {
				a.object(a.Out, facts)
				return nil
			}
			fmt.Fprintf(a.Out, "infernet %s, %s, %s, libsecp256k1 %s\n", facts["version"], facts["go"], facts["platform"], facts["libsecp256k1"])
			return nil
		},
	}
}

// libsecp says whether signatures are made by libsecp256k1.
func libsecp() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	tags, cgo := "", ""
	for _, s := range info.Settings {
		switch s.Key {
		case "-tags":
			tags = s.Value
		case "CGO_ENABLED":
			cgo = s.Value
		}
	}
	return tags == "libsecp256k1" && cgo == "1"
}
