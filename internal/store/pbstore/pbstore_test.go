package pbstore

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/notify"
	"infernet/internal/store"
	"infernet/internal/store/storetest"
)

const childEnv = "INFERNET_TEST_STORE"

// TestMain is also the process that tests kill: it puts batches of two jobs and a mark, and says which ones were put.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		s, err := Open(dir)
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		have, err := s.Marks(context.Background())
		for i := have["i"] + 1; err == nil; i++ {
			if err = s.Put(context.Background(), pair(i)); err == nil {
				fmt.Println(i)
			}
		}
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// pair is a batch: two jobs, a notice and a mark.
func pair(i int64) store.Batch {
	a := store.Job{ID: events.ID(fmt.Sprintf("%064x", i)), Role: ledger.Provider, Seq: i, At: events.Unix(i)}
	b := a
	b.Role = ledger.Customer
	return store.Batch{
		Jobs: []store.Job{a, b}, Notices: []notify.Notice{{ID: fmt.Sprint(i), Seq: i}}, Marks: map[string]int64{"i": i},
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	ok(t, err)
	return s
}

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) store.Store { return open(t, dir) })
}

// served is read over a socket.
type served struct {
	*Store
	*store.Client
	server *http.Server
}

func (s *served) Jobs(ctx context.Context, q store.JobQuery) ([]store.Job, error) {
	return s.Client.Jobs(ctx, q)
}
func (s *served) Notices(ctx context.Context, q store.NoticeQuery) ([]notify.Notice, error) {
	return s.Client.Notices(ctx, q)
}
func (s *served) Settings(ctx context.Context) ([]store.Setting, error) {
	return s.Client.Settings(ctx)
}
func (s *served) Close() error {
	return errors.Join(s.Client.Close(), s.server.Close(), s.Store.Close())
}

// TestSuiteOverTheSocket reads what the suite puts as another process does.
func TestSuiteOverTheSocket(t *testing.T) {
	storetest.Run(t, func(t *testing.T, dir string) store.Store {
		at, err := os.MkdirTemp("", "") // a test's folder has a name that is too long for a socket
		ok(t, err)
		t.Cleanup(func() { os.RemoveAll(at) })
		l, err := net.Listen("unix", filepath.Join(at, "socket"))
		ok(t, err)
		s := open(t, dir)
		server := &http.Server{Handler: store.Handler(s)}
		go server.Serve(l)
		c, err := store.Dial(t.Context(), at)
		ok(t, err)
		return &served{s, c, server}
	})
}

// TestWhatWasPutSurvivesKills kills a process that puts batches, again and again: each batch is there or is not, and each
// that was said to be is.
func TestWhatWasPutSurvivesKills(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	last := int64(0)
	for range 4 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		ok(t, err)
		ok(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for i := 0; i < 10 && lines.Scan(); i++ {
			_, err := fmt.Sscan(lines.Text(), &last)
			ok(t, err)
		}
		cmd.Process.Kill()
		cmd.Wait()
		s := open(t, dir)
		marks, err := s.Marks(t.Context())
		ok(t, err)
		all := storetest.All(t, s)
		ok(t, s.Close())
		if n := int(marks["i"]); int64(n) < last || len(all.Jobs) != 2*n || len(all.Notices) != n {
			t.Fatalf("said %d, the mark is %d, %d jobs, %d notices", last, n, len(all.Jobs), len(all.Notices))
		}
	}
}

func TestBackupAndRestore(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir)
	for i := range int64(20) {
		ok(t, s.Put(t.Context(), pair(i+1)))
	}
	want := storetest.All(t, s)
	ctx, stop := context.WithCancel(t.Context())
	writing := make(chan struct{})
	go func() { // while it is in use
		defer close(writing)
		for i := int64(21); s.Put(ctx, pair(i)) == nil; i++ {
		}
	}()
	var copied bytes.Buffer
	ok(t, s.Backup(t.Context(), &copied))
	stop()
	<-writing
	if left, _ := os.ReadDir(filepath.Join(dir, "backups")); len(left) > 0 {
		t.Errorf("%d files are left over", len(left))
	}
	ok(t, s.Put(t.Context(), store.Batch{Settings: []store.Setting{{Name: "late"}}}))
	ok(t, s.Close())
	file := filepath.Join(t.TempDir(), "backup.zip")
	ok(t, os.WriteFile(file, copied.Bytes(), 0o600))
	ok(t, Restore(dir, file))
	s = open(t, dir)
	defer s.Close()
	got := storetest.All(t, s)
	if n := len(got.Jobs); n < len(want.Jobs) || n != 2*len(got.Notices) || len(got.Settings) != 0 || got.Jobs[n-1] != want.Jobs[len(want.Jobs)-1] {
		t.Errorf("%d jobs, %d notices, %d settings", n, len(got.Notices), len(got.Settings))
	}
}

