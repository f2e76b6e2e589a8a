package relay

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"

	"github.com/mailru/easyjson"
	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/relay/eventlog"
)

// Imported is what became of the lines of an import.
type Imported struct {
	Lines   int            `json:"lines"`   // all of them, empty ones too
	Taken   int            `json:"taken"`   // events that are on the disk now, and were not
	Had     int            `json:"had"`     // that the relay had, or a newer version of
	Refused map[string]int `json:"refused"` // why, with N for each number; how often
	First   map[string]int `json:"first"`   // why; in which line first, from 1
}

// Add counts the lines of a later part of the same import.
func (i *Imported) Add(more Imported) {
	for why, n := range more.Refused {
		i.refuse(why, n, i.Lines+more.First[why])
	}
	i.Lines, i.Taken, i.Had = i.Lines+more.Lines, i.Taken+more.Taken, i.Had+more.Had
}

// maxReasons is how many reasons are told apart.
const maxReasons = 100

func (i *Imported) refuse(why string, n, line int) {
	if i.Refused == nil {
		i.Refused, i.First = map[string]int{}, map[string]int{}
	}
	if _, known := i.Refused[why]; !known && len(i.Refused) >= maxReasons {
		why = "other reasons"
	}
	if i.Refused[why] += n; i.First[why] == 0 || line < i.First[why] {
		i.First[why] = line
	}
}

// Import takes events from lines of JSON, in their order, as if they came in now: each is verified, and what the relay's
// rules refuse is counted with the reason. Only work (NIP-13) is not asked for. It returns once all are on the disk, or with
// eventlog.ErrFull: then what came before is, and the import can be done again, for what is there is passed over.
func (r *Relay) Import(ctx context.Context, from io.Reader) (all Imported, err error) {
	lines := bufio.NewReaderSize(from, maxFrame)
	for {
		batch, end := readLines(lines)
		if err := r.importBatch(ctx, batch, &all); err != nil {
			return all, err
		}
		if end != nil {
			if errors.Is(end, io.EOF) {
				return all, nil
			}
			return all, end
		}
	}
}

// line is one of an import.
type line struct {
	body []byte // nil of one that is too long
	ev   *nostr.Event
	raw  []byte
	why  string
}

// batchLines is how many lines are verified side by side.
const batchLines = 512

func readLines(from *bufio.Reader) (batch []*line, end error) {
	for len(batch) < batchLines {
		body, err := from.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = from.ReadSlice('\n')
			}
			batch = append(batch, &line{why: fmt.Sprintf("invalid: a line of more than %d bytes", maxFrame)})
		case len(bytes.TrimSpace(body)) > 0:
			batch = append(batch, &line{body: bytes.Clone(body)})
		case err == nil:
			batch = append(batch, nil) // which has a number, too
		}
		if err != nil {
			return batch, err
		}
	}
	return batch, nil
}

// importBatch verifies lines side by side, then takes them one after the other.
func (r *Relay) importBatch(ctx context.Context, batch []*line, all *Imported) error {
	var verifying sync.WaitGroup
	next := make(chan *line)
	for range runtime.GOMAXPROCS(0) {
		verifying.Go(func() {
			for l := range next {
				l.verify()
			}
		})
	}
	for _, l := range batch {
		if l != nil {
			next <- l
		}
	}
	close(next)
	verifying.Wait()
	var (
		mu      sync.Mutex
		waiting sync.WaitGroup
		full    error
	)
	ctx = context.WithValue(ctx, importKey{}, true)
	for i, l := range batch {
		if err := ctx.Err(); err != nil {
			waiting.Wait()
			return err
		}
		at := all.Lines + i + 1
		heard := func(ok bool, why string) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case ok && why == "":
				all.Taken++
			case ok || strings.HasPrefix(why, "duplicate:"):
				all.Had++
			case strings.Contains(why, eventlog.ErrFull.Error()):
				full = eventlog.ErrFull
			default:
				all.refuse(general(why), 1, at)
			}
		}
		if l == nil {
			continue
		}
		if l.why != "" {
			heard(false, l.why)
			continue
		}
		waiting.Add(1)
		if !r.add(ctx, l.ev, l.raw, func(ok bool, why string) { heard(ok, why); waiting.Done() }) {
			waiting.Done()
			waiting.Wait()
			return errClosing
		}
	}
	waiting.Wait()
	all.Lines += len(batch)
	return full
}

// verify reads a line, and checks what a session checks of an event.
func (l *line) verify() {
	if l.body == nil {
		return
	}
	var ev nostr.Event
	if err := easyjson.Unmarshal(l.body, &ev); err != nil {
		l.why = "invalid: the line is no JSON of an event"
		return
	}
	raw, err := easyjson.Marshal(&ev)
	switch {
	case err != nil:
		l.why = "invalid: the event cannot be written again"
	case len(raw) > events.MaxEvent:
		l.why = fmt.Sprintf("invalid: event of %d bytes, at most %d are taken", len(raw), events.MaxEvent)
	case ev.Kind == nostr.KindClientAuthentication || nostr.IsEphemeralKind(ev.Kind):
		l.why = "invalid: events of this kind are not kept"
	default:
		if err := events.Verify(&ev); err != nil {
			l.why = "invalid: " + strings.TrimPrefix(err.Error(), events.ErrMalformed.Error()+": ")
		}
	}
	l.ev, l.raw = &ev, raw
}

type importKey struct{}

// importing says whether an event comes from the operator, rather than from a client.
func importing(ctx context.Context) bool {
	yes, _ := ctx.Value(importKey{}).(bool)
	return yes
}

// general is a reason without its numbers and ids, so that like ones are counted together.
func general(why string) string {
	var b strings.Builder
	for word := range strings.SplitSeq(why, " ") {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		bare := strings.Trim(word, `",.:;()`)
		if bare != "" && strings.Trim(bare, "0123456789abcdef-") == "" && strings.ContainsAny(bare, "0123456789") {
			word = strings.Replace(word, bare, "N", 1)
		}
		b.WriteString(word)
	}
	return cut(b.String(), 200)
}
