package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"infernet/consumer"
	"infernet/events"
)

type flagType = pflag.Flag

// settings are the values in force, and where each came from.
type settings struct {
	file   string
	values map[string]string
	source map[string]string
	prices map[string]events.Price // provide.prices.<model>
	home   string                  // where the data folder is if nobody says
}

// loadSettings reads defaults, the file and the environment; flags come last. With an error come the settings that could be
// read.
func loadSettings(env func(string) string, file string) (*settings, error) {
	s := &settings{values: map[string]string{}, source: map[string]string{}, prices: map[string]events.Price{}}
	for _, k := range table {
		s.put(k.name, k.standard, "default")
	}
	home := env("HOME")
	s.home = filepath.Join(or(env("XDG_DATA_HOME"), filepath.Join(home, ".local/share")), "infernet")
	s.put("data_dir", s.home, "default")
	s.file = or(file, env("INFERNET_CONFIG"), filepath.Join(or(env("XDG_CONFIG_HOME"), filepath.Join(home, ".config")), "infernet", "config.toml"))
	err := s.readFile()
	switch {
	case errors.Is(err, fs.ErrNotExist) && file == "":
		err = nil
	case err != nil && !errors.As(err, new(*usageError)):
		err = &usageError{fmt.Errorf("read the settings: %w", err)}
	}
	for _, k := range table {
		if v := env(envName(k.name)); v != "" {
			s.put(k.name, v, envName(k.name))
		}
	}
	return s, err
}

// outside are variables that begin with INFERNET_ and set no setting.
var outside = []string{"INFERNET_CONFIG", "INFERNET_CACHE", "INFERNET_LONG", "INFERNET_PROBE_PORTS"}

// checkEnviron finds a variable whose name is mistyped: what somebody set is not to be left out in silence.
func checkEnviron(environ []string) error {
	known := slices.Clone(outside)
	for _, k := range table {
		known = append(known, envName(k.name))
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if value == "" || !strings.HasPrefix(name, "INFERNET_") || slices.Contains(known, name) || strings.HasPrefix(name, "INFERNET_TEST_") {
			continue
		}
		plain := func(s string) string { return strings.ReplaceAll(s, "_", "") }
		for _, k := range known {
			if plain(k) == plain(name) {
				return withHint(usage("%s sets nothing; is %s meant?", name, k), "unset %s  # and set %s", name, k)
			}
		}
		rest := strings.TrimPrefix(name, "INFERNET_")
		section, _, _ := strings.Cut(rest, "_") // others may have variables of their own
		if near := events.Near(rest, trimmed(known)); len(near) > 0 && (near[0] == rest+"S" || strings.HasPrefix(near[0], section+"_")) {
			return withHint(usage("%s sets nothing; is INFERNET_%s meant?", name, near[0]), "unset %s  # and set INFERNET_%s", name, near[0])
		}
	}
	return nil
}

func trimmed(names []string) (all []string) {
	for _, name := range names {
		all = append(all, strings.TrimPrefix(name, "INFERNET_"))
	}
	return all
}

// mend adds to an error how to mend a setting: where it comes from.
func (s *settings) mend(name string, err error) error {
	switch source := s.source[name]; source {
	case envName(name):
		return withHint(err, "unset %s", source)
	case s.file:
		return withHint(err, "%s", s.edit(lineOf(s.file, name)))
	}
	return err
}

// edit is the command that opens the config file at a line, 0 if it is not known.
func (s *settings) edit(line int) string {
	if line == 0 {
		return "${EDITOR:-vi} " + quoted(s.file)
	}
	return fmt.Sprintf("${EDITOR:-vi} +%d %s", line, quoted(s.file))
}

