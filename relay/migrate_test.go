package relay

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
	eventbadger "github.com/fiatjaf/eventstore/badger"
	"github.com/nbd-wtf/go-nostr"
)

// TestEventsOfAnEarlierVersionAreCarriedOver writes a folder as earlier versions did: Badger's, with eventstore's schema, an
// old version of an address that a crash left, tombstones, and when a node was met.
func TestEventsOfAnEarlierVersionAreCarriedOver(t *testing.T) {
	dir := t.TempDir()
	fresh, err := badger.Open(badger.DefaultOptions(dir).WithLogger(nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := fresh.Update(func(tx *badger.Txn) error { return tx.Set([]byte{255}, []byte{0, 5}) }); err != nil {
		t.Fatal(err)
	}
	fresh.Close()
	db := &eventbadger.BadgerBackend{Path: dir, MaxLimit: 1 << 20, BadgerOptionsModifier: func(o badger.Options) badger.Options { return o.WithLogger(nil) }}
	if err := db.Init(); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i := range 300 {
		ev := sign(t, node, 1, time.Now().Add(-time.Duration(i)*time.Second), strings.Repeat("x", i), nostr.Tag{"p", string(customer.PublicKey())})
		ids = append(ids, ev.ID)
		if err := db.SaveEvent(ctx, ev); err != nil {
			t.Fatal(err)
		}
	}
	old := sign(t, node, 30078, time.Now().Add(-time.Minute), "old", nostr.Tag{"d", "x"})
	holds := sign(t, node, 30078, time.Now(), "new", nostr.Tag{"d", "x"})
	db.SaveEvent(ctx, holds)
	db.SaveEvent(ctx, old)
	gone := sign(t, node, 1, time.Now(), "gone")
	db.Update(func(tx *badger.Txn) error {
		tx.Set(append([]byte{badgerMet}, node.PublicKey()...), timeMark(time.Now().Add(-time.Hour).Unix()))
		return tx.Set(deletedKey(gone.ID, gone.PubKey), []byte{1})
	})
	db.Close()
	for round := range 2 {
		r := start(t, func(c *Config) { c.Dir = dir })
		c := dial(t, r)
		if found := c.query(nostr.Filter{IDs: ids}); len(found) != len(ids) {
			t.Errorf("%d of %d events are left", len(found), len(ids))
		} else if ok, err := found[0].CheckSignature(); !ok || err != nil {
			t.Error("an event is not what it was")
		}
		if found := c.query(nostr.Filter{Kinds: []int{30078}}); len(found) != 1 || found[0].ID != holds.ID {
			t.Errorf("%d versions of one address", len(found))
		}
		c.refuses(gone, "blocked:")
		if !r.knows(string(node.PublicKey())) {
			t.Error("a known node is not known any more")
		}
		c.ws.CloseNow()
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, "badger", "MANIFEST")); err != nil {
			t.Error(err)
		}
		if round == 0 { // as if the moving had been cut off
			if err := os.Rename(filepath.Join(dir, "badger", "MANIFEST"), filepath.Join(dir, "MANIFEST")); err != nil {
				t.Fatal(err)
			}
		}
	}
}
