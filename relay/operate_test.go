package relay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// TestABackupWhileItIsWrittenToIsWhole backs up a relay that many write to, three times into three files: in each is every
// event whose OK came before it began, each restores into a relay that starts, and the bans come with it.
func TestABackupWhileItIsWrittenToIsWhole(t *testing.T) {
	r := start(t, nil)
	if err := r.rules.change(func(d *decided) error { d.BannedKeys["ab"] = "spam"; return nil }); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	acked := map[string]bool{}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	for i := range 4 {
		c := dial(t, r)
		writing.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				ev := sign(t, node, 1, time.Now(), fmt.Sprintf("%d %d %s", i, n, strings.Repeat("x", 2000)))
				if ok, why := c.publish(ev); !ok {
					t.Errorf("refused: %s", why)
					return
				}
				mu.Lock()
				acked[ev.ID] = true
				mu.Unlock()
			}
		})
	}
	type made struct {
		body   []byte
		before map[string]bool
	}
	var all []made
	for n := range 3 {
		eventually(t, "nothing is written", func() bool { mu.Lock(); defer mu.Unlock(); return len(acked) > 50*(n+1) })
		mu.Lock()
		m := made{before: copied(acked)}
		mu.Unlock()
		var to bytes.Buffer
		if err := r.Backup(ctx, &to, Have{}); err != nil {
			t.Fatal(err)
		}
		m.body = to.Bytes()
		all = append(all, m)
	}
	close(stop)
	writing.Wait()
	for n, m := range all {
		dir := filepath.Join(t.TempDir(), "relay")
		if _, err := Restore(dir, func(folder string) error { return unpack(m.body, folder) }, r.Log); err != nil {
			t.Fatal(err)
		}
		again := start(t, func(c *Config) { c.Dir = dir })
		var out bytes.Buffer
		total, err := again.Export(ctx, &out, nostr.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		for id := range m.before {
			if !strings.Contains(out.String(), id) {
				t.Errorf("backup %d misses %s, whose OK came before", n, id)
			}
		}
		if again.rules.now.Load().BannedKeys["ab"] != "spam" {
			t.Error("the bans are lost")
		}
		t.Logf("backup %d: %d events, %d of them acknowledged before", n, total, len(m.before))
	}
}

func unpack(body []byte, folder string) error {
	_, err := Unpack(bytes.NewReader(body), func(name string, from io.Reader) error {
		_, err := WriteFile(filepath.Join(folder, filepath.Base(name)), from)
		return err
	})
	return err
}

