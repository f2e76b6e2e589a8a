package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"infernet/internal/notify"
)

// ErrOwned says that another process owns a folder's store: read it with Dial.
var ErrOwned = errors.New("another process owns the store")

// Config says what an owner owns. Dir and Open are needed.
type Config struct {
	Dir     string                          // made if it is not there; for its owner only
	Open    func(dir string) (Store, error) // opens the store in a folder, and makes it
	Files   Files                           // the journals
	Changed func(Job)                       // told each row that is new or has changed; may be told a row again; nil: nobody
	Log     *slog.Logger
}

// Owner owns a folder's store: it keeps it in step with the journals and lets other processes read it. Its own reads are
// always in step.
type Owner struct {
	Config
	lock  *os.File
	store Store
	nudge chan struct{}

	mu       sync.Mutex // one catches up at a time
	follower *follower
	journals *Journals
	first    bool // it has caught up once
}

var _ Reader = (*Owner)(nil)

// Names in an owner's folder.
const (
	lockName   = "lock"
	socketName = "socket"
	dataName   = "data"
	brokenName = "broken"
)

// Lock keeps other owners out of a folder, until unlock. ErrOwned if there is one.
func Lock(dir string) (unlock func() error, err error) {
	f, err := lock(dir)
	if err != nil {
		return nil, err
	}
	return f.Close, nil
}

func lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o700); err != nil { // the socket's guard
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w in %s", ErrOwned, dir)
		}
		return nil, err
	}
	return f, nil
}

// DataDir is where in an owner's folder the store itself lies.
func DataDir(dir string) string { return filepath.Join(dir, dataName) }

// Own takes a folder's store. A store that does not open is put aside and made anew from the journals. Errors: ErrOwned.
func Own(ctx context.Context, c Config) (*Owner, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	held, err := lock(c.Dir)
	if err != nil {
		return nil, err
	}
	o := &Owner{Config: c, lock: held, nudge: make(chan struct{}, 1)}
	if err := o.open(ctx); err != nil {
		return nil, errors.Join(err, o.Close())
	}
	return o, nil
}

func (o *Owner) open(ctx context.Context) (err error) {
	if o.journals, err = OpenJournals(o.Files); err != nil {
		return err
	}
	if o.store, o.follower, err = o.start(ctx); err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	broken := filepath.Join(o.Dir, brokenName)
	o.Log.Warn("the history does not open: it is put aside and made anew", "aside", broken, "err", err)
	if err := errors.Join(os.RemoveAll(broken), os.Rename(DataDir(o.Dir), broken)); err != nil {
		return err
	}
	o.store, o.follower, err = o.start(ctx)
	return err
}

// start opens the store and finds out where it stands.
func (o *Owner) start(ctx context.Context) (Store, *follower, error) {
	s, err := o.Config.Open(DataDir(o.Dir))
	if err != nil {
		return nil, nil, err
	}
	f, err := follow(ctx, s, o.journals, o.Changed)
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, f, nil
}

// Close closes the store and lets others own it. Run must have ended.
func (o *Owner) Close() error {
	var errs []error
	if o.store != nil {
		errs = append(errs, o.store.Close())
	}
	if o.journals != nil {
		errs = append(errs, o.journals.Close())
	}
	return errors.Join(append(errs, o.lock.Close())...)
}

// Nudge says that a journal has grown. It returns at once; Run would look by itself, a little later.
func (o *Owner) Nudge() {
	select {
	case o.nudge <- struct{}{}:
	default:
	}
}

const (
	lookEvery = 5 * time.Second        // other processes write journals too
	gather    = 250 * time.Millisecond // after a nudge more are to come
)

// Run follows the journals and answers other processes, until ctx ends.
func (o *Owner) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var serving sync.WaitGroup
	defer serving.Wait()
	if l, err := listen(filepath.Join(o.Dir, socketName)); err != nil {
		o.Log.Warn("other commands read the journals themselves", "err", err)
	} else {
		server := &http.Server{Handler: Handler(o), ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
		serving.Go(func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
		})
		defer server.Close()
	}
	for {
		if err := o.CatchUp(ctx); err != nil && ctx.Err() == nil {
			o.Log.Error("the history falls behind", "err", err)
		}
		timer := time.NewTimer(lookEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
			continue
		case <-o.nudge:
			timer.Reset(gather)
		}
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// listen makes the owner's socket. One that is left over is nobody's: the owner holds the lock.
func listen(path string) (net.Listener, error) {
	const longest = 103 // bytes, on macOS; 107 on Linux
	if len(path) > longest {
		return nil, fmt.Errorf("%s is too long for a socket, %d bytes at most", path, longest)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return net.Listen("unix", path)
}

// CatchUp brings the store in step with the journals.
func (o *Owner) CatchUp(ctx context.Context) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	err := o.follower.catchUp(ctx)
	o.first = o.first || err == nil
	return err
}

// reader gives the store once it is in step. While it is made anew, and if it cannot follow, the journals are read.
func (o *Owner) reader(ctx context.Context) Reader {
	if !o.mu.TryLock() {
		return o.journals // another reader, or the first look, is at it
	}
	defer o.mu.Unlock()
	if !o.first {
		return o.journals
	}
	if err := o.follower.catchUp(ctx); err != nil {
		o.Log.Error("the history falls behind", "err", err)
		return o.journals
	}
	return o.store
}

// Jobs gives what is wanted of the history.
func (o *Owner) Jobs(ctx context.Context, q JobQuery) ([]Job, error) {
	return o.reader(ctx).Jobs(ctx, q)
}

// Notices gives what is wanted of the notices.
func (o *Owner) Notices(ctx context.Context, q NoticeQuery) ([]notify.Notice, error) {
	return o.reader(ctx).Notices(ctx, q)
}

// Settings gives all settings that were changed while running.
func (o *Owner) Settings(ctx context.Context) ([]Setting, error) { return o.reader(ctx).Settings(ctx) }

// Backup writes a copy of the store, in step.
func (o *Owner) Backup(ctx context.Context, to io.Writer) error {
	b, ok := o.store.(Backuper)
	if !ok {
		return errors.New("this store makes no backups")
	}
	if err := o.CatchUp(ctx); err != nil {
		return err
	}
	return b.Backup(ctx, to)
}
