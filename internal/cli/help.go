package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// helpWidth is how wide help is, in characters, wherever it is read.
const helpWidth = 80

// help says what a command does, how it is called, and its flags with what they take.
func help(cmd *cobra.Command, _ []string) {
	to := cmd.OutOrStdout()
	section := func(name, body string) {
		if body = strings.Trim(body, "\n"); body != "" {
			fmt.Fprintf(to, "\n%s\n%s\n", name, body)
		}
	}
	fmt.Fprintln(to, wrapped(or(cmd.Long, cmd.Short)))
	usage := cmd.UseLine()
	if cmd.HasAvailableSubCommands() {
		usage = strings.Replace(usage, cmd.CommandPath(), cmd.CommandPath()+" COMMAND", 1)
	}
	section("USAGE", "  "+usage)
	if cmd.Example != "" {
		section("EXAMPLES", "  "+strings.ReplaceAll(cmd.Example, "\n", "\n  "))
	}
	var commands strings.Builder
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			fmt.Fprintf(&commands, "  %-12s%s\n", sub.Name(), strings.ReplaceAll(wrap(sub.Short, helpWidth-14), "\n", "\n              "))
		}
	}
	section("COMMANDS", commands.String())
	cmd.Flags().VisitAll(func(f *flagType) {
		if f.DefValue == "" && strings.HasSuffix(f.Value.Type(), "Slice") { // what a setting has by default may be nothing
			f.DefValue = "[]"
		}
	})
	section("FLAGS", cmd.LocalFlags().FlagUsagesWrapped(helpWidth))
	section("FLAGS OF EVERY COMMAND", cmd.InheritedFlags().FlagUsagesWrapped(helpWidth))
}

// authorWidth is how long a line of a command's own text is at least if it goes on in the next.
const authorWidth = 95

// wrapped puts a command's own text, whose lines are longer, into the width of help.
func wrapped(text string) string {
	var out []string
	carry := ""
	for line := range strings.SplitSeq(text, "\n") {
		goesOn := len(line) >= authorWidth
		if carry != "" && line != "" {
			line = carry + " " + line
		} else if carry != "" {
			out = append(out, carry)
		}
		carry = ""
		all := strings.Split(wrap(line, helpWidth), "\n")
		if last := len(all) - 1; goesOn && last > 0 {
			carry, all = all[last], all[:last]
		}
		out = append(out, all...)
	}
	if carry != "" {
		out = append(out, carry)
	}
	return strings.Join(out, "\n")
}

// wrap breaks a line at blanks so that no part is wider, unless it is one word.
func wrap(line string, width int) string {
	var out strings.Builder
	at := 0
	for i, word := range strings.Split(line, " ") {
		n := len([]rune(word))
		switch {
		case i == 0:
		case at+1+n > width:
			out.WriteString("\n")
			at = 0
		default:
			out.WriteString(" ")
			at++
		}
		out.WriteString(word)
		at += n
	}
	return out.String()
}
