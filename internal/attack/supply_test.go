package attack

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// denied are versions of modules that must not come back, and packages that nothing may import, with the reason.
var (
	deniedVersions = map[string]struct{ before, why string }{
		"github.com/google/go-sev-guest":   {"v0.15.0", "accepts a forged chain of certificates"},
		"github.com/nbd-wtf/go-nostr":      {"v0.52.3", "what is measured here is measured with it"},
		"github.com/fiatjaf/khatru":        {"v0.19.1", "what is measured here is measured with it"},
		"github.com/pocketbase/pocketbase": {"v0.39.11", "an older one lowers other pins"},
		"golang.org/x/crypto":              {"v0.35.0", "ssh servers can be kept waiting for ever (CVE-2025-22869)"},
		"golang.org/x/net":                 {"v0.36.0", "proxy rules can be passed by (CVE-2025-22870)"},
		"github.com/golang-jwt/jwt/v5":     {"v5.2.2", "memory without bound (CVE-2025-30204)"},
		"github.com/btcsuite/btcd":         {"v0.24.2", "consensus of old signatures (CVE-2024-38365)"},
		"github.com/docker/docker":         {"v27.1.1", "authorization can be passed by (CVE-2024-41110)"},
	}
	deniedPackages = map[string]string{
		"github.com/fiatjaf/khatru/blossom":        "one request of ten bytes ends the process",
		"github.com/fiatjaf/eventstore/slicestore": "it never locks",
		"math/rand": "secrets have come from it",
	}
)

// TestDeniedVersions reads what this module and those within it are built from, and every source: none is of a version that is
// known to be bad, and each has a checksum.
func TestDeniedVersions(t *testing.T) {
	modules, sources := 0, 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch name := d.Name(); {
		case d.IsDir() && (name == "node_modules" || strings.HasPrefix(name, ".") && len(name) > 2):
			return filepath.SkipDir
		case name == "go.mod":
			modules += denyVersions(t, path)
		case filepath.Ext(name) == ".go":
			sources++
			denyImports(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if modules < 50 || sources < 300 {
		t.Fatalf("only %d modules and %d sources were looked at", modules, sources)
	}
	figure(t, 23, "%d modules and %d sources looked at: none of %d denied versions and %d denied packages, each with a checksum", modules, sources, len(deniedVersions), len(deniedPackages))
}

func denyVersions(t *testing.T, path string) (n int) {
	body, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return 0
	}
	mod, err := modfile.Parse(path, body, nil)
	if err != nil {
		t.Error(err)
		return 0
	}
	sums, err := os.ReadFile(filepath.Join(filepath.Dir(path), "go.sum"))
	if err != nil && len(mod.Require) > 0 {
		t.Errorf("%s has no go.sum", path)
	}
	replaced := map[string]bool{}
	for _, r := range mod.Replace {
		replaced[r.Old.Path] = true
		if r.New.Version != "" && !strings.Contains(path, "/scripts/") { // what tests are built from is as its authors build it
			t.Errorf("%s: %s is replaced by %s", path, r.Old, r.New)
		}
	}
	for _, r := range mod.Require {
		n++
		if deny, listed := deniedVersions[r.Mod.Path]; listed && semver.Compare(r.Mod.Version, deny.before) < 0 {
			t.Errorf("%s: %s is older than %s: %s", path, r.Mod, deny.before, deny.why)
		}
		if !replaced[r.Mod.Path] && !strings.Contains(string(sums), r.Mod.Path+" "+r.Mod.Version) {
			t.Errorf("%s: %s has no checksum", path, r.Mod)
		}
	}
	return n
}

func denyImports(t *testing.T, path string) {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		return // templates and testdata
	}
	for _, i := range f.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			continue
		}
		if why, denied := deniedPackages[name]; denied && !strings.HasSuffix(path, "_test.go") {
			t.Errorf("%s imports %s: %s", path, name, why)
		}
	}
}
