package httpd

import (
	"bufio"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"time"
)

// The server's own time-outs hold for a whole request, and would end every stream. These hold while something is read or
// written, and no longer.

// piece is how much of an answer has to be taken in Config.WriteIn.
const piece = 256 << 10

// answer writes a response piece by piece, each in its time. Between two of them a stream may be silent for ever.
type answer struct {
	http.ResponseWriter
	ctl      *http.ResponseController
	within   time.Duration
	code     int
	stream   bool // it was flushed or upgraded: how long it took says nothing
	hijacked bool
}

func newAnswer(w http.ResponseWriter, within time.Duration) *answer {
	return &answer{ResponseWriter: w, ctl: http.NewResponseController(w), within: within}
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) begun() bool { return a.code != 0 || a.hijacked }

func (a *answer) WriteHeader(code int) {
	if a.code == 0 && code >= 200 || code == http.StatusSwitchingProtocols {
		a.code = code
	}
	a.ResponseWriter.WriteHeader(code)
}

// patiently gives one write its time. The time is taken back: on HTTP/2 it would end the stream when it passes later.
func (a *answer) patiently(write func() error) error {
	a.ctl.SetWriteDeadline(time.Now().Add(a.within))
	err := write()
	if err == nil {
		a.ctl.SetWriteDeadline(time.Time{})
	}
	return err
}

func (a *answer) Write(body []byte) (n int, err error) {
	a.code = first(a.code, http.StatusOK)
	for {
		part := body[n:min(n+piece, len(body))]
		err = a.patiently(func() error {
			m, err := a.ResponseWriter.Write(part)
			n += m
			return err
		})
		if err != nil || n >= len(body) {
			return n, err
		}
	}
}

// ReadFrom keeps the system's own way to send a file, or a part of one.
func (a *answer) ReadFrom(from io.Reader) (n int64, err error) {
	a.code = first(a.code, http.StatusOK)
	whole, ok := from.(*io.LimitedReader)
	if !ok {
		whole = &io.LimitedReader{R: from, N: math.MaxInt64}
	}
	for whole.N > 0 {
		part := &io.LimitedReader{R: whole.R, N: min(piece, whole.N)} // the system sees through one of them, not two
		asked := part.N
		var m int64
		err = a.patiently(func() error {
			m, err = io.Copy(a.ResponseWriter, part)
			return err
		})
		n += m
		whole.N -= m
		if err != nil || m < asked {
			return n, err
		}
	}
	return n, nil
}

func (a *answer) FlushError() error {
	a.stream = true
	a.code = first(a.code, http.StatusOK)
	return a.patiently(a.ctl.Flush)
}

func (a *answer) Flush() { a.FlushError() }

func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := a.ctl.Hijack()
	if err == nil {
		a.hijacked, a.stream = true, true
	}
	return conn, rw, err
}

// finish gives what is still buffered its time.
func (a *answer) finish() {
	if !a.hijacked {
		a.ctl.SetWriteDeadline(time.Now().Add(a.within))
	}
}

// body reads a request's body. It has to come at some rate, counted while somebody waits for it.
type body struct {
	io.ReadCloser
	ctl    *http.ResponseController
	grace  time.Duration
	rate   int // bytes a second
	n      int64
	waited time.Duration
	ended  bool
}

// newBody puts itself before a request's body; nil if there is none.
func newBody(r *http.Request, w http.ResponseWriter, grace time.Duration, rate int) *body {
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		return nil
	}
	b := &body{ReadCloser: r.Body, ctl: http.NewResponseController(w), grace: grace, rate: rate}
	r.Body = b
	return b
}

func (b *body) Read(into []byte) (int, error) {
	began := time.Now()
	b.ctl.SetReadDeadline(began.Add(b.grace + time.Duration(float64(b.n)/float64(b.rate)*float64(time.Second)) - b.waited))
	n, err := b.ReadCloser.Read(into)
	b.n += int64(n)
	b.waited += time.Since(began)
	if err == nil || errors.Is(err, io.EOF) {
		b.ctl.SetReadDeadline(time.Time{})
	}
	b.ended = b.ended || err != nil
	return n, err
}

// finish gives the server, which reads on what a handler has left, no longer than the handler had.
func (b *body) finish(hijacked bool) {
	if !b.ended && !hijacked {
		b.ctl.SetReadDeadline(time.Now().Add(b.grace))
	}
}

// limitBody bounds a body's bytes. The server hears of it, and ends the connection.
func limitBody(w http.ResponseWriter, body io.ReadCloser, most int64) io.ReadCloser {
	if most < 0 || body == nil || body == http.NoBody {
		return body
	}
	return http.MaxBytesReader(w, body, most)
}
