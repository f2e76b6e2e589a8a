package batch

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"infernet/consumer"
	"infernet/events"
)

// fake reads requests that are a prompt.
func fake(path string, body json.RawMessage, base consumer.Order) (Request, error) {
	var b struct{ Prompt string }
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, err
	}
	if path != "/v1/completions" {
		return nil, fmt.Errorf("url %s", path)
	}
	return newPrompt(Item{Raw: b.Prompt}, base)
}

// TestBrokenLinesAreTold reads files with one line that cannot be bought: it is told by its number.
func TestBrokenLinesAreTold(t *testing.T) {
	good := `{"custom_id":"%d","url":"/v1/completions","body":{"prompt":"x"}}` + "\n"
	base := consumer.Order{Kind: events.KindText}
	for _, c := range []struct{ line, says string }{
		{`{"custom_id":"3"`, "no JSON object"},
		{`[]`, "no JSON object"},
		{`just a prompt`, "no JSON object"},
		{`{"url":"/v1/completions","body":{"prompt":"x"}}`, "custom_id is missing"},
		{`{"custom_id":"1","url":"/v1/completions","body":{"prompt":"x"}}`, "is that of line 1, too"},
		{`{"custom_id":"3","body":{"prompt":"x"}}`, "url is missing"},
		{`{"custom_id":"3","url":"/v1/else","body":{"prompt":"x"}}`, "url /v1/else"},
		{`{"custom_id":"3","url":"/v1/completions"}`, "body is missing"},
		{`{"custom_id":"3","url":"/v1/completions","body":[]}`, "body is missing"},
		{`{"custom_id":"3","method":"GET","url":"/v1/completions","body":{"prompt":"x"}}`, "only POST"},
		{`{"custom_id":"3","url":"/v1/completions","body":{"prompt":"` + strings.Repeat("x", events.MaxEncrypted+1) + `"}}`, "at most"},
		{`{"custom_id":"3","url":"/v1/completions","body":{"prompt":"` + strings.Repeat("x", MaxLine) + `"}}`, "more than 1048576 bytes"},
		{"{\"custom_id\":\"\xff\"}", "no text (UTF-8)"},
	} {
		file := fmt.Sprintf(good, 1) + "\n" + c.line + "\n" + fmt.Sprintf(good, 4)
		_, _, err := Read(strings.NewReader(file), base, fake)
		var broken *LineError
		if !errors.As(err, &broken) || broken.Line != 3 || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.60s: %v, want line 3 and %q", c.line, err, c.says)
		}
	}
	if _, _, err := Read(strings.NewReader("\n \n"), base, fake); err == nil {
		t.Error("an empty file is taken")
	}
}

// TestBothFormatsAreRead reads requests, and prompts with a byte order mark, Windows' line ends and no end of the last line.
func TestBothFormatsAreRead(t *testing.T) {
	base := consumer.Order{Kind: events.KindText}
	items, plain, err := Read(strings.NewReader("\ufeffone\r\n\r\ntwo  words\nthree"), base, fake)
	if err != nil || !plain || len(items) != 3 {
		t.Fatal(items, plain, err)
	}
	for i, want := range []Item{{1, "1", "one"}, {3, "3", "two  words"}, {4, "4", "three"}} {
		if items[i] != want {
			t.Errorf("item %d is %+v, want %+v", i, items[i], want)
		}
	}
	items, plain, err = Read(strings.NewReader(`{"custom_id":"a","url":"/v1/completions","body":{"prompt":"x"}}`), base, fake)
	if err != nil || plain || len(items) != 1 || items[0].ID != "a" {
		t.Fatal(items, plain, err)
	}
	req, err := items[0].request(plain, base, fake)
	if err != nil || req.Order().Inputs[0].Value != "x" || len(base.Inputs) != 0 {
		t.Error(req, err)
	}
}
