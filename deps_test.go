package infernet

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms says, for each room, which of our own rooms its sources may import. A room is the longest listed prefix of a
// package's path. Test files may also import internal/testnet and the suites, and rooms listed under tests.
var rooms = map[string][]string{
	"events":            {},
	"nips":              {},
	"engine":            {"events"},
	"engine/enginetest": {"engine", "events"},
	"engine/internal":   {"engine", "events"},
	"engine/echo":       {"engine", "events"},
	"engine/openai":     {"engine", "engine/internal", "events"},
	"engine/llamacpp":   {"engine", "engine/internal", "events"},
	"engine/ollama":     {"engine", "engine/internal", "events"},
	"engine/gpu":        {},
	"wallet":            {"events"},
	"wallet/bolt11":     {"wallet", "events"},
	"wallet/wallettest": {"wallet", "wallet/bolt11", "events"},
	"wallet/internal":   {"wallet", "wallet/bolt11", "events", "nips", "internal/pool"},
	"wallet/play":       {"wallet", "wallet/internal", "wallet/bolt11", "events", "nips", "internal/pool", "internal/durable"},
	"wallet/lnd":        {"wallet", "wallet/bolt11", "events"},
	"wallet/serve":      {"wallet", "wallet/internal", "wallet/bolt11", "events", "nips", "internal/pool", "internal/durable"},
	"wallet/breez":      {"wallet", "wallet/bolt11", "events", "internal/durable"},
	"wallet/nwc":        {"wallet", "wallet/internal", "events", "nips"},
	"relay":             {"events", "nips", "wallet", "internal/blob", "internal/httpd"},
	"internal/pool":     {"events"},
	"internal/bunker":   {"events", "internal/pool"},
	"internal/durable":  {},
	"internal/httpd":    {"nips"},
	"internal/ledger":   {"events", "wallet", "internal/durable"},
	"internal/audit":    {"events", "wallet", "wallet/bolt11", "internal/ledger"},
	"internal/guard":    {},
	"internal/blob":     {"events", "wallet", "wallet/bolt11", "internal/durable", "internal/guard"},
	"provider":          {"events", "engine", "wallet", "wallet/bolt11", "internal/pool", "internal/ledger", "internal/store", "internal/blob", "internal/guard", "internal/notify", "internal/httpd"},
	"consumer":          {"consumer/choose", "events", "wallet", "wallet/bolt11", "internal/pool", "internal/ledger", "internal/store", "internal/blob"},
	"consumer/choose":   {"events"},
	"consumer/batch":    {"consumer", "consumer/choose", "events", "wallet", "internal/durable", "internal/ledger"},
	"consumer/quorum":   {"consumer", "consumer/choose", "events"},
	"consumer/track":    {"consumer/choose", "events", "internal/durable"},
	"consumer/gateway":  {"consumer", "consumer/choose", "events", "wallet", "internal/durable", "internal/httpd", "internal/ledger", "internal/notify"},
	"fleet":             {"events", "internal/pool", "internal/ledger", "internal/store", "internal/notify"},
	"internal/cli":      {"*"},
	"internal/testnet":  {"*"},
	"internal/attack":   {"*"},
	"web":               {"events"},
	"cmd":               {"internal/cli"},
	"scripts":           {"*"},

	"wallet/breez/infernet-breez": {"wallet/breez", "wallet/serve", "events"},

	"internal/notify":          {"events", "internal/pool", "internal/durable"},
	"internal/store":           {"events", "wallet", "wallet/bolt11", "internal/ledger", "internal/notify"},
	"internal/store/pbstore":   {"internal/store", "internal/notify", "internal/ledger", "events"},
	"internal/store/storetest": {"internal/store", "internal/notify", "internal/ledger", "events"},
}

