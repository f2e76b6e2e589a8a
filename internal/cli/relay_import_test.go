package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/relay"
)

// failingOnce fails at one of its imports: before it has done anything, or after the relay has taken all.
type failingOnce struct {
	*relay.Relay
	at, calls int
	after     bool
}

func (f *failingOnce) Import(ctx context.Context, from io.Reader) (all relay.Imported, err error) {
	if f.calls++; f.calls != f.at {
		return f.Relay.Import(ctx, from)
	}
	if f.after {
		if _, err := f.Relay.Import(ctx, from); err != nil {
			return all, err
		}
	}
	return all, errors.New("the connection is gone")
}

// TestAnImportGoesOnWhereItStood cuts an import of several requests off in the second one: the same command does only what
// is left, nothing is missing, and the counts are of the whole.
func TestAnImportGoesOnWhereItStood(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	file := filepath.Join(dir, "events.jsonl")
	const events1 = 160
	var lines bytes.Buffer
	keys := events.GenerateKeys()
	for i := range events1 {
		ev := &nostr.Event{Kind: 1, CreatedAt: nostr.Timestamp(1700000000 + i), Content: strings.Repeat("x", 50_000)}
		if err := keys.Sign(ctx, ev); err != nil {
			t.Fatal(err)
		}
		lines.WriteString(ev.String() + "\n\n")
	}
	lines.WriteString("no event\n")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, after := range []bool{false, true} {
		r, err := relay.Open(ctx, relay.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		a := &app{IO: IO{Out: &said, Err: &said}, args: []string{"relay", "import", file}, log: slog.New(slog.DiscardHandler),
			settings: &settings{values: map[string]string{"data_dir": dir}, source: map[string]string{}}}
		o := &failingOnce{Relay: r, at: 2, after: after}
		if err := a.importFile(ctx, o, file, "", false); err == nil || !strings.Contains(err.Error(), "after line ") {
			t.Fatalf("cut off: %v", err)
		}
		first := o.calls
		if err := a.importFile(ctx, o, file, "", false); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Export(ctx, io.Discard, nostr.Filter{}); n != events1 || err != nil {
			t.Errorf("%d of %d events are there, %v; it said:\n%s", n, events1, err, &said)
		}
		if again := o.calls - first; again != 2 { // of three
			t.Errorf("going on took %d requests, not 2", again)
		}
		if !strings.Contains(said.String(), "goes on after line ") || !strings.Contains(said.String(), " of 321 lines taken") ||
			!strings.Contains(said.String(), "no JSON of an event (first in line 321)") {
			t.Errorf("it said:\n%s", &said)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "imports", "*")); len(left) > 0 {
			t.Errorf("an import that has ended leaves %v", left)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestALineLongerThanAnyEventIsPassedOver: its rest is not read as lines of their own, and what comes after is.
func TestALineLongerThanAnyEventIsPassedOver(t *testing.T) {
	ctx := context.Background()
	r, err := relay.Open(ctx, relay.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ev := &nostr.Event{Kind: 1, CreatedAt: nostr.Now(), Content: "after it"}
	if err := events.GenerateKeys().Sign(ctx, ev); err != nil {
		t.Fatal(err)
	}
	a := &app{}
	all, err := a.importAll(ctx, r, strings.NewReader(strings.Repeat("[", 9<<20)+"\n"+ev.String()+"\n"), nil)
	if err != nil || all.Lines != 2 || all.Taken != 1 || len(all.Refused) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
}
