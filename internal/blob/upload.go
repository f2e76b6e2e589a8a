package blob

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// upload takes a file (BUD-02). If the connection is cut, what arrived is kept for PATCH.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) error {
	who, err := s.authorize(r, verbUpload)
	if err != nil {
		return err
	}
	sum, err := announced(r, who)
	if err != nil {
		return err
	}
	a := &arrival{s: s, who: who, sum: sum, size: r.ContentLength, kind: typeOf(r.Header.Get("Content-Type"))}
	return a.take(w, r, 0)
}

// resume takes the rest of a file (PATCH /<sha256>, as proposed for Blossom: Upload-Offset, Upload-Length, Upload-Type).
// Pieces come in order; one that overlaps what is here is taken from where it is new.
func (s *Server) resume(w http.ResponseWriter, r *http.Request, sum string) error {
	who, err := s.authorize(r, verbUpload)
	if err != nil {
		return err
	}
	if !who.names(sum) {
		return refuse(http.StatusUnauthorized, "the authorization does not name this file (x)")
	}
	size, err1 := strconv.ParseInt(r.Header.Get("Upload-Length"), 10, 64)
	from, err2 := strconv.ParseInt(r.Header.Get("Upload-Offset"), 10, 64)
	switch {
	case err1 != nil || err2 != nil || size < 0 || from < 0:
		return refuse(http.StatusBadRequest, "Upload-Length and Upload-Offset are needed")
	case r.ContentLength < 0:
		return refuse(http.StatusLengthRequired, "say how many bytes there are (Content-Length)")
	case from > size || r.ContentLength > size-from:
		return refuse(http.StatusRequestedRangeNotSatisfiable, "%d bytes from %d are more than %d", r.ContentLength, from, size)
	}
	a := &arrival{s: s, who: who, sum: sum, size: size, kind: typeOf(r.Header.Get("Upload-Type")), piece: true}
	return a.take(w, r, from)
}

// announced is the hash that an upload is bound to: the header's, or the only one that the token names. "" if the token
// names several.
func announced(r *http.Request, who *holder) (string, error) {
	sum := r.Header.Get("X-SHA-256")
	switch {
	case sum != "" && !isSum(sum):
		return "", refuse(http.StatusBadRequest, "X-SHA-256 is no hash of 64 lower-case hex characters")
	case len(who.sums) == 0 || sum != "" && !who.names(sum):
		return "", refuse(http.StatusUnauthorized, "the authorization does not name this file (x)")
	case sum == "" && len(who.sums) == 1:
		sum = who.sums[0]
		if !isSum(sum) {
			return "", refuse(http.StatusBadRequest, "the authorization's x is no hash of 64 lower-case hex characters")
		}
	}
	return sum, nil
}

// mayUpload says what an upload would be answered (BUD-06), and in Upload-Offset how much of it is here already.
func (s *Server) mayUpload(w http.ResponseWriter, r *http.Request) error {
	who, err := s.authorize(r, verbUpload)
	if err != nil {
		return err
	}
	sum, err := announced(r, who)
	if err != nil {
		return err
	}
	if sum == "" {
		return refuse(http.StatusBadRequest, "X-SHA-256 is needed")
	}
	length := r.Header.Get("X-Content-Length")
	if length == "" {
		return refuse(http.StatusLengthRequired, "X-Content-Length is needed")
	}
	size, err := strconv.ParseInt(length, 10, 64)
	if err != nil || size < 0 {
		return refuse(http.StatusBadRequest, "X-Content-Length %.40q is no number of bytes", length)
	}
	have, err := s.admit(sum, size)
	if err != nil {
		return err
	}
	if have != nil {
		w.Header().Set("Upload-Offset", strconv.FormatInt(have.size, 10))
	} else {
		w.Header().Set("Upload-Offset", strconv.FormatInt(s.parts.offset(who.key, sum), 10))
		p, err := s.parts.begin(who.key, sum, size, peerOf(r))
		if err != nil {
			return err
		}
		s.parts.rest(p)
	}
	_, err = s.charge(r, who.key, sum, size)
	return err
}

// admit asks whether a file is wanted here at all: it is not banned, nor too large. have is the file, if it is here.
func (s *Server) admit(sum string, size int64) (have *file, err error) {
	if sum == "" {
		return nil, nil
	}
	if err := s.store.checkBanned(sum); err != nil {
		return nil, err
	}
	have, err = s.store.find(sum, s.Now())
	if err != nil || have != nil && s.store.lies(sum) { // what the disk has lost is wanted again
		return have, err
	}
	if size > s.MaxBlob {
		return nil, refuse(http.StatusRequestEntityTooLarge, "%d bytes, at most %d are taken", size, s.MaxBlob)
	}
	return nil, nil
}

// arrival is one file on its way in.
type arrival struct {
	s     *Server
	who   *holder
	sum   string // "" if it is one of several
	size  int64
	kind  string
	piece bool   // the body is not the whole rest
	paid  string // the hash of the payment that it uses up
}

