package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// tryPrompt is what hints ask for where none was typed: the demo's model can do it.
const tryPrompt = "Write two sentences about the sea."

// again is the command line that was typed, with a flag set to another value, or only set if value is "": a hint that can
// be pasted. What is secret in an address is hidden, and a prompt too long for a line is read from stdin.
func again(args []string, flag, value string) string {
	args = slices.Clone(args)
	end, at := find(args, flag)
	switch {
	case at < 0 && value == "":
		args = slices.Insert(args, end, flag)
	case at < 0:
		args = slices.Insert(args, end, flag, value)
	case value == "":
	case args[at] == flag && at+1 < end:
		args[at+1] = value
	default:
		args[at] = flag + "=" + value
	}
	return line(args)
}

// without is the command line that was typed, less a flag that has a value.
func without(args []string, flag string) string {
	args = slices.Clone(args)
	switch end, at := find(args, flag); {
	case at < 0:
	case args[at] == flag:
		args = slices.Delete(args, at, min(at+2, end))
	default:
		args = slices.Delete(args, at, at+1)
	}
	return line(args)
}

// find finds a flag, -1 if it is not there, and where flags end.
func find(args []string, flag string) (end, at int) {
	end = len(args)
	if i := slices.Index(args, "--"); i >= 0 {
		end = i
	}
	return end, slices.IndexFunc(args[:end], func(arg string) bool { return arg == flag || strings.HasPrefix(arg, flag+"=") })
}

// maxQuoted is how long an argument may be that a hint repeats, in bytes.
const maxQuoted = 2000

func line(args []string) string {
	line, remark := "infernet", ""
	for i, arg := range args {
		if len(arg) > maxQuoted && (i == 0 || !strings.HasPrefix(args[i-1], "-")) {
			arg, remark = "-", "  # and the prompt on stdin"
		}
		line += " " + quoted(hide(arg))
	}
	return line + remark
}

var bare = regexp.MustCompile(`^[\w@%+=:,./-]+$`)

// quoted is an argument as a shell takes it, in one line.
func quoted(arg string) string {
	if bare.MatchString(arg) {
		return arg
	}
	if strings.ContainsFunc(arg, func(r rune) bool { return r < ' ' }) {
		inner := strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\t", `\t`, "\r", `\r`).Replace(arg)
		return "$'" + controls.ReplaceAllStringFunc(inner, func(c string) string { return fmt.Sprintf(`\x%02x`, c[0]) }) + "'"
	}
	return fmt.Sprintf("'%s'", strings.ReplaceAll(arg, "'", `'\''`))
}

var controls = regexp.MustCompile(`[\x00-\x1f]`)
