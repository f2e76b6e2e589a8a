package check

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Facts is what a relay says of itself (NIP-11).
type Facts struct {
	Name       string            `json:"name"`
	Software   string            `json:"software"`
	Version    string            `json:"version"`
	NIPs       []json.RawMessage `json:"supported_nips"`
	Limitation struct {
		MaxMessageLength    int   `json:"max_message_length"`
		MaxSubscriptions    int   `json:"max_subscriptions"`
		MaxLimit            int   `json:"max_limit"`
		MaxSubidLength      int   `json:"max_subid_length"`
		MaxEventTags        int   `json:"max_event_tags"`
		MaxContentLength    int   `json:"max_content_length"`
		CreatedAtLowerLimit int64 `json:"created_at_lower_limit"`
		CreatedAtUpperLimit int64 `json:"created_at_upper_limit"`
	} `json:"limitation"`

	header http.Header
	known  map[string]json.RawMessage
}

// claims says whether the relay says that it speaks a NIP.
func (f *Facts) claims(nip string) bool {
	if f == nil {
		return false
	}
	for _, raw := range f.NIPs {
		var n int
		var s string
		if json.Unmarshal(raw, &n) == nil {
			s = fmt.Sprintf("%02d", n)
		} else if json.Unmarshal(raw, &s) == nil {
			if n, err := strconv.Atoi(s); err == nil {
				s = fmt.Sprintf("%02d", n)
			}
		}
		if strings.EqualFold(s, nip) {
			return true
		}
	}
	return false
}

func fetchFacts(ctx context.Context, url string, patience time.Duration) (*Facts, error) {
	ctx, done := context.WithTimeout(ctx, patience)
	defer done()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http"+strings.TrimPrefix(url, "ws"), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/nostr+json")
	req.Header.Set("Origin", "https://page.example")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	f := &Facts{header: resp.Header}
	if err := json.Unmarshal(body, f); err != nil {
		return nil, fmt.Errorf("the answer is no NIP-11 document: %w", err)
	}
	json.Unmarshal(body, &f.known)
	return f, nil
}

var facts = []check{
	{nip: "11", name: "says what it is", run: func(l *lab) {
		if l.factsErr != nil {
			l.fail("%v", l.factsErr)
		}
	}},
	{nip: "11", name: "the document has its own media type", run: func(l *lab) {
		l.needFacts()
		if kind := l.facts.header.Get("Content-Type"); !strings.HasPrefix(kind, "application/nostr+json") {
			l.fail("Content-Type is %q", kind)
		}
	}},
	{nip: "11", name: "any page may read the document", run: func(l *lab) {
		l.needFacts()
		if origin := l.facts.header.Get("Access-Control-Allow-Origin"); origin != "*" && origin != "https://page.example" {
			l.fail("Access-Control-Allow-Origin is %q", origin)
		}
	}},
	{nip: "11", name: "supported_nips is a list, and says 11", run: func(l *lab) {
		l.needFacts()
		if l.facts.NIPs == nil {
			l.fail("there is no supported_nips")
		}
		if !l.facts.claims("11") || !l.facts.claims("01") {
			l.fail("NIP-01 or NIP-11 is missing")
		}
	}},
}

func (l *lab) needFacts() {
	if l.facts == nil {
		l.skip("there is no NIP-11 document")
	}
}
