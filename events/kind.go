package events

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Kind is one kind of job: what goes in, which parameters it takes, what it is counted in and what comes out.
type Kind struct {
	Number  int
	Name    string // one or two words, as people say it
	Alt     string // the `alt` of its requests
	Inputs  Inputs
	Params  []ParamSpec
	Unit    string   // what In and Out of a Usage count
	Outputs []string // MIME types; the first is the default
	OutUnit int64    // most units out when the request does not say
	Own     bool     // the node itself answers, no engine
}

// Inputs says which inputs a kind takes.
type Inputs struct {
	Min, Max int
	Types    []string
	Reads    string // what files among them hold: ReadsText or ReadsSound
}

// What the files hold that a kind reads. A node may know more; what it cannot read it refuses with INVALID_PARAMETER.
const (
	ReadsText  = "text" // UTF-8, without a zero byte
	ReadsSound = "sound"
)

// ParamType is how a parameter's value reads.
type ParamType string

// Types of parameters.
const (
	ParamText  ParamType = "text"
	ParamInt   ParamType = "int"
	ParamFloat ParamType = "float"
	ParamBool  ParamType = "bool"
	ParamJSON  ParamType = "json"
	ParamSize  ParamType = "size" // width and height, as in 1024x768
)

// ParamSpec is one parameter of a kind.
type ParamSpec struct {
	Name     string
	Type     ParamType
	Min, Max float64 // of numbers, and of both sides of a size; both 0: no bounds
	Values   []string
	MaxLen   int // bytes of text and JSON; 0 means 256
	About    string
}

// Kinds are the kinds of jobs there are, by number. Adding one means a file kind_….go and a line here.
var Kinds = map[int]Kind{
	KindTranscription: kindTranscription,
	KindSummary:       kindSummary,
	KindTranslation:   kindTranslation,
	KindText:          kindText,
	KindImage:         kindImage,
	KindSpeech:        kindSpeech,
	KindEmbeddings:    kindEmbeddings,
	KindRendering:     kindRendering,
	KindBatch:         kindBatch,
	KindAccount:       kindAccount,
}