// doors says which rooms may import an outside module; a module that is not listed may be imported anywhere.
var doors = map[string][]string{
	"github.com/nbd-wtf/go-nostr":         {"events", "nips", "relay", "internal/pool", "internal/bunker", "internal/ledger", "internal/blob", "internal/notify", "internal/store", "provider", "consumer", "fleet", "wallet/internal", "wallet/play", "wallet/serve", "internal/cli", "internal/testnet"},
	"github.com/fiatjaf/khatru":           {"relay"},
	"github.com/fiatjaf/eventstore":       {"relay"},
	"github.com/spf13/cobra":              {"internal/cli"},
	"charm.land/bubbletea/v2":             {"internal/cli"},
	"charm.land/lipgloss/v2":              {"internal/cli"},
	"modernc.org/sqlite":                  {"internal/durable"},
	"github.com/danielgtaylor/huma":       {"internal/httpd"},
	"github.com/caddyserver/certmagic":    {"internal/httpd"},
	"github.com/prometheus/client_golang": {"internal/httpd", "relay", "provider", "consumer"},
	"github.com/coder/websocket":          {"relay", "internal/pool", "consumer/gateway"},
	"github.com/btcsuite/btcd":            {"wallet/bolt11", "wallet/play"},
	"github.com/minio/sio":                {"internal/blob"},
	"golang.org/x/image":                  {"internal/guard"},
	"github.com/robfig/cron":              {"provider"},
	"github.com/NVIDIA/go-nvml":           {"engine/gpu"},
	"github.com/shirou/gopsutil":          {"engine/gpu"},
	"rsc.io/qr":                           {"internal/cli"},

	"github.com/godbus/dbus": {"internal/notify"},
	"github.com/pocketbase":  {"internal/store/pbstore"},

	"github.com/anishathalye/porcupine": {}, // only tests
	"github.com/breez":                  {"wallet/breez"},

	"github.com/pocketbase/pocketbase/apis": {}, // it would listen
	"github.com/pocketbase/pocketbase/ui":   {},
}

// TestRoomsImportOnlyWhatTheyMay reads the sources, so that its answer is never a cached one.
func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	seen := 0
	for path, imports := range sources(t) {
		seen++
		room := roomOf(filepath.ToSlash(filepath.Dir(path)))
		if room == "" {
			if filepath.Dir(path) != "." {
				t.Errorf("%s is in no room of the table", path)
			}
			continue
		}
		test := strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/testdata/")
		for _, imported := range imports {
			if own, ok := strings.CutPrefix(imported, "infernet/"); ok {
				if to := roomOf(own); !mayImport(room, to, test) {
					t.Errorf("%s: %s may not import %s", path, room, own)
				}
				continue
			}
			for module, allowed := range doors {
				if (imported == module || strings.HasPrefix(imported, module+"/")) && !test && !slices.Contains(allowed, room) {
					t.Errorf("%s: %s stays at its door (%s), %s may not import it", path, module, strings.Join(allowed, ", "), room)
				}
			}
		}
	}
	if seen < 20 {
		t.Fatalf("only %d sources were read", seen)
	}
}

func mayImport(room, to string, test bool) bool {
	if room == to || slices.Contains(rooms[room], "*") || slices.Contains(rooms[room], to) {
		return true
	}
	// a test may stand its room on real parts: a relay to connect to, the suite of its family
	return test && slices.Contains([]string{"relay", "internal/testnet", "internal/pool", "engine/enginetest", "wallet/wallettest", "wallet/nwc", "internal/store/storetest", "internal/store/pbstore"}, to)
}

func roomOf(pkg string) (room string) {
	for name := range rooms {
		if (pkg == name || strings.HasPrefix(pkg, name+"/")) && len(name) > len(room) {
			room = name
		}
	}
	return room
}

// sources gives the imports of every Go file of this module.
func sources(t *testing.T) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "node_modules" || nested(path)) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		files[path] = nil
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			files[path] = append(files[path], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// nested says whether a folder is a module of its own.
func nested(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}
