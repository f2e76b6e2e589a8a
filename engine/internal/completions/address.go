package completions

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"infernet/events"
)

// Form is how the address of a running server is written: name+http://host:port/path?options.
type Form struct {
	Example string                              // stands in an error
	Path    string                              // where the API is, if the address does not say
	Own     map[string]func(value string) error // options beside key_file, kinds and slots
}

// Parse reads an address. scheme is what follows the +: http or https.
func (f Form) Parse(u *url.URL, scheme string) (Config, Options, error) {
	shown := u.Redacted()
	if (scheme != "http" && scheme != "https") || u.Host == "" {
		return Config{}, Options{}, fmt.Errorf("engine %s: no address of a server, such as %s", shown, f.Example)
	}
	if u.User != nil {
		return Config{}, Options{}, fmt.Errorf("engine %s: a key in the address would show in logs; put it into a file and add ?key_file=/path/of/the/file", shown)
	}
	base := &url.URL{Scheme: scheme, Host: u.Host, Path: strings.TrimSuffix(u.Path, "/")}
	if base.Path == "" {
		base.Path = f.Path
	}
	config, opts := Config{Base: base}, Options{}
	for name, values := range u.Query() {
		value, err := values[0], error(nil)
		switch own := f.Own[name]; {
		case own != nil:
			err = own(value)
		case name == "key_file":
			config.Key, err = readKey(value)
		case name == "kinds":
			opts.Kinds, err = ParseKinds(value)
		case name == "slots":
			if opts.Slots, err = strconv.Atoi(value); err == nil && opts.Slots < 1 {
				err = errors.New("at least 1")
			}
		default:
			known := append([]string{"key_file", "kinds", "slots"}, slices.Sorted(maps.Keys(f.Own))...)
			err = fmt.Errorf("no such option; there are %s", strings.Join(known, ", "))
		}
		if err != nil {
			return Config{}, Options{}, fmt.Errorf("engine %s: option %s: %w", shown, name, err)
		}
	}
	return config, opts, nil
}

// readKey reads an API key: the file's first line.
func readKey(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read the API key: %w", err)
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(data)), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return line, nil
}

// ParseKinds reads a list of job kinds, such as 5050,5001: those that this package serves.
func ParseKinds(list string) ([]int, error) {
	var kinds []int
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q is no number of a job kind", word)
		case events.Kinds[n].Number != n:
			return nil, fmt.Errorf("%d is no kind of job; there are %v", n, slices.Sorted(maps.Keys(events.Kinds)))
		}
		kinds = append(kinds, n)
	}
	return kinds, nil
}