// take takes a body that begins at from.
func (a *arrival) take(w http.ResponseWriter, r *http.Request, from int64) error {
	s := a.s
	have, err := s.admit(a.sum, a.size)
	if err != nil {
		return err
	}
	if have != nil {
		a.size = have.size
	}
	if a.size >= 0 {
		if a.paid, err = s.charge(r, a.who.key, a.sum, a.size); err != nil {
			return err
		}
	}
	if have != nil {
		return a.own(w, r, have)
	}
	p, err := s.parts.begin(a.who.key, a.sum, a.size, peerOf(r))
	if err != nil {
		return err
	}
	if !a.piece && p.have > 0 { // a new PUT begins anew
		if err := s.parts.restart(p); err != nil {
			s.parts.drop(p)
			return err
		}
	}
	if from > p.have {
		no := refuse(http.StatusConflict, "%d bytes are here, the piece begins at %d", p.have, from)
		no.header = http.Header{"Upload-Offset": {strconv.FormatInt(p.have, 10)}}
		s.parts.rest(p)
		return no
	}
	body := s.patient(w, r)
	defer body.done()
	if _, err := io.CopyN(io.Discard, body, min(p.have-from, r.ContentLength)); err != nil {
		s.parts.rest(p)
		return refuse(http.StatusBadRequest, "the upload was cut")
	}
	if err := a.copy(p, body); err != nil {
		var no *refusal
		if errors.As(err, &no) && no.status == http.StatusInsufficientStorage {
			s.parts.drop(p)
			return err
		}
		s.parts.rest(p)
		return refuse(http.StatusBadRequest, "the upload was cut after %d of %d bytes", p.have, a.size)
	}
	if p.have < a.size {
		if !a.piece {
			s.parts.rest(p)
			return refuse(http.StatusBadRequest, "the upload has %d bytes, it announced %d", p.have, a.size)
		}
		w.Header().Set("Upload-Offset", strconv.FormatInt(p.have, 10))
		s.parts.rest(p)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return a.keep(w, r, p)
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

func (a *arrival) copy(p *part, body io.Reader) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := body.Read(*buf)
		if int64(n) > a.size-p.have {
			return refuse(http.StatusBadRequest, "more bytes than announced")
		}
		if n > 0 {
			if err := a.s.parts.write(p, (*buf)[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// keep makes a part that is all there a file, if its bytes are what they should be.
func (a *arrival) keep(w http.ResponseWriter, r *http.Request, p *part) error {
	s := a.s
	defer s.parts.drop(p)
	sum := p.got()
	if a.sum != "" && sum != a.sum || !a.who.names(sum) {
		return refuse(http.StatusConflict, "these bytes have the hash %s, which is not the one that was announced", sum)
	}
	if err := s.store.checkBanned(sum); err != nil {
		return err
	}
	if err := p.file.Sync(); err != nil {
		return err
	}
	f := &file{sum: sum, size: p.have, kind: a.kind, at: s.Now().Unix(), expires: s.expires(r)}
	if err := s.store.add(p.path, f, a.who.key, a.paid); err != nil {
		return err
	}
	s.Log.Debug("took a file", "sum", sum, "size", f.size, "key", a.who.key)
	return s.say(w, http.StatusCreated, s.descriptor(r, f))
}

// own answers an upload of what is here already: the key wants it, too.
func (a *arrival) own(w http.ResponseWriter, r *http.Request, f *file) error {
	s := a.s
	used, err := s.store.used(a.who.key, f.sum, s.Now())
	if err != nil {
		return err
	}
	if used+f.size > s.Quota {
		return refuse(http.StatusTooManyRequests, "your key keeps %d bytes here, at most %d", used, s.Quota)
	}
	wanted := *f
	wanted.at, wanted.expires = s.Now().Unix(), s.expires(r)
	if err := s.store.add("", &wanted, a.who.key, a.paid); err != nil {
		return err
	}
	f.expires = max(f.expires, wanted.expires)
	return s.say(w, http.StatusOK, s.descriptor(r, f))
}

// expires is until when a file is kept: as long as the server keeps files, or less if the X-Expiration header (unix
// seconds) says so.
func (s *Server) expires(r *http.Request) int64 {
	longest := s.Now().Add(s.Keep).Unix()
	if wish, err := strconv.ParseInt(r.Header.Get("X-Expiration"), 10, 64); err == nil && wish > s.Now().Unix() {
		return min(wish, longest)
	}
	return longest
}

func (s *Server) say(w http.ResponseWriter, status int, what any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return ignore(json.NewEncoder(w).Encode(what))
}

// ignore is for answers to who has gone.
func ignore(error) error { return nil }

// patient reads a body whose line may neither be silent nor too slow on average.
func (s *Server) patient(w http.ResponseWriter, r *http.Request) *patientBody {
	return &patientBody{body: r.Body, line: http.NewResponseController(w), s: s, began: time.Now()}
}

type patientBody struct {
	body  io.Reader
	line  *http.ResponseController
	s     *Server
	began time.Time
	n     int64
	whole bool // all of it was read
}

func (b *patientBody) Read(p []byte) (int, error) {
	slowest := b.began.Add(b.s.Stall + time.Duration(float64(b.n)/float64(b.s.MinRate)*float64(time.Second)))
	silent := time.Now().Add(b.s.Stall)
	if slowest.Before(silent) {
		silent = slowest
	}
	if err := b.line.SetReadDeadline(silent); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := b.body.Read(p)
	b.n += int64(n)
	if b.whole = errors.Is(err, io.EOF); errors.Is(err, os.ErrDeadlineExceeded) {
		err = errTooSlow
	}
	return n, err
}

var errTooSlow = errors.New("the line is too slow")

// farewell is how long who is refused in the middle of a body may go on sending: a line that is cut at once takes the
// reason with it.
const farewell = time.Second

// done leaves the line as it should be: free after a whole body; else the HTTP server would wait for the rest, to throw it
// away.
func (b *patientBody) done() {
	if b.whole {
		b.line.SetReadDeadline(time.Time{})
		return
	}
	b.line.SetReadDeadline(time.Now().Add(farewell))
}

// tooSlow says whether what has come since began is less than a transfer must make.
func (s *Server) tooSlow(began time.Time, n int64) bool {
	return time.Since(began) > s.Stall+time.Duration(float64(n)/float64(s.MinRate)*float64(time.Second))
}
