package infernet

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A promise is shown by a test ("internal/testnet TestX"), a script of the command line (a .txtar file), a make target
// ("make demo") or nothing yet ("not yet").
var (
	shownByTest = regexp.MustCompile("^`([a-z0-9/.]+) (Test|Fuzz|Benchmark)([A-Za-z0-9_]+)`$")
	shownByFile = regexp.MustCompile("^`([a-zA-Z0-9/._-]+\\.txtar)`$")
	shownByMake = regexp.MustCompile("^`make ([a-z-]+)`$")
)

func TestPromisesNameWhatShowsThem(t *testing.T) {
	page, err := os.ReadFile("docs/promises.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, open := 0, 0
	for i, line := range strings.Split(string(page), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "| ") || len(cells) < 3 || strings.HasPrefix(cells[0], "promise") || strings.HasPrefix(cells[0], "---") {
			continue
		}
		rows++
		for _, name := range strings.Split(cells[2], ", ") {
			switch name = strings.TrimSpace(name); {
			case name == "not yet":
				open++
			case !exists(t, name):
				t.Errorf("docs/promises.md:%d: there is no %s", i+1, name)
			}
		}
	}
	if rows < 40 {
		t.Errorf("only %d promises were read", rows)
	}
	t.Logf("%d promises, %d not yet", rows, open)
}

func exists(t *testing.T, name string) bool {
	t.Helper()
	if m := shownByFile.FindStringSubmatch(name); m != nil {
		_, err := os.Stat(m[1])
		return err == nil
	}
	if m := shownByMake.FindStringSubmatch(name); m != nil {
		makefile, err := os.ReadFile("Makefile")
		return err == nil && strings.Contains(string(makefile), "\n"+m[1]+":")
	}
	m := shownByTest.FindStringSubmatch(name)
	if m == nil {
		return false
	}
	files, err := filepath.Glob(filepath.Join(m[1], "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "func "+m[2]+m[3]+"(") {
			return true
		}
	}
	return false
}
