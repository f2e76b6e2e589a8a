package blob

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"infernet/events"
	"infernet/internal/guard"
)

// mirror takes a file from another server (BUD-04), through the guard.
func (s *Server) mirror(w http.ResponseWriter, r *http.Request) error {
	who, err := s.authorize(r, verbUpload)
	if err != nil {
		return err
	}
	if s.costs(who.key) {
		return refuse(http.StatusForbidden, "files are paid for here, and a mirrored one has no size before it came: upload it")
	}
	body := s.patient(w, r)
	defer body.done()
	var ask struct {
		URL string `json:"url"`
	}
	if err := json.NewDecoder(io.LimitReader(body, 8<<10)).Decode(&ask); err != nil || ask.URL == "" {
		return refuse(http.StatusBadRequest, `the body is no {"url":"…"}`)
	}
	u, err := s.fetch.Check(ask.URL)
	if err != nil {
		return refuse(http.StatusBadRequest, "url: %v", err)
	}
	a := &arrival{s: s, who: who}
	if a.sum, err = announced(r, who); err != nil {
		return err
	}
	if have, err := s.admit(a.sum, 0); err != nil {
		return err
	} else if have != nil {
		return a.own(w, r, have)
	}
	most, err := s.mostOf(who.key)
	if err != nil {
		return err
	}
	p, err := s.parts.begin(who.key, "", most, peerOf(r)) // unnamed: what was cut is fetched anew
	if err != nil {
		return err
	}
	began := time.Now()
	got, err := s.fetch.Fetch(r.Context(), u.String(), writerFunc(func(b []byte) (int, error) {
		if p.have+int64(len(b)) > most {
			return 0, refuse(http.StatusRequestEntityTooLarge, "larger than the %d bytes that your key may have here", most)
		}
		if s.tooSlow(began, p.have) {
			return 0, refuse(http.StatusBadGateway, "the other server is slower than %d bytes a second", s.MinRate)
		}
		return len(b), s.parts.write(p, b)
	}))
	if err != nil {
		s.parts.drop(p)
		var no *refusal
		switch {
		case errors.As(err, &no):
			return no
		case errors.Is(err, guard.ErrTooLarge):
			return refuse(http.StatusRequestEntityTooLarge, "%v", err)
		case errors.Is(err, guard.ErrBlocked):
			return refuse(http.StatusBadRequest, "%v", err)
		}
		return refuse(http.StatusBadGateway, "%v", err)
	}
	a.kind = typeOf(got.Type)
	return a.keep(w, r, p)
}

// mostOf is the largest file that a key may bring now.
func (s *Server) mostOf(key events.PubKey) (int64, error) {
	used, err := s.store.used(key, "", s.Now())
	return max(0, min(s.MaxBlob, s.Quota-used, s.Total-s.store.bytes()-s.parts.bytes(), freeBytes(s.Dir)-s.MinFree)), err
}

type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
