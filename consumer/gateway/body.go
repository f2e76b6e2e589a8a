package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"infernet/events"
)

// body is a request's JSON object. What is read is taken out; what is left at the end are fields that this gateway does not
// know, and that travel as they are.
type body map[string]json.RawMessage

// readBody reads a request's body.
func readBody(r *http.Request) (b body, err error) {
	raw, err := io.ReadAll(r.Body)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, &failure{Status: http.StatusRequestEntityTooLarge, Type: invalidRequest, Code: "context_length_exceeded",
			Message: fmt.Sprintf("the request is larger than %d bytes", large.Limit)}
	}
	if err != nil {
		return nil, &failure{Status: http.StatusBadRequest, Type: invalidRequest, Message: "the request's body did not come"}
	}
	if err := json.Unmarshal(raw, &b); err != nil || b == nil {
		why := "it is no object"
		if err != nil {
			why = err.Error()
		}
		return nil, &failure{Status: http.StatusBadRequest, Type: invalidRequest, Code: "invalid_json", Message: "the request's body is no JSON object: " + why}
	}
	for name, value := range b {
		if string(value) == "null" {
			delete(b, name)
		}
	}
	return b, nil
}

// read takes a field out into to; false if it is not there.
func (b body) read(name string, to any) (bool, error) {
	raw, ok := b[name]
	if !ok {
		return false, nil
	}
	delete(b, name)
	if err := json.Unmarshal(raw, to); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return false, invalid(name, "%s is a %s, not a %s", name, kind.Value, kind.Type)
		}
		return false, invalid(name, "%s: %v", name, err)
	}
	return true, nil
}

// options takes the field infernet, and what headers say.
func (b body) options(h http.Header) (Options, error) {
	raw := b["infernet"]
	delete(b, "infernet")
	return optionsOf(h, raw)
}

// quiet are fields that steer OpenAI's own service, and mean nothing here: they stay here.
var quiet = []string{
	"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "parallel_tool_calls", "prediction",
}

// harmless says which values of a field ask for nothing.
var asksNothing = map[string][]string{
	"tools": {"[]"}, "functions": {"[]"}, "tool_choice": {`"none"`, `"auto"`}, "function_call": {`"none"`, `"auto"`},
	"logprobs": {"false", "0"}, "top_logprobs": {"0"}, "logit_bias": {"{}"}, "n": {"1"}, "best_of": {"1"}, "echo": {"false"}, "suffix": {`""`},
	"modalities": {`["text"]`}, "audio": nil, "web_search_options": nil,
}

var whyNot = map[string]string{
	"tools": "completions call no tools; chats do", "functions": "functions have another name by now; tools are carried",
	"tool_choice": "completions call no tools; chats do", "function_call": "functions have another name by now; tools are carried",
	"logprobs": "nodes give text, and no probabilities", "top_logprobs": "nodes give text, and no probabilities", "logit_bias": "no node takes it",
	"n": "each job has one answer; send the request again for another", "best_of": "each job has one answer", "echo": "answers do not repeat the prompt",
	"suffix": "text is only continued", "modalities": "chats are of text", "audio": "chats are of text", "web_search_options": "nodes do not search",
}

// refuseWhatIsNotCarried refuses what would silently be left out.
func (b body) refuseWhatIsNotCarried() error {
	for _, name := range quiet {
		delete(b, name)
	}
	for _, name := range slices.Sorted(maps.Keys(asksNothing)) {
		raw, ok := b[name]
		if !ok {
			continue
		}
		if !slices.Contains(asksNothing[name], string(raw)) {
			return notCarried(name, whyNot[name])
		}
		delete(b, name)
	}
	return nil
}

// paramName is how a parameter of a job may be called.
var paramName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)

// maxUnknown is how long the value of a field may be that this gateway does not know, in bytes.
const maxUnknown = 4096

// params puts what is left into the job, as parameters of their names.
func (b body) params(w *wish) error {
	kind := events.Kinds[w.order.Kind]
	for _, name := range slices.Sorted(maps.Keys(b)) {
		raw := b[name]
		if !paramName.MatchString(name) {
			return invalid(name, "%.80q is no name of a parameter", name)
		}
		if slices.Contains([]string{"model", "messages", "system", "stream"}, name) {
			return invalid(name, "%s is not taken here", name)
		}
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			text = string(raw)
			if kind.Takes(name) { // as the market writes numbers
				if n, err := strconv.ParseFloat(text, 64); err == nil {
					text = strconv.FormatFloat(n, 'f', -1, 64)
				}
			}
		}
		if len(text) > maxUnknown {
			return invalid(name, "%s has %d bytes; at most %d of a field that is not known here travel", name, len(text), maxUnknown)
		}
		w.set(name, text)
	}
	return nil
}

// stops reads the field stop: a text or several.
func (b body) stops() (all []string, err error) {
	raw, ok := b["stop"]
	if !ok {
		return nil, nil
	}
	delete(b, "stop")
	var one string
	if json.Unmarshal(raw, &one) == nil {
		all = []string{one}
	} else if err := json.Unmarshal(raw, &all); err != nil {
		return nil, invalid("stop", "stop is neither a text nor an array of texts")
	}
	all = slices.DeleteFunc(all, func(s string) bool { return s == "" })
	if len(all) > 16 {
		return nil, invalid("stop", "stop has %d texts, at most 16 are taken", len(all))
	}
	for _, s := range all {
		if len(s) > 256 {
			return nil, invalid("stop", "a text of stop has %d bytes, at most 256 are taken", len(s))
		}
	}
	return all, nil
}

// mostOut is the most tokens out of a job: what it asks for, else what its kind gives.
func mostOut(w *wish) int64 {
	if n, ok := w.order.Params.Int("max_tokens"); ok {
		return n
	}
	return events.Kinds[w.order.Kind].OutUnit
}

// ending is why a text ended, as far as can be known: nodes do not say, but a text as long as was allowed was cut.
func ending(w *wish, u events.Usage) string {
	if most := mostOut(w); most > 0 && u.Out >= most {
		return "length"
	}
	return "stop"
}

func joined(parts []string) string { return strings.Join(parts, "") }
