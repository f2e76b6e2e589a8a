package completions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"syscall"

	"infernet/engine"
)

// errNoEndpoint says that the server lacks a part of the API.
var errNoEndpoint = errors.New("no such endpoint")

// failure is the error object of the API. Servers fill it very differently.
type failure struct {
	Message string `json:"message"`
	Type    string `json:"type"`
	Param   any    `json:"param"`
	Code    any    `json:"code"` // a number or a word
}

// UnmarshalJSON also takes a bare string, as some servers send.
func (f *failure) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &f.Message) == nil {
		return nil
	}
	type plain failure
	return json.Unmarshal(data, (*plain)(f))
}

// Lost maps a broken connection: the caller's end comes first, all else is the server's absence.
func (c *Client) Lost(ctx context.Context, doing string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var dial *url.Error
	if errors.As(err, &dial) {
		err = dial.Err // without the address twice
	}
	if number := syscall.Errno(0); errors.As(err, &number) { // nor the chain of those who dialled
		err = number
	}
	return fmt.Errorf("%w: %s %s: %w", engine.ErrUnavailable, doing, c.name, err)
}

// refused maps an answer that is not 200.
func (c *Client) refused(status int, body []byte) error {
	var said struct {
		Error   failure `json:"error"`
		Message string  `json:"message"` // vLLM and FastAPI
		Detail  any     `json:"detail"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		said.Message = string(body)
	}
	f := said.Error
	if f.Message == "" {
		f.Message = said.Message
	}
	if f.Message == "" && said.Detail != nil {
		f.Message = fmt.Sprint(said.Detail)
	}
	return c.failed(status, f)
}

// The parameter that a message names: llama-server writes Field 'x', vLLM loc body x, others quote it.
var named = regexp.MustCompile("(?i)(?:field|parameter|param|argument)s?:? ['\"`]([a-z_]{2,32})['\"`]")

// Failed is the engine's error for what a server said in the middle of a stream.
func (c *Client) Failed(message string) error {
	return c.failed(http.StatusInternalServerError, failure{Message: message})
}

// failed maps an error object, of a status or in the middle of a stream, to the engine's errors.
func (c *Client) failed(status int, f failure) error {
	text := clip(f.Message, 300)
	if text == "" {
		text = http.StatusText(status)
	}
	what := strings.ToLower(f.Message + " " + f.Type + " " + fmt.Sprint(f.Code))
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(what, w) {
				return true
			}
		}
		return false
	}
	switch {
	case status == http.StatusRequestEntityTooLarge,
		has("exceed_context_size", "context_length_exceeded", "context length", "context size", "context window", "too large to process", "input is too large"):
		return fmt.Errorf("%w: %s says: %s", engine.ErrTooLarge, c.name, text)
	case has("model_not_found"), status == http.StatusNotFound && has("model"):
		return fmt.Errorf("%w: %s says: %s", engine.ErrUnknownModel, c.name, text)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		// the server's own words may repeat the key
		return fmt.Errorf("%w: %s refuses the API key (status %d); add ?key_file=/path/of/the/key to the engine's address", engine.ErrUnavailable, c.name, status)
	case status == http.StatusNotFound, status == http.StatusMethodNotAllowed, status == http.StatusNotImplemented:
		return fmt.Errorf("%w: %w: %s answered %d: %s", engine.ErrUnavailable, errNoEndpoint, c.name, status, text)
	case status == http.StatusBadRequest, status == http.StatusUnprocessableEntity:
		param, _ := f.Param.(string)
		if m := named.FindStringSubmatch(f.Message); param == "" && m != nil {
			param = m[1]
		}
		if param == "" {
			param = "request"
		}
		return &engine.InvalidError{Param: param, Reason: text}
	}
	return fmt.Errorf("%w: %s answered %d: %s", engine.ErrUnavailable, c.name, status, text)
}

// clip makes a foreign text one line of at most n bytes.
func clip(text string, n int) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > n {
		return strings.ToValidUTF8(text[:n], "") + "…"
	}
	return strings.ToValidUTF8(text, "�")
}
