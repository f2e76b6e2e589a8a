package events

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"
)

// The examples in docs/protocol.md stand between these lines and are the vectors themselves: make vectors writes both.
const (
	examplesBegin = "<!-- examples: written by make vectors -->\n"
	examplesEnd   = "<!-- end of examples -->\n"
)

// holdPage holds the page to the vectors.
func holdPage(t *testing.T, vs []messageVector) {
	t.Helper()
	path := filepath.Join("..", "docs", "protocol.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), examplesBegin)
	if !ok {
		t.Fatalf("%s has no line %q", path, examplesBegin)
	}
	_, after, ok := strings.Cut(rest, examplesEnd)
	if !ok {
		t.Fatalf("%s has no line %q", path, examplesEnd)
	}
	want := before + examplesBegin + examples(t, vs) + examplesEnd + after
	switch {
	case want == string(page):
	case !*update:
		t.Fatalf("the examples in %s are stale; run make vectors", path)
	default:
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// examples writes every vector of messages.json for people: a tag a line, and what an encrypted one says inside.
func examples(t *testing.T, vs []messageVector) string {
	t.Helper()
	var b strings.Builder
	for _, v := range vs {
		ev := v.Event
		fmt.Fprintf(&b, "### %s\n\n```json\n{\"kind\":%d,\"created_at\":%d,\"tags\":[\n%s],\n \"content\":%s,\n \"pubkey\":%q,\n \"id\":%q,\n \"sig\":%q}\n```\n\n",
			strings.ReplaceAll(v.Name, "_", ", "), ev.Kind, ev.CreatedAt, tagLines(t, ev.Tags), compact(t, ev.Content), ev.PubKey, ev.ID, ev.Sig)
		if !IsEncrypted(ev) {
			continue
		}
		inside := decrypted(t, v)
		var tags nostr.Tags
		if !isResult(ev.Kind) {
			if err := json.Unmarshal([]byte(inside), &tags); err != nil {
				t.Fatal(err)
			}
			inside = "[\n" + tagLines(t, tags) + "]"
		}
		fmt.Fprintf(&b, "Its content, opened:\n\n```\n%s\n```\n\n", inside)
	}
	return b.String()
}

func decrypted(t *testing.T, v messageVector) string {
	t.Helper()
	signer, err := NewKeys(v.Signer)
	if err != nil {
		t.Fatal(err)
	}
	inside, err := signer.Decrypt(ctx, PubKey(v.Event.Tags.Find("p")[1]), v.Event.Content)
	if err != nil {
		t.Fatal(err)
	}
	return inside
}

func tagLines(t *testing.T, tags nostr.Tags) string {
	t.Helper()
	var lines []string
	for _, tag := range tags {
		lines = append(lines, " "+compact(t, tag))
	}
	return strings.Join(lines, ",\n")
}

func compact(t *testing.T, v any) string {
	t.Helper()
	return string(raw(t, v))
}
