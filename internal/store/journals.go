package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"sync"

	"infernet/events"
	"infernet/internal/ledger"
	"infernet/internal/notify"
)

// Files say where the journals are. A file that is not there yet is an empty journal; none is made.
type Files struct {
	Ledgers map[string]string // by a name that stays the same
	Notices string
	Signer  events.Signer // the node's, to open what it said; nil: that stays closed
}

// Topic is the topic of settings among a ledger's records.
const Topic = "setting"

// Journals reads the journals themselves. It is slower than a store, and always right.
type Journals struct {
	files Files

	mu      sync.Mutex
	ledgers map[string]*ledger.Ledger
	outbox  *notify.Outbox
}

var _ Reader = (*Journals)(nil)

// OpenJournals opens the journals that are there.
func OpenJournals(files Files) (*Journals, error) {
	j := &Journals{files: files, ledgers: map[string]*ledger.Ledger{}}
	if err := j.look(); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return j, nil
}

// look opens what was made since the last look.
func (j *Journals) look() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for name, path := range j.files.Ledgers {
		if _, err := os.Stat(path); err != nil || j.ledgers[name] != nil {
			continue
		}
		l, err := ledger.Open(path)
		if err != nil {
			return err
		}
		j.ledgers[name] = l
	}
	if _, err := os.Stat(j.files.Notices); err == nil && j.outbox == nil {
		o, err := notify.Open(j.files.Notices, notify.Config{})
		if err != nil {
			return err
		}
		j.outbox = o
	}
	return nil
}

// seen gives what is open.
func (j *Journals) seen() (map[string]*ledger.Ledger, *notify.Outbox) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.ledgers), j.outbox
}

// Close closes the journals.
func (j *Journals) Close() error {
	ledgers, outbox := j.seen()
	var open []io.Closer
	for _, l := range ledgers {
		open = append(open, l)
	}
	if outbox != nil {
		open = append(open, outbox)
	}
	var errs []error
	for _, part := range open {
		errs = append(errs, part.Close())
	}
	return errors.Join(errs...)
}

// Jobs computes the rows that are wanted, and no others.
func (j *Journals) Jobs(ctx context.Context, q JobQuery) ([]Job, error) {
	type entry struct {
		mark Mark
		row  ledger.Row
		l    *ledger.Ledger
	}
	ledgers, _ := j.seen()
	var entries []entry
	for name, l := range ledgers {
		for _, role := range []ledger.Role{ledger.Provider, ledger.Customer} {
			rows, err := l.Jobs(role, math.MaxInt64)
			if err != nil {
				return nil, fmt.Errorf("history in %s: %w", name, err)
			}
			for _, row := range rows {
				entries = append(entries, entry{Mark{events.At(row.At), row.Seq, row.Role}, row, l})
			}
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return a.mark.Compare(b.mark) })
	found := []Job{}
	for _, e := range entries {
		if len(found) == Limit(q.Limit) || e.mark.At < q.Since {
			break
		}
		if q.Role != "" && q.Role != e.row.Role || q.Before != nil && e.mark.Compare(*q.Before) <= 0 {
			continue
		}
		job, err := jobOf(ctx, e.l, e.row, j.files.Signer)
		if err != nil {
			return nil, trouble(e.row.Job, err)
		}
		if q.Wants(&job) {
			found = append(found, job)
		}
	}
	return found, nil
}

// Notices reads the outbox.
func (j *Journals) Notices(_ context.Context, q NoticeQuery) ([]notify.Notice, error) {
	_, outbox := j.seen()
	if outbox == nil {
		return nil, nil
	}
	return outbox.Newest(q.Before, Limit(q.Limit))
}

// Settings reads the ledgers' records.
func (j *Journals) Settings(context.Context) ([]Setting, error) {
	ledgers, _ := j.seen()
	newest := map[string]Setting{}
	for name, l := range ledgers {
		records, err := l.Records(Topic, 0)
		if err != nil {
			return nil, fmt.Errorf("settings in %s: %w", name, err)
		}
		for _, r := range records {
			if s := settingOf(r); s.At >= newest[s.Name].At {
				newest[s.Name] = s
			}
		}
	}
	all := []Setting{}
	for _, s := range newest {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Setting) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

func settingOf(r ledger.Record) Setting { return Setting{r.Name, string(r.Value), events.At(r.At)} }
