package cli

import (
	"strings"
	"testing"
)

// TestListsFitTheTerminal: no line of a table is wider than the terminal, short cells stay whole, and of text nothing is lost.
func TestListsFitTheTerminal(t *testing.T) {
	long := strings.Repeat("a word and ", 30)
	for _, table := range [][][]string{
		{{"SHA256", "NAME", "BYTES", "SERVER"}, {strings.Repeat("0f", 32), "notes.txt", "12", "http://127.0.0.1:3000"}},
		{{"AT", "LEVEL", "NOTICE"}, {"2026-11-25 14:12", "urgent", long}, {"2026-11-25 14:12", "info", "short"}},
		{{"NODE", "NAME", "STATE", "SEEN", "LOAD", "GPU", "MODELS", "PAY"}, {"00ff00ff", strings.Repeat("ü", 40), "ready", "59 min ago", "10/20", "4× NVIDIA H100 80 GB HBM3", "qwen3 llama", "prepaid hold sealed"}},
		{{"VALUE", "B"}, {strings.Repeat("x", 300), strings.Repeat("y", 300)}},
	} {
		var text strings.Builder
		widths := make([]int, len(table[0]))
		rows := fitted(table, 80)
		for _, row := range rows {
			for i, cell := range row {
				widths[i] = max(widths[i], len([]rune(cell)))
				if table[0][i] == "NOTICE" {
					text.WriteString(cell + " ")
				}
			}
		}
		all := 2 * (len(widths) - 1)
		for _, n := range widths {
			all += n
		}
		if all > 80 {
			t.Errorf("%v is %d wide", table[0], all)
		}
		if table[0][0] == "AT" && strings.Join(strings.Fields(text.String()), " ") != strings.Join(strings.Fields("NOTICE "+long+"short"), " ") {
			t.Errorf("of the text is left %q", text.String())
		}
		if table[0][0] == "SHA256" && rows[1][1] != "notes.txt" {
			t.Errorf("a short cell became %q", rows[1][1])
		}
	}
}
