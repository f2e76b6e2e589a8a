package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// again is the command line that was typed, with a flag set to another value: a hint that can be pasted. What is secret
// in an address is hidden, and a long prompt is cut.
func again(args []string, flag, value string) string {
	args = slices.Clone(args)
	end := len(args)
	if i := slices.Index(args, "--"); i >= 0 {
		end = i
	}
	at := slices.IndexFunc(args[:end], func(arg string) bool { return arg == flag || strings.HasPrefix(arg, flag+"=") })
	switch {
	case at < 0:
		args = slices.Insert(args, end, flag, value)
	case args[at] == flag && at+1 < end:
		args[at+1] = value
	default:
		args[at] = flag + "=" + value
	}
	line := "infernet"
	for _, arg := range args {
		line += " " + quoted(hide(arg))
	}
	return line
}

var bare = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// quoted is an argument as a shell takes it.
func quoted(arg string) string {
	if bare.MatchString(arg) {
		return arg
	}
	if len(arg) > 200 || strings.Contains(arg, "\n") {
		return "…"
	}
	return fmt.Sprintf("'%s'", strings.ReplaceAll(arg, "'", `'\''`))
}
