package store_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/notify"
	"infernet/internal/store"
	"infernet/internal/store/pbstore"
	"infernet/internal/store/storetest"
)

const childEnv = "INFERNET_TEST_OWNER"

// TestMain is also the process that tests kill: it owns the store of a folder, writes the journals itself, and says how
// many jobs the store has.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		fmt.Println("error", child(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func child(dir string) error {
	o, err := store.Own(context.Background(), config(dir))
	if err != nil {
		return err
	}
	go o.Run(context.Background())
	w, err := openWorld(dir)
	if err != nil {
		return err
	}
	for i := w.jobs(); ; i++ {
		if err := w.work(i); err != nil {
			return err
		}
		if err := o.CatchUp(context.Background()); err != nil {
			return err
		}
		fmt.Println(i + 1)
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func config(dir string) store.Config {
	return store.Config{
		Dir: filepath.Join(dir, "store"), Files: files(dir), Log: slog.New(slog.DiscardHandler),
		Open: func(dir string) (store.Store, error) { return pbstore.Open(dir) },
	}
}

func files(dir string) store.Files {
	return store.Files{
		Ledgers: map[string]string{"node": filepath.Join(dir, "node.db"), "customer": filepath.Join(dir, "customer.db")},
		Notices: filepath.Join(dir, "notices.db"),
	}
}

// world writes journals, as a node and a customer do.
type world struct {
	node, customer *ledger.Ledger
	notices        *notify.Outbox
	keys           *events.Keys
}

func openWorld(dir string) (w *world, err error) {
	w = &world{keys: events.GenerateKeys()}
	if w.node, err = ledger.Open(filepath.Join(dir, "node.db")); err != nil {
		return nil, err
	}
	if w.customer, err = ledger.Open(filepath.Join(dir, "customer.db")); err != nil {
		return nil, err
	}
	w.notices, err = notify.Open(filepath.Join(dir, "notices.db"), notify.Config{})
	return w, err
}

func (w *world) close() error {
	return errors.Join(w.node.Close(), w.customer.Close(), w.notices.Close())
}

func (w *world) jobs() int {
	rows, err := w.node.Jobs(ledger.Provider, 1<<30)
	if err != nil {
		panic(err)
	}
	return len(rows)
}

func (w *world) sign(ev *nostr.Event) *nostr.Event {
	ev.CreatedAt = nostr.Now()
	if err := w.keys.Sign(context.Background(), ev); err != nil {
		panic(err)
	}
	return ev
}

// work does a plain job, both sides of it; a third stay open. Now and then a setting changes and there is a notice.
func (w *world) work(i int) error {
	req := w.sign(&nostr.Event{Kind: events.KindText, Tags: nostr.Tags{{"i", fmt.Sprint("say ", i), "text"}}})
	id := events.ID(req.ID)
	result := w.sign(&nostr.Event{Kind: events.KindText + 1000, Content: fmt.Sprint("said ", i), Tags: nostr.Tags{{"e", req.ID}, {"p", req.PubKey}}})
	errs := []error{
		w.node.Take(id, ledger.Provider, nil, req), w.customer.Take(id, ledger.Customer, nil, req),
		w.node.Keep(id, result), w.customer.Keep(id, result),
	}
	if i%3 > 0 {
		errs = append(errs, w.node.Finish(id, "delivered"), w.customer.Finish(id, "delivered"))
	}
	if i%5 == 0 {
		_, err := w.notices.Tell(notify.Notice{Level: notify.Info, Title: fmt.Sprint("notice ", i)})
		errs = append(errs, err, w.node.Record(store.Topic, fmt.Sprint("setting ", i%10), fmt.Append(nil, i)))
	}
	return errors.Join(errs...)
}

// agree wants that a reader shows just what the journals say.
func agree(t *testing.T, dir string, r store.Reader) storetest.Content {
	t.Helper()
	j, err := store.OpenJournals(files(dir))
	ok(t, err)
	defer j.Close()
	want, got := storetest.All(t, j), storetest.All(t, r)
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("the store says\n%+v\nthe journals\n%+v", got, want)
	}
	return got
}

