package events

import (
	"os/exec"
	"strings"
	"testing"
)

// TestAPortOfFold replays the folds by a program in another language that has nothing of ours but the vectors' JSON.
func TestAPortOfFold(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("needs python3")
	}
	out, err := exec.Command(python, "testdata/fold.py", "testdata/vectors/folds.json").CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "72 vectors replayed\n") {
		t.Errorf("%v: %s", err, out)
	}
}