// TestADamagedBackupChangesNothing flips bits, cuts, and renames what is in a backup: it is refused, and what was stored is
// there as before.
func TestADamagedBackupChangesNothing(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(ctx, Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	for i := range 20 {
		fmt.Fprintf(&lines, "%s\n", sign(t, node, 1, time.Now(), fmt.Sprint(i)))
	}
	if all, err := r.Import(ctx, &lines); err != nil || all.Taken != 20 {
		t.Fatalf("%+v, %v", all, err)
	}
	var whole bytes.Buffer
	if err := r.Backup(ctx, &whole, Have{}); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	body := whole.Bytes()
	for name, change := range map[string]func(b []byte) []byte{
		"cut in the middle":   func(b []byte) []byte { return b[:len(b)/2] },
		"cut at the manifest": func(b []byte) []byte { return b[:bytes.Index(b, []byte(ManifestName))] },
		"a bit of an event":   func(b []byte) []byte { b[bytes.Index(b, []byte(`"kind"`))+9] ^= 1; return b },
		"a name that climbs": func(b []byte) []byte {
			return bytes.ReplaceAll(b, []byte("events/00000001.log"), []byte("../../../../tmp/log"))
		},
		"another form":  func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("backup 1"), []byte("backup 9")) },
		"no tar at all": func([]byte) []byte { return []byte(strings.Repeat("hello\n", 1000)) },
		"nothing":       func([]byte) []byte { return nil },
	} {
		_, err := Restore(dir, func(folder string) error { return unpack(change(bytes.Clone(body)), folder) }, r.Log)
		if !errors.Is(err, ErrCut) && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// a segment that is whole by its sum and torn by its records
	if _, err := Restore(dir, func(folder string) error {
		if err := unpack(body, folder); err != nil {
			return err
		}
		return os.Truncate(filepath.Join(folder, "00000001.log"), 1000)
	}, r.Log); err == nil {
		t.Error("a torn segment was taken")
	}
	r, err = Open(ctx, Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if n, err := r.Export(ctx, io.Discard, nostr.Filter{}); n != 20 || err != nil {
		t.Errorf("%d of 20 are left, %v", n, err)
	}
}

// TestARestoreThatWasCutOffIsEnded kills a restore between its renames: the next start ends it.
func TestARestoreThatWasCutOffIsEnded(t *testing.T) {
	dir := t.TempDir()
	r, err := Open(ctx, Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	one := sign(t, node, 1, time.Now(), "in the backup")
	if err := r.store.save(ctx, one); err != nil {
		t.Fatal(err)
	}
	var backup bytes.Buffer
	if err := r.Backup(ctx, &backup, Have{}); err != nil {
		t.Fatal(err)
	}
	if err := r.store.save(ctx, sign(t, node, 1, time.Now(), "later")); err != nil {
		t.Fatal(err)
	}
	r.Close()
	for _, moved := range []bool{false, true} { // before and after what was there is put aside
		restored := filepath.Join(dir, restoredDir)
		if err := os.Mkdir(restored, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unpack(backup.Bytes(), restored); err != nil {
			t.Fatal(err)
		}
		if moved {
			if err := os.Rename(filepath.Join(dir, "events"), filepath.Join(dir, "events.before-1")); err != nil {
				t.Fatal(err)
			}
		}
		if r, err = Open(ctx, Config{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Export(ctx, io.Discard, nostr.Filter{}); n != 1 || err != nil {
			t.Errorf("%d events, %v", n, err)
		}
		r.Close()
	}
	if kept, _ := filepath.Glob(filepath.Join(dir, "events.before-*")); len(kept) != 2 {
		t.Errorf("what was there is kept in %v", kept)
	}
}

// TestAMarketMovesByExport moves a job with all that was said about it into another relay, by lines: each is taken, for a
// request comes before what is about it, and a second time all are known.
func TestAMarketMovesByExport(t *testing.T) {
	r := start(t, nil)
	c := dial(t, r)
	request := auction(t)
	c.take(request)
	offer := signed(t, node, &events.Offer{Head: head(), Job: events.ID(request.ID), To: customer.PublicKey(), Until: events.At(time.Now()) + 30, Delivery: events.DeliverPlain, Pay: events.PayFree})
	c.take(offer)
	c.take(sign(t, stranger, 1, time.Now(), "a note"))
	var out bytes.Buffer
	n, err := r.Export(ctx, &out, nostr.Filter{})
	if err != nil || n != 3 {
		t.Fatalf("%d, %v", n, err)
	}
	other := start(t, func(c *Config) { c.OfferPow = 20 }) // which an import need not do
	body := out.String()
	for _, want := range []Imported{{Lines: 3, Taken: 3}, {Lines: 3, Had: 3}} {
		all, err := other.Import(ctx, strings.NewReader(body))
		if err != nil || all.Lines != want.Lines || all.Taken != want.Taken || all.Had != want.Had || len(all.Refused) > 0 {
			t.Errorf("%+v, %v; want %+v", all, err, want)
		}
	}
	bad := strings.Replace(body, `"content":"a note"`, `"content":"a lie"`, 1) + "\n" + strings.Repeat("x", 2*maxFrame) + "\n{}\n"
	all, err := other.Import(ctx, strings.NewReader(bad))
	if err != nil || all.Had != 2 || len(all.Refused) != 3 || all.First["invalid: a line of more than N bytes"] != 5 {
		t.Errorf("%+v, %v", all, err)
	}
}
