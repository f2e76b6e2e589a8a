package relay

import (
	"context"
	"encoding/hex"
	"errors"
	"path/filepath"
	"time"

	"github.com/mailru/easyjson"
	"github.com/nbd-wtf/go-nostr"

	"infernet/relay/eventlog"
)

// store is the event log with what a relay means by it: versions of an address, deletions (tombstone.go), expiry
// (sweep.go), and the events that are on their way there (coming.go).
type store struct {
	log *eventlog.Log
	now func() time.Time

	coming
	documents documents
}

// Kinds of marks.
const (
	markDeleted        byte = 100 // id, author of the deletion
	markMet            byte = 104 // a node's key → when it was first announced here
	markDeletedAddress byte = 105 // hash of an address → created_at up to which it is deleted
)

func openStore(c Config) (*store, error) {
	o := eventlog.Options{Log: c.Log, KeepFree: c.KeepFree}
	if c.Dir != "" {
		if err := migrate(c.Dir, c.Log); err != nil {
			return nil, err
		}
		if err := takeRestored(c.Dir, c.Log); err != nil {
			return nil, err
		}
		o.Dir = filepath.Join(c.Dir, "events")
	}
	var log *eventlog.Log
	if err := patiently(func() (err error) { log, err = eventlog.Open(o); return err }); err != nil {
		return nil, err
	}
	return &store{log: log, now: c.Now, coming: newComing()}, nil
}

// lockedFor is how long a folder that is in use is tried again.
const lockedFor = time.Second

// patiently opens what may have been closed a moment ago. A program that this one is just starting holds all open files,
// the lock of a closed log among them, until its own code begins.
func patiently(open func() error) error {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		err := open()
		if err == nil || !errors.Is(err, eventlog.ErrLocked) || time.Since(began) > lockedFor {
			return err
		}
	}
}

// well says whether events come to the disk. After a failure it tries: nobody may be publishing to find out.
func (s *store) well() error {
	if s.log.Well() == nil {
		return nil
	}
	return s.log.Try()
}

func (s *store) close() error { return s.log.Close() }

// has says whether an event is in the log.
func (s *store) has(id string) bool {
	raw, ok := rawID(id)
	if !ok {
		return false
	}
	_, _, ok = s.log.Find(raw)
	return ok
}

func (s *store) byID(_ context.Context, id string) *nostr.Event {
	raw, ok := rawID(id)
	if !ok {
		return nil
	}
	at, _, ok := s.log.Find(raw)
	if !ok {
		return nil
	}
	return s.read(at)
}

func (s *store) read(at eventlog.Ref) *nostr.Event {
	body, err := s.log.Read(at)
	if err != nil || body == nil {
		return nil
	}
	var ev nostr.Event
	if easyjson.Unmarshal(body, &ev) != nil {
		return nil
	}
	return &ev
}

// find is byID, over events under way too.
func (s *store) find(ctx context.Context, id string) *nostr.Event {
	if ev := s.admitted(id); ev != nil {
		return ev
	}
	return s.byID(ctx, id)
}

// save stores an event as it is, and waits for the disk.
func (s *store) save(_ context.Context, ev *nostr.Event) error {
	raw, err := easyjson.Marshal(ev)
	if err != nil {
		return err
	}
	_, err = s.log.Do(eventlog.Write{Event: ev, Raw: raw})
	return err
}

var (
	errOlder   = errors.New("duplicate: a newer version is stored")
	errSame    = errors.New("duplicate: the relay has this event")
	errDeleted = errors.New("blocked: this event was deleted by its author")
)

// supersede makes an event the one that its address holds, if it is the newest: of one second, that with the lower id
// (NIP-01). Both happen with one record of the log.
func supersede(t *eventlog.Turn, ev *nostr.Event) error {
	at, ok := versionOf(ev)
	if !ok {
		return nil
	}
	old, meta, ok := t.Version(at)
	if !ok {
		return nil
	}
	switch id := hex.EncodeToString(meta.ID[:]); {
	case id == ev.ID:
		return errSame
	case meta.At > ev.CreatedAt, meta.At == ev.CreatedAt && id < ev.ID:
		return errOlder
	}
	t.Kill(old)
	return nil
}

func hasAddress(kind int) bool { return nostr.IsReplaceableKind(kind) || nostr.IsAddressableKind(kind) }

// versionOf is the address that an event is a version of.
func versionOf(ev *nostr.Event) (eventlog.Address, bool) {
	author, ok := rawID(ev.PubKey)
	if !ok {
		return eventlog.Address{}, false
	}
	return eventlog.AddressOf(ev.Kind, author, ev.Tags.GetD())
}

func metMark(key string) []byte { return append([]byte{markMet}, key...) }

// meet remembers when a node was first announced here, by the relay's clock: created_at is whatever the node says.
func (s *store) meet(t *eventlog.Turn, key string) {
	if len(t.Marks(metMark(key))) == 0 {
		t.Mark(eventlog.Mark{Key: metMark(key), Value: timeMark(s.now().Unix())})
	}
}

// met says when a node was first announced here.
func (s *store) met(key string) (time.Time, bool) {
	at := int64(-1)
	for _, v := range s.log.Marks(metMark(key)) {
		if n := markTime(v); n >= 0 && (at < 0 || n < at) {
			at = n
		}
	}
	return time.Unix(at, 0), at >= 0
}

// rawID is an id or a key as bytes.
func rawID(id string) (raw [32]byte, ok bool) {
	if !isHex64(id) {
		return raw, false
	}
	_, err := hex.Decode(raw[:], []byte(id))
	return raw, err == nil
}

func isHex64(s string) bool {
	if len(s) != 64 {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