// Sold are the numbers of the kinds that engines do, in order.
func Sold() (numbers []int) {
	for n, k := range Kinds {
		if !k.Own {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers
}

// ParamError says which parameter or input of a request its kind refuses, and why. It becomes INVALID_PARAMETER.
type ParamError struct{ Param, Reason string }

func (e *ParamError) Error() string { return e.Param + ": " + e.Reason }

// ResultKind is the kind of the job's result (NIP-90).
func (k Kind) ResultKind() int { return k.Number + 1000 }

// Check holds a request against its kind's table. The error is a *ParamError. Unknown parameters are allowed: plain
// clients send many.
func (k Kind) Check(m *Request) error {
	if n := len(m.Inputs); n > k.Inputs.Max || (n < k.Inputs.Min && !m.Sizes()) {
		return &ParamError{"i", fmt.Sprintf("%s takes %d to %d inputs, this job has %d", k.Name, k.Inputs.Min, k.Inputs.Max, n)}
	}
	for _, in := range m.Inputs {
		if !slices.Contains(k.Inputs.Types, in.Type) {
			return &ParamError{"i", fmt.Sprintf("%s takes inputs of type %s, not %s", k.Name, strings.Join(k.Inputs.Types, ", "), in.Type)}
		}
	}
	if m.Output != "" && !slices.Contains(k.Outputs, m.Output) {
		return &ParamError{"output", fmt.Sprintf("%s gives %s, not %s", k.Name, strings.Join(k.Outputs, ", "), quote(m.Output))}
	}
	seen := map[string]bool{}
	for _, p := range m.Params {
		i := slices.IndexFunc(k.Params, func(s ParamSpec) bool { return s.Name == p.Name })
		if i < 0 {
			continue
		}
		if seen[p.Name] {
			return &ParamError{p.Name, "stands twice"}
		}
		seen[p.Name] = true
		if err := k.Params[i].check(p); err != nil {
			return err
		}
	}
	return nil
}

// Sizes says whether the request only declares its size: the input comes with an order.
func (m *Request) Sizes() bool { return len(m.Inputs) == 0 && m.SizeIn > 0 }

func (s ParamSpec) check(p Param) error {
	if len(p.Values) == 0 {
		return &ParamError{s.Name, "has no value"}
	}
	value := p.Values[0]
	switch s.Type {
	case ParamInt, ParamFloat:
		n, err := strconv.ParseFloat(value, 64)
		if err == nil && s.Type == ParamInt { // as Params.Int will read it: not 1e3, not 5.0
			_, err = strconv.ParseInt(value, 10, 64)
		}
		if err != nil || strings.Trim(value, "-.0123456789eE") != "" || math.IsNaN(n) || math.IsInf(n, 0) {
			return &ParamError{s.Name, fmt.Sprintf("%s is no %s", quote(value), map[ParamType]string{ParamInt: "whole number", ParamFloat: "number"}[s.Type])}
		}
		if (s.Min != 0 || s.Max != 0) && (n < s.Min || n > s.Max) {
			return &ParamError{s.Name, fmt.Sprintf("%s is out of bounds, %g to %g", value, s.Min, s.Max)}
		}
	case ParamBool:
		if value != "true" && value != "false" {
			return &ParamError{s.Name, fmt.Sprintf("%s is neither true nor false", quote(value))}
		}
	case ParamSize:
		if _, _, err := ParseSize(value); err != nil {
			return &ParamError{s.Name, err.Error()}
		}
		for side := range strings.SplitSeq(value, "x") {
			if n, _ := strconv.ParseFloat(side, 64); n < s.Min || n > s.Max {
				return &ParamError{s.Name, fmt.Sprintf("%s is out of bounds, %g to %g on each side", value, s.Min, s.Max)}
			}
		}
	default:
		limit := s.MaxLen
		if limit == 0 {
			limit = 256
		}
		if len(value) > limit {
			return &ParamError{s.Name, fmt.Sprintf("%d bytes, at most %d", len(value), limit)}
		}
	}
	if len(s.Values) > 0 && !slices.Contains(s.Values, value) {
		return &ParamError{s.Name, fmt.Sprintf("%s is none of %s", quote(value), strings.Join(s.Values, ", "))}
	}
	return nil
}

// ParseSize reads a size in pixels, such as 1024x768.
func ParseSize(value string) (width, height int, err error) {
	w, h, _ := strings.Cut(value, "x")
	width, errW := strconv.Atoi(w)
	height, errH := strconv.Atoi(h)
	if errW != nil || errH != nil || width < 1 || height < 1 {
		return 0, 0, fmt.Errorf("%s is no size such as 1024x768", quote(value))
	}
	return width, height, nil
}

// GivesText says whether the kind's results are text, not files.
func (k Kind) GivesText() bool {
	return strings.HasPrefix(k.Outputs[0], "text/") || k.Outputs[0] == "application/json"
}

// Takes says whether the kind has a parameter.
func (k Kind) Takes(param string) bool {
	return slices.ContainsFunc(k.Params, func(s ParamSpec) bool { return s.Name == param })
}

// Parameters that every kind of text job takes.
var textParams = []ParamSpec{
	{Name: "model", Type: ParamText, About: "model id; any model if missing"},
	{Name: "max_tokens", Type: ParamInt, Min: 1, Max: 131072, About: "most tokens out"},
	{Name: "temperature", Type: ParamFloat, Min: 0, Max: 2, About: "0 is the most likely text"},
	{Name: "top_k", Type: ParamInt, Min: 0, Max: 1000, About: "only the k most likely tokens; 0 is all"},
	{Name: "top_p", Type: ParamFloat, Min: 0, Max: 1, About: "only the most likely tokens that add up to p"},
	{Name: "frequency_penalty", Type: ParamFloat, Min: -2, Max: 2, About: "less of what was said often"},
	{Name: "presence_penalty", Type: ParamFloat, Min: -2, Max: 2, About: "less of what was said at all"},
	{Name: "seed", Type: ParamInt, Min: -1, Max: 1 << 53, About: "same seed, same engine: same text"},
	{Name: "stop", Type: ParamText, About: "text that ends the output"},
	{Name: "stream", Type: ParamBool, About: "send chunks while the result is made"},
}