func or(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (s *settings) put(name, value, source string) { s.values[name], s.source[name] = value, source }

// flag sets what a flag says, if it is a setting's.
func (s *settings) flag(name, value string) {
	if slices.ContainsFunc(table, func(k setting) bool { return k.name == name }) {
		s.put(name, value, "flag")
	}
}

// check holds every value against its kind.
func (s *settings) check() error {
	for _, k := range table {
		if err := s.checkOne(k); err != nil {
			return s.mend(k.name, err)
		}
	}
	if _, err := s.policy(); err != nil {
		return err
	}
	return s.checkNotify()
}

// choices are the settings that can be one of a few words, or a list of them.
var choices = map[string][]string{
	"provide.pay": {events.PayPrepaid, events.PayHold, events.PaySealed, events.PayCredit},
	"run.pay":     {events.PayPrepaid, events.PayHold, events.PaySealed, events.PayFree},
	"run.way":     {consumer.Auction, consumer.Direct, consumer.Plain},

	"relay.metrics": {"local", "all", "off"}, "provide.metrics": {"local", "all", "off"}, "gateway.metrics": {"local", "all", "off"},
}

func (s *settings) checkOne(k setting) error {
	v := s.values[k.name]
	var err error
	switch k.kind {
	case "number":
		n, wrong := strconv.ParseInt(v, 10, 64)
		if err = wrong; err == nil && (n < 0 || n > int64(events.MaxMsat)) {
			return usage("%s (from %s): %d is out of bounds, 0 to %d", k.name, s.source[k.name], n, int64(events.MaxMsat))
		}
	case "list":
		for _, way := range s.list(k.name) {
			if ways := choices[k.name]; ways != nil && !slices.Contains(ways, way) {
				return usage("%s (from %s): %q is none of %s", k.name, s.source[k.name], way, strings.Join(ways, ", "))
			}
		}
	case "text":
		if some := choices[k.name]; some != nil && !slices.Contains(some, v) {
			return usage("%s (from %s): %q is none of %s", k.name, s.source[k.name], v, strings.Join(some, ", "))
		}
	case "duration":
		_, err = time.ParseDuration(v)
	case "yesno":
		_, err = strconv.ParseBool(v)
	case "file":
		if v != "" && (strings.Contains(v, "secret=") || bareMacaroon(v)) {
			return usage("%s (from %s) holds a secret; put the address into a file only you can read and set %s to file:/path of it", k.name, s.source[k.name], k.name)
		}
	}
	if err != nil {
		return usage("%s (from %s): %q is no %s", k.name, s.source[k.name], v, k.kind)
	}
	return nil
}

// bareMacaroon says whether a wallet's address holds a macaroon itself, rather than the path of its file.
func bareMacaroon(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return strings.Contains(address, "macaroon=")
	}
	macaroon := u.Query().Get("macaroon")
	return macaroon != "" && !strings.Contains(macaroon, "/")
}

func (s *settings) text(name string) string { return s.values[name] }

func (s *settings) list(name string) (items []string) {
	for _, item := range strings.Split(s.values[name], ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func (s *settings) number(name string) int64 {
	n, _ := strconv.ParseInt(s.values[name], 10, 64) // checked
	return n
}

func (s *settings) yes(name string) bool {
	yes, _ := strconv.ParseBool(s.values[name]) // checked
	return yes
}

func (s *settings) duration(name string) time.Duration {
	d, _ := time.ParseDuration(s.values[name]) // checked
	return d
}

// path is a file in the data folder.
func (s *settings) path(parts ...string) string {
	return filepath.Join(append([]string{s.text("data_dir")}, parts...)...)
}

// dataDirError says why the data folder cannot be made.
type dataDirError struct {
	error
	home string
}

func (e *dataDirError) Error() string { return "data folder: " + e.error.Error() }
func (e *dataDirError) Unwrap() error { return e.error }

// makeDataDir makes the data folder, for its owner only.
func (s *settings) makeDataDir() error {
	dir, home := s.text("data_dir"), s.home
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = canWrite(dir)
	}
	if err == nil {
		return nil
	}
	if filepath.Clean(dir) == filepath.Clean(home) { // the usual one is of no use
		home = "infernet-data"
	}
	return &dataDirError{err, home}
}
