package events

import (
	"strconv"
	"strings"
)

// Param is one `param` tag: a name and its values.
type Param struct {
	Name   string
	Values []string
}

// Params are a request's parameters, in the order they were written.
type Params []Param

// Lookup gives the first value of a parameter.
func (p Params) Lookup(name string) (value string, ok bool) {
	for _, param := range p {
		if param.Name == name && len(param.Values) > 0 {
			return param.Values[0], true
		}
	}
	return "", false
}

// Text gives the first value of a parameter, or "".
func (p Params) Text(name string) string {
	value, _ := p.Lookup(name)
	return value
}

// Int gives a parameter as a whole number; ok is false if it is missing or none.
func (p Params) Int(name string) (n int64, ok bool) {
	value, ok := p.Lookup(name)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(value, 10, 64)
	return n, err == nil
}

// Float gives a parameter as a number; ok is false if it is missing or none.
func (p Params) Float(name string) (f float64, ok bool) {
	value, ok := p.Lookup(name)
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(value, 64)
	return f, err == nil
}

// Bool says whether a parameter is "true".
func (p Params) Bool(name string) bool { return strings.EqualFold(p.Text(name), "true") }
