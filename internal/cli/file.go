package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"infernet/events"
)

// readFile reads the config file: TOML, whose tables and keys are the names of settings.
func (s *settings) readFile() error {
	var tree map[string]any
	if _, err := toml.DecodeFile(s.file, &tree); err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return withHint(usage("%s, line %d: %s", s.file, parse.Position.Line, cell(parse.Message)), "%s", s.edit(parse.Position.Line))
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
			return withHint(usage("%s: provide.prices.%q wants base, in, out and ms", s.file, model), "%s", s.edit(0))
		}
		for part := range parts {
			if !slices.Contains([]string{"base", "in", "out", "ms"}, part) {
				return withHint(usage("%s: provide.prices.%q: there is no %s, only base, in, out and ms", s.file, model, part), "%s", s.edit(0))
			}
		}
		var p events.Price
		for part, to := range map[string]*events.Msat{"base": &p.Base, "in": &p.In, "out": &p.Out, "ms": &p.Ms} {
			n, ok := parts[part].(int64)
			if _, there := parts[part]; there && (!ok || n < 0) {
				return withHint(usage("%s: provide.prices.%q: %s is no number of msat", s.file, model, part), "%s", s.edit(0))
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
			near := meant(name, names())
			if slices.Contains(names(), name+"s") {
				near = "; is " + name + "s meant?"
			}
			at := lineOf(s.file, name)
			return withHint(usage("%s, line %d: unknown setting %q%s", s.file, at, name, near), "%s", s.edit(at))
		}
	}
	return nil
}

// lineOf finds the line where a file says something about a setting, for people; 0 if it cannot tell.
func lineOf(file, name string) int {
	body, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	table := ""
	for i, line := range strings.Split(string(body), "\n") {
		line = strings.TrimSpace(line)
		if inner, ok := strings.CutPrefix(line, "["); ok {
			table = strings.Trim(inner[:max(0, strings.LastIndex(inner, "]"))], "[] ") + "."
			continue
		}
		key, _, ok := strings.Cut(line, "=")
		if ok && table+strings.Trim(key, " \"'\t") == name {
			return i + 1
		}
	}
	return 0
}

func meant(name string, have []string) string {
	if near := events.Near(name, have); len(near) > 0 {
		return "; is " + strings.Join(near, " or ") + " meant?"
	}
	return ""
}
