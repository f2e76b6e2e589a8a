package provider

import (
	"context"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"infernet/engine"
	"infernet/events"
)

// How far chunks lie apart: a reader gains nothing from more, and each costs a signature. Encrypted ones lie further
// apart, so that their sizes do not tell single tokens.
const (
	chunkEvery          = 100 * time.Millisecond
	chunkEveryEncrypted = 250 * time.Millisecond
)

// stream sends a job's output as chunks while it is made. The first goes out at once. Chunks are a preview: a failure
// to send one is nobody's loss.
type stream struct {
	p     *Provider
	ctx   context.Context
	j     *job
	every time.Duration

	mu    sync.Mutex
	text  strings.Builder // not sent yet
	all   strings.Builder
	seq   int64
	sent  time.Time
	timer *time.Timer
	over  bool
}

// stream begins the job's stream. If the customer does not want one, it says nothing.
func (p *Provider) stream(ctx context.Context, j *job) *stream {
	s := &stream{p: p, ctx: ctx, j: j, every: chunkEvery}
	if j.req.Encrypted {
		s.every = chunkEveryEncrypted
	}
	s.over = !j.req.Stream() || !j.req.Profile || j.terms.Pay == events.PaySealed
	return s
}

func (s *stream) emit(part engine.Part) error {
	delta, ok := part.(engine.Delta)
	if !ok {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return nil
	}
	s.text.WriteString(delta.Text)
	s.all.WriteString(delta.Text)
	wait := s.every - time.Since(s.sent)
	switch {
	case wait <= 0 || s.text.Len() >= events.MaxChunk:
		s.flush()
	case s.timer == nil:
		s.timer = time.AfterFunc(wait, s.tick)
	}
	return nil
}

func (s *stream) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timer = nil
	if !s.over {
		s.flush()
	}
}

// flush sends what has gathered, in chunks of whole characters.
func (s *stream) flush() {
	text := s.text.String()
	s.text.Reset()
	for len(text) > 0 {
		n := min(len(text), events.MaxChunk)
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n--
		}
		s.send(&events.Chunk{Delta: text[:n]})
		text = text[n:]
	}
	s.sent = time.Now()
}

func (s *stream) send(m *events.Chunk) {
	m.Head, m.Job, m.To = s.p.head(s.j), s.j.req.ID, s.j.req.Author
	m.Seq, m.Encrypted = s.seq, s.j.req.Encrypted
	s.seq++
	ev, err := events.Sign(s.ctx, m, s.p.Signer)
	if err == nil {
		err = s.p.publish(s.ctx, s.j, ev, false)
	}
	if err != nil {
		s.p.Log.Debug("a chunk was not sent", "job", s.j.req.ID, "err", err)
	}
}

// end sends what is left and the last chunk.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.over {
		return
	}
	s.over = true
	s.flush()
	s.send(&events.Chunk{Fin: true, X: events.ContentHash(s.all.String())})
}