// TestWhatIsNoBackupChangesNothing restores what is none.
func TestWhatIsNoBackupChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := open(t, dir)
	ok(t, s.Put(t.Context(), pair(1)))
	want := storetest.All(t, s)
	var copied bytes.Buffer
	ok(t, s.Backup(t.Context(), &copied))
	ok(t, s.Close())
	zipped := func(name, text string) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		f, err := w.Create(name)
		ok(t, err)
		_, err = f.Write([]byte(text))
		ok(t, errors.Join(err, w.Close()))
		return b.Bytes()
	}
	for name, body := range map[string][]byte{
		"empty": nil, "text": []byte("text"), "half a backup": copied.Bytes()[:copied.Len()/2], "another zip": zipped("a", "b"),
		"no database": zipped("data.db", strings.Repeat("x", 5000)), "a way out": zipped("../../out", "x"),
	} {
		file := filepath.Join(t.TempDir(), "backup.zip")
		ok(t, os.WriteFile(file, body, 0o600))
		if err := Restore(dir, file); !errors.Is(err, ErrNoBackup) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, _ := filepath.Glob(dir + "*"); len(left) != 1 {
		t.Errorf("left over: %v", left)
	}
	s = open(t, dir)
	defer s.Close()
	if got := storetest.All(t, s); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %+v", got)
	}
}

// TestNoSocketIsOpen looks at the process itself, in a child that does nothing but put: a library that listened or called
// home would have a socket.
func TestNoSocketIsOpen(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+filepath.Join(t.TempDir(), "store"))
	out, err := cmd.StdoutPipe()
	ok(t, err)
	ok(t, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	lines := bufio.NewScanner(out)
	for i := 0; i < 50 && lines.Scan(); i++ {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", cmd.Process.Pid))
		ok(t, err)
		for _, fd := range fds {
			to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", cmd.Process.Pid, fd.Name()))
			if strings.HasPrefix(to, "socket:") {
				t.Fatalf("it has %s", to)
			}
		}
		if len(fds) < 3 {
			t.Fatalf("only %d files were seen", len(fds))
		}
	}
}

// TestNothingRunsOnOnceItIsClosed looks for goroutines of the library's.
func TestNothingRunsOnOnceItIsClosed(t *testing.T) {
	before := goleak.IgnoreCurrent()
	s := open(t, filepath.Join(t.TempDir(), "store"))
	ok(t, errors.Join(s.Put(t.Context(), pair(1)), s.Close()))
	goleak.VerifyNone(t, before)
}

// TestFoldersOfAnyName opens folders whose names mean something in an address.
func TestFoldersOfAnyName(t *testing.T) {
	for _, name := range []string{"a b?c=d&e", "a%41#ü"} {
		dir := filepath.Join(t.TempDir(), name)
		s := open(t, dir)
		ok(t, errors.Join(s.Put(t.Context(), pair(1)), s.Close()))
		if _, err := os.Stat(filepath.Join(dir, "data.db")); err != nil {
			t.Error(err)
		}
	}
}

// TestWhatIsInTheFolder finds nothing of PocketBase's own there: no users, no superusers, no log.
func TestWhatIsInTheFolder(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "store"))
	defer s.Close()
	all, err := s.app.FindAllCollections()
	ok(t, err)
	for _, c := range all {
		if !regexp.MustCompile(`^_|^(jobs|notices|settings|marks)$`).MatchString(c.Name) {
			t.Errorf("there is a collection %s", c.Name)
		}
		if c.ListRule != nil && !strings.HasPrefix(c.Name, "_") {
			t.Errorf("others may list %s", c.Name)
		}
	}
	if n, err := s.app.CountRecords("_superusers"); err != nil || n != 0 {
		t.Errorf("%d superusers, %v", n, err)
	}
	if days := s.app.Settings().Logs.MaxDays; days != 0 {
		t.Errorf("it keeps a log of %d days", days)
	}
}

// BenchmarkOpen opens a store that is there.
func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "store")
	ok(b, open(b, dir).Close())
	for b.Loop() {
		ok(b, open(b, dir).Close())
	}
}

// BenchmarkPut puts a batch of 100 new jobs.
func BenchmarkPut(b *testing.B) {
	s := open(b, filepath.Join(b.TempDir(), "store"))
	defer s.Close()
	n := int64(0)
	for b.Loop() {
		batch := store.Batch{}
		for range 50 {
			n++
			batch.Jobs = append(batch.Jobs, pair(n).Jobs...)
		}
		ok(b, s.Put(b.Context(), batch))
	}
	b.ReportMetric(float64(2*n)/b.Elapsed().Seconds(), "jobs/s")
}
