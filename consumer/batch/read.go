package batch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"infernet/consumer"
	"infernet/events"
)

// Item is one line of a batch.
type Item struct {
	Line int    // from 1
	ID   string // custom_id; the line's number where lines are prompts
	Raw  string // the line
}

// Request is one line, read: what it buys, and how its answer is written.
type Request interface {
	Order() consumer.Order
	// Answer is what the API would have answered. status is that of HTTP.
	Answer(d *consumer.Delivery) (status int, body any, err error)
	// Failure is what the API would have answered instead.
	Failure(err error) (status int, body any)
}

// API reads a request of the API at a path, as /v1/chat/completions. base is what its order begins with.
type API func(path string, body json.RawMessage, base consumer.Order) (Request, error)

// LineError says which line cannot be bought.
type LineError struct {
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }
func (e *LineError) Unwrap() error { return e.Err }

// Bounds of a file.
const (
	MaxLine  = 1 << 20 // bytes
	MaxLines = 1_000_000
)

// line is a line of OpenAI's batch format.
type line struct {
	ID     string          `json:"custom_id"`
	Method string          `json:"method"`
	URL    string          `json:"url"`
	Body   json.RawMessage `json:"body"`
}

// Read reads a file: lines of OpenAI's batch format if the first begins with {, else one prompt a line. Every line is held
// against what its job may be; the first that cannot be is told by its number (*LineError), and nothing is bought. Empty
// lines are left out.
func Read(r io.Reader, base consumer.Order, api API) (items []Item, plain bool, err error) {
	lines := bufio.NewReaderSize(r, 64<<10)
	ids := map[string]int{}
	for n := 1; ; n++ {
		raw, err := readLine(lines)
		if errors.Is(err, io.EOF) && len(raw) == 0 {
			break
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, plain, &LineError{n, err}
		}
		text := strings.TrimRight(string(raw), "\r\n")
		if n == 1 {
			text = strings.TrimPrefix(text, "\ufeff")
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		if len(items) == 0 {
			plain = !strings.HasPrefix(strings.TrimSpace(text), "{")
		}
		it := Item{Line: n, ID: strconv.Itoa(n), Raw: text}
		if !utf8.ValidString(text) {
			return nil, plain, &LineError{n, errors.New("it is no text (UTF-8)")}
		}
		if !plain {
			var l line
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				return nil, plain, &LineError{n, fmt.Errorf("it is no JSON object: %w", err)}
			}
			if it.ID = l.ID; l.ID == "" {
				return nil, plain, &LineError{n, errors.New("custom_id is missing")}
			}
			if first, again := ids[l.ID]; again {
				return nil, plain, &LineError{n, fmt.Errorf("custom_id %.40q is that of line %d, too", l.ID, first)}
			}
			ids[l.ID] = n
		}
		if _, err := it.request(plain, base, api); err != nil {
			return nil, plain, &LineError{n, err}
		}
		if items = append(items, it); len(items) > MaxLines {
			return nil, plain, fmt.Errorf("the file has more than %d lines", MaxLines)
		}
	}
	if len(items) == 0 {
		return nil, plain, errors.New("the file has no lines")
	}
	return items, plain, nil
}

// readLine reads a line with its end, of no more than MaxLine bytes.
func readLine(r *bufio.Reader) ([]byte, error) {
	var all []byte
	for {
		part, err := r.ReadSlice('\n')
		if all = append(all, part...); len(all) > MaxLine {
			return nil, fmt.Errorf("it has more than %d bytes", MaxLine)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return all, err
		}
	}
}

// request reads the line again: what it says is what it was when the batch was made.
func (it Item) request(plain bool, base consumer.Order, api API) (Request, error) {
	if plain {
		return newPrompt(it, base)
	}
	var l line
	if err := json.Unmarshal([]byte(it.Raw), &l); err != nil {
		return nil, err
	}
	switch {
	case l.Method != "" && l.Method != "POST":
		return nil, fmt.Errorf("method %.20q: only POST buys anything", l.Method)
	case l.URL == "":
		return nil, errors.New("url is missing, as /v1/chat/completions")
	case !bytes.HasPrefix(bytes.TrimSpace(l.Body), []byte("{")):
		return nil, errors.New("body is missing, or no object")
	}
	r, err := api(l.URL, l.Body, base)
	if err != nil {
		return nil, err
	}
	return r, check(r.Order())
}

// check holds an order against its kind.
func check(o consumer.Order) error {
	kind, ok := events.Kinds[o.Kind]
	if !ok {
		return fmt.Errorf("kind %d is not known here", o.Kind)
	}
	return kind.Check(&events.Request{Kind: o.Kind, Inputs: o.Inputs, Params: o.Params})
}

// prompt is a line that is a prompt.
type prompt struct {
	line  int
	order consumer.Order
}

func newPrompt(it Item, base consumer.Order) (*prompt, error) {
	base.Inputs = append(append([]events.Input{}, base.Inputs...), events.Input{Value: it.Raw, Type: "text"})
	if size := len(it.Raw); size > events.MaxEncrypted {
		return nil, fmt.Errorf("the prompt has %d bytes, at most %d travel", size, events.MaxEncrypted)
	}
	return &prompt{it.Line, base}, check(base)
}

func (p *prompt) Order() consumer.Order { return p.order }

func (p *prompt) Answer(d *consumer.Delivery) (int, any, error) { return 200, d.Text, nil }

func (p *prompt) Failure(err error) (int, any) { return 500, err.Error() }