// own owns a folder's store and runs, until the function it gives is called.
func own(t *testing.T, c store.Config) (*store.Owner, func()) {
	t.Helper()
	o, err := store.Own(t.Context(), c)
	ok(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() { o.Run(ctx) })
	var once sync.Once
	stop := func() { once.Do(func() { cancel(); wait.Wait(); ok(t, o.Close()) }) }
	t.Cleanup(stop)
	return o, stop
}

// short makes a folder whose name is short enough for a socket in it.
func short(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "")
	ok(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestALostStoreIsMadeAnew deletes the database, and damages it, and compares what comes back with what was there.
func TestALostStoreIsMadeAnew(t *testing.T) {
	dir := short(t)
	w, err := openWorld(dir)
	ok(t, err)
	defer w.close()
	o, stop := own(t, config(dir))
	for i := range 30 {
		ok(t, w.work(i))
	}
	ok(t, o.CatchUp(t.Context()))
	stop()
	data := store.DataDir(filepath.Join(dir, "store"))
	s, err := pbstore.Open(data)
	ok(t, err)
	before := storetest.All(t, s)
	ok(t, s.Close())
	if len(before.Jobs) != 60 || len(before.Notices) != 6 || len(before.Settings) != 2 {
		t.Fatalf("%d jobs, %d notices, %d settings", len(before.Jobs), len(before.Notices), len(before.Settings))
	}
	for name, lose := range map[string]func() error{
		"deleted": func() error { return os.RemoveAll(data) },
		"no database": func() error {
			return os.WriteFile(filepath.Join(data, "data.db"), []byte(strings.Repeat("x", 9000)), 0o600)
		},
		"another folder":  func() error { return errors.Join(os.RemoveAll(data), os.WriteFile(data, []byte("x"), 0o600)) },
		"another program": func() error { return os.Remove(filepath.Join(data, "auxiliary.db")) },
	} {
		ok(t, lose())
		o, err := store.Own(t.Context(), config(dir))
		ok(t, err)
		ok(t, o.CatchUp(t.Context()))
		ok(t, o.Close())
		s, err := pbstore.Open(data)
		ok(t, err)
		after := storetest.All(t, s)
		ok(t, s.Close())
		if fmt.Sprintf("%+v", after) != fmt.Sprintf("%+v", before) {
			t.Errorf("%s: the store was\n%+v\nand is\n%+v", name, before, after)
		}
	}
}

// TestAStoreOfOtherJournals has the ledgers be replaced under a store that has read more than they hold.
func TestAStoreOfOtherJournals(t *testing.T) {
	dir := short(t)
	w, err := openWorld(dir)
	ok(t, err)
	o, stop := own(t, config(dir))
	for i := range 10 {
		ok(t, w.work(i))
	}
	ok(t, o.CatchUp(t.Context()))
	stop()
	ok(t, w.close())
	for _, name := range []string{"node.db", "customer.db", "notices.db"} {
		found, err := filepath.Glob(filepath.Join(dir, name+"*"))
		ok(t, err)
		for _, file := range found {
			ok(t, os.Remove(file))
		}
	}
	w, err = openWorld(dir)
	ok(t, err)
	defer w.close()
	ok(t, w.work(1))
	o, err = store.Own(t.Context(), config(dir))
	ok(t, err)
	defer o.Close()
	ok(t, o.CatchUp(t.Context()))
	if got := storetest.All(t, o); len(got.Jobs) != 22 || len(got.Notices) != 2 {
		t.Errorf("%d jobs, %d notices", len(got.Jobs), len(got.Notices))
	}
}

// TestOneOwner has another process own the store, reads over its socket, and kills it again and again.
func TestOneOwner(t *testing.T) {
	dir := short(t)
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		ok(t, err)
		ok(t, cmd.Start())
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		lines, said := bufio.NewScanner(out), 0
		for i := 0; i < 5 && lines.Scan(); i++ {
			_, err := fmt.Sscan(lines.Text(), &said)
			ok(t, err)
		}
		if _, err := store.Own(t.Context(), config(dir)); !errors.Is(err, store.ErrOwned) {
			t.Fatalf("a second owner: %v", err)
		}
		var c *store.Client
		for c == nil { // its socket is there a moment after the lock
			c, _ = store.Dial(t.Context(), filepath.Join(dir, "store"))
		}
		rows, err := c.Jobs(t.Context(), store.JobQuery{Role: ledger.Provider, Limit: 1000})
		if err != nil || len(rows) < said {
			t.Errorf("the owner says %d jobs, of %d, %v", len(rows), said, err)
		}
		if _, err := c.Jobs(t.Context(), store.JobQuery{Role: "king"}); err == nil || !strings.Contains(err.Error(), "king") {
			t.Errorf("a wrong question: %v", err)
		}
		c.Close()
		cmd.Process.Kill()
		cmd.Wait()
		if _, err := store.Dial(t.Context(), filepath.Join(dir, "store")); !errors.Is(err, store.ErrNoOwner) {
			t.Errorf("after its end: %v", err)
		}
		o, err := store.Own(t.Context(), config(dir)) // also in the place of one that was killed
		ok(t, err)
		ok(t, o.CatchUp(t.Context()))
		got := agree(t, dir, o)
		ok(t, o.Close())
		if len(got.Jobs) < said {
			t.Errorf("%d jobs, said were %d", len(got.Jobs), said)
		}
	}
}

