package httpd

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// replay remembers the signatures of events for as long as they could be shown again. Those that could be shown to the next
// process, too, are in a file: an event's time may lie a minute ahead. Of what else was signed before this process began, it
// cannot know, and lets none in.
type replay struct {
	began time.Time // whole seconds, as an event's time
	path  string    // "": nothing outlives the process

	mu     sync.Mutex
	seen   map[string]time.Time // mark of a signature: when it can be forgotten
	ofKey  map[string]int       // how many of them are one key's
	owner  map[string]string    // mark: key; of those that an earlier process took there is none
	tidied time.Time
	file   *os.File
	lines  int // in the file
}

// Bounds of what is remembered. Rather than forget, it lets nobody in: one key first.
const (
	maxSeen    = 200_000
	maxSeenKey = 5_000 // in two minutes
)

var (
	errSeen   = errors.New("this signature was used before; sign each request anew")
	errEarly  = errors.New("signed before this server started; sign anew")
	errFull   = errors.New("too many signed requests at once; use an app key")
	errForget = errors.New("the server cannot remember signatures now; use an app key")
)

// newReplay reads what an earlier process has remembered in a file; "" is none.
func newReplay(path string, now time.Time) (*replay, error) {
	p := &replay{began: now.Truncate(time.Second), path: path, seen: map[string]time.Time{}, ofKey: map[string]int{}, owner: map[string]string{}}
	if path == "" {
		return p, nil
	}
	f, err := os.Open(path)
	if err == nil {
		for lines := bufio.NewScanner(f); lines.Scan() && len(p.seen) < maxSeen; {
			var until int64
			var mark string
			if n, _ := fmt.Sscan(lines.Text(), &until, &mark); n == 2 && until > now.Unix() {
				p.seen[mark] = time.Unix(until, 0)
			}
		}
		f.Close()
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("used signatures: %w", err)
	}
	return p, p.rewrite()
}

// rewrite makes the file anew, without what can be forgotten.
func (p *replay) rewrite() error {
	var body strings.Builder
	for mark, until := range p.seen {
		fmt.Fprintf(&body, "%d %s\n", until.Unix(), mark)
	}
	if err := os.MkdirAll(filepath.Dir(p.path), 0o700); err != nil {
		return err
	}
	if err := replaceFile(p.path, []byte(body.String())); err != nil {
		return fmt.Errorf("used signatures: %w", err)
	}
	f, err := os.OpenFile(p.path, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("used signatures: %w", err)
	}
	p.close()
	p.file, p.lines = f, len(p.seen)
	return nil
}

func (p *replay) close() {
	if p.file != nil {
		p.file.Close()
	}
}

// first takes an event, once.
func (p *replay) first(sig, key string, at, until, now time.Time) error {
	if at.Before(p.began) {
		return errEarly
	}
	sum := sha256.Sum256([]byte(sig))
	mark := hex.EncodeToString(sum[:16])
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.tidied) >= time.Second {
		p.tidy(now)
	}
	switch _, again := p.seen[mark]; {
	case again:
		return errSeen
	case len(p.seen) >= maxSeen || p.ofKey[key] >= maxSeenKey:
		return errFull
	}
	if p.file != nil && !at.Before(now.Truncate(time.Second)) { // a process that begins now would take it
		if _, err := fmt.Fprintf(p.file, "%d %s\n", until.Unix(), mark); err != nil {
			return errForget
		}
		p.lines++
	}
	p.seen[mark], p.owner[mark] = until, key
	p.ofKey[key]++
	return nil
}

// tidy forgets what can no longer be shown.
func (p *replay) tidy(now time.Time) {
	p.tidied = now
	for mark, until := range p.seen {
		if until.After(now) {
			continue
		}
		delete(p.seen, mark)
		key, counted := p.owner[mark]
		if !counted {
			continue
		}
		delete(p.owner, mark)
		if p.ofKey[key]--; p.ofKey[key] == 0 {
			delete(p.ofKey, key)
		}
	}
	if p.file != nil && p.lines > 2*len(p.seen)+1000 {
		if err := p.rewrite(); err != nil {
			p.lines = 0 // it goes on growing for a while
		}
	}
}
