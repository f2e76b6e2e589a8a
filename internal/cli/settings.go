package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/spf13/pflag"

	"infernet/events"
)

type flagType = pflag.Flag

// setting is one thing that can be set: in the file under its name, in the environment as INFERNET_ and its name in
// capitals with _ for a dot, by a flag of the commands that use it.
type setting struct {
	name     string
	standard string
	kind     string // text, list, number, duration, file
	about    string
}

// table is every setting there is.
var table = []setting{
	{"data_dir", "", "text", "folder for keys, ledgers and events"},
	{"relays", "ws://127.0.0.1:3000", "list", "relays where jobs are bought and sold"},
	{"wallet", "", "file", "wallet to pay from: file:/path of a file that holds its address"},
	{"log.level", "warn", "text", "debug, info, warn or error"},
	{"relay.listen", "127.0.0.1:3000", "text", "address the relay listens on"},
	{"relay.name", "infernet relay", "text", "the relay's name"},
	{"relay.url", "", "text", "the relay's address as clients know it, behind a proxy"},
	{"relay.private_jobs", "false", "text", "show encrypted jobs only to their two parties"},
	{"provide.engine", "", "text", "engine that does the jobs; found if unset"},
	{"provide.name", "", "text", "the node's name; the machine's if unset"},
	{"provide.about", "", "text", "a line about the node"},
	{"provide.wallet", "", "file", "wallet to be paid into: file:/path of a file that holds its address"},
	{"provide.slots", "0", "number", "jobs at once; what the engine can if 0"},
	{"provide.pay", "", "list", "ways to be paid: prepaid, sealed"},
	{"provide.price.base", "1000", "number", "msat for each job"},
	{"provide.price.in", "20000", "number", "msat for 1000 units in"},
	{"provide.price.out", "60000", "number", "msat for 1000 units out"},
	{"provide.price.ms", "0", "number", "msat for 1000 milliseconds of work"},
	{"run.model", "", "text", "model to ask for"},
	{"run.max_cost", "100", "number", "most satoshi that one job may cost"},
	{"run.way", "auction", "text", "auction, direct or plain"},
	{"run.pay", "", "list", "ways to pay, preferred first: prepaid, sealed"},
	{"run.window", "1s", "duration", "how long an auction collects offers"},
	{"run.deadline", "5m", "duration", "how long a job may take"},
}

// settings are the values in force, and where each came from.
type settings struct {
	file   string
	values map[string]string
	source map[string]string
	prices map[string]events.Price // provide.prices.<model>
	bad    []error
}

// loadSettings reads defaults, the file and the environment; flags come last.
func loadSettings(env func(string) string, file string) (*settings, error) {
	s := &settings{values: map[string]string{}, source: map[string]string{}, prices: map[string]events.Price{}}
	for _, k := range table {
		s.put(k.name, k.standard, "default")
	}
	home := env("HOME")
	s.put("data_dir", filepath.Join(or(env("XDG_DATA_HOME"), filepath.Join(home, ".local/share")), "infernet"), "default")
	wanted := file != "" || env("INFERNET_CONFIG") != ""
	s.file = or(file, env("INFERNET_CONFIG"), filepath.Join(or(env("XDG_CONFIG_HOME"), filepath.Join(home, ".config")), "infernet", "config.toml"))
	if err := s.readFile(); err != nil && (!errors.Is(err, fs.ErrNotExist) || file != "" && wanted) {
		return nil, err
	}
	for _, k := range table {
		if v := env(envName(k.name)); v != "" {
			s.put(k.name, v, envName(k.name))
		}
	}
	return s, nil
}

func envName(setting string) string {
	return "INFERNET_" + strings.ToUpper(strings.ReplaceAll(setting, ".", "_"))
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

func (s *settings) readFile() error {
	var tree map[string]any
	if _, err := toml.DecodeFile(s.file, &tree); err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return usage("%s, line %d: %s", s.file, parse.Position.Line, parse.Message)
		}
		return err
	}
	if err := s.readPrices(tree); err != nil {
		return err
	}
	return s.readTree("", tree)
}

// readPrices takes out [provide.prices."model"].
func (s *settings) readPrices(tree map[string]any) error {
	provide, _ := tree["provide"].(map[string]any)
	prices, ok := provide["prices"].(map[string]any)
	if !ok {
		return nil
	}
	delete(provide, "prices")
	for model, v := range prices {
		parts, ok := v.(map[string]any)
		if !ok {
			return usage("%s: provide.prices.%q wants base, in, out, ms", s.file, model)
		}
		var p events.Price
		for part, to := range map[string]*events.Msat{"base": &p.Base, "in": &p.In, "out": &p.Out, "ms": &p.Ms} {
			n, ok := parts[part].(int64)
			if _, there := parts[part]; there && (!ok || n < 0) {
				return usage("%s: provide.prices.%q: %s is no number of msat", s.file, model, part)
			}
			*to = events.Msat(n)
		}
		s.prices[strings.ToLower(model)] = p
	}
	return nil
}

func (s *settings) readTree(prefix string, tree map[string]any) error {
	for key, v := range tree {
		name := prefix + key
		switch v := v.(type) {
		case map[string]any:
			if err := s.readTree(name+".", v); err != nil {
				return err
			}
			continue
		case []any:
			var list []string
			for _, item := range v {
				list = append(list, fmt.Sprint(item))
			}
			s.put(name, strings.Join(list, ","), s.file)
		default:
			s.put(name, fmt.Sprint(v), s.file)
		}
		if !slices.ContainsFunc(table, func(k setting) bool { return k.name == name }) {
			return usage("%s: unknown setting %q%s", s.file, name, meant(name, names()))
		}
	}
	return nil
}

func names() (all []string) {
	for _, k := range table {
		all = append(all, k.name)
	}
	return all
}

func meant(name string, have []string) string {
	if near := events.Near(name, have); len(near) > 0 {
		return "; is " + strings.Join(near, " or ") + " meant?"
	}
	return ""
}

// check holds every value against its kind.
func (s *settings) check() error {
	for _, k := range table {
		v := s.values[k.name]
		var err error
		switch k.kind {
		case "number":
			_, err = strconv.ParseInt(v, 10, 64)
		case "duration":
			_, err = time.ParseDuration(v)
		case "file":
			if v != "" && strings.Contains(v, "secret=") {
				return usage("%s (from %s) holds a secret; put the address into a file only you can read and set %s to file:/path of it", k.name, s.source[k.name], k.name)
			}
		}
		if err != nil {
			return usage("%s (from %s): %q is no %s", k.name, s.source[k.name], v, k.kind)
		}
	}
	return nil
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

func (s *settings) duration(name string) time.Duration {
	d, _ := time.ParseDuration(s.values[name]) // checked
	return d
}

// path is a file in the data folder.
func (s *settings) path(parts ...string) string {
	return filepath.Join(append([]string{s.text("data_dir")}, parts...)...)
}

// makeDataDir makes the data folder, for its owner only.
func (s *settings) makeDataDir() error {
	if err := os.MkdirAll(s.text("data_dir"), 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return nil
}