// TestReadersAreAlwaysInStep writes the journals, as other processes do, and reads at once.
func TestReadersAreAlwaysInStep(t *testing.T) {
	dir := short(t)
	var mu sync.Mutex
	told := map[string]bool{}
	c := config(dir)
	c.Changed = func(j store.Job) { mu.Lock(); defer mu.Unlock(); told[j.Key()] = true }
	o, stop := own(t, c)
	agree(t, dir, o) // there is no journal yet
	w, err := openWorld(dir)
	ok(t, err)
	defer w.close()
	client, err := store.Dial(t.Context(), c.Dir)
	for err != nil {
		client, err = store.Dial(t.Context(), c.Dir)
	}
	defer client.Close()
	for i := range 6 {
		ok(t, w.work(i))
		o.Nudge()
		agree(t, dir, client)
	}
	rows, err := client.Jobs(t.Context(), store.JobQuery{Live: true})
	ok(t, err)
	if len(rows) != 4 || rows[0].Output+rows[1].Output == "" || rows[0].Input+rows[1].Input == "" {
		t.Errorf("open jobs: %+v", rows)
	}
	for _, row := range rows { // an end is no event
		l := map[ledger.Role]*ledger.Ledger{ledger.Provider: w.node, ledger.Customer: w.customer}[row.Role]
		ok(t, l.Finish(row.ID, "cancelled"))
	}
	agree(t, dir, client)
	if rows, err := client.Jobs(t.Context(), store.JobQuery{Live: true}); err != nil || len(rows) > 0 {
		t.Errorf("still open: %+v, %v", rows, err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		mu.Lock()
		n := len(told)
		mu.Unlock()
		if n == 12 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d rows were told", n)
		}
	}
	stop()
}

// TestABackupOverTheSocket has the owner copy the store, restores it elsewhere, and catches up from there.
func TestABackupOverTheSocket(t *testing.T) {
	dir := short(t)
	w, err := openWorld(dir)
	ok(t, err)
	defer w.close()
	ok(t, w.work(1))
	c := config(dir)
	o, stop := own(t, c)
	client, err := store.Dial(t.Context(), c.Dir)
	for err != nil {
		client, err = store.Dial(t.Context(), c.Dir)
	}
	defer client.Close()
	file := filepath.Join(dir, "backup.zip")
	f, err := os.Create(file)
	ok(t, err)
	ok(t, errors.Join(client.Backup(t.Context(), f), f.Close()))
	ok(t, w.work(2))
	ok(t, o.CatchUp(t.Context()))
	stop()
	ok(t, pbstore.Restore(store.DataDir(c.Dir), file))
	s, err := pbstore.Open(store.DataDir(c.Dir))
	ok(t, err)
	if got := storetest.All(t, s); len(got.Jobs) != 2 {
		t.Errorf("the backup has %d jobs", len(got.Jobs))
	}
	ok(t, s.Close())
	o, err = store.Own(t.Context(), c)
	ok(t, err)
	defer o.Close()
	ok(t, o.CatchUp(t.Context()))
	if got := agree(t, dir, o); len(got.Jobs) != 4 {
		t.Errorf("caught up with %d jobs", len(got.Jobs))
	}
}
