package httpd

import (
	"context"
	"net/http"
	"runtime/debug"
	"time"
)

// visit is what is known about a request under way.
type visit struct {
	mount  *mount
	caller Caller
}

type visitKey struct{}

func visitOf(ctx context.Context) *visit {
	v, _ := ctx.Value(visitKey{}).(*visit)
	return v
}

// ServeHTTP is the way of one request: is it meant for this server, may the page that sends it call, who is it, and how
// much does it bring. Only then its handler sees it.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	began := time.Now()
	w := newAnswer(rw, s.WriteIn)
	v := &visit{}
	s.meters.flight.Inc()
	defer func() {
		s.meters.flight.Dec()
		if trouble := recover(); trouble != nil && trouble != http.ErrAbortHandler {
			s.Log.Error("a handler panicked", "route", v.mount.route(), "panic", trouble, "stack", string(debug.Stack()))
			s.meters.panics.Inc()
			if w.begun() {
				w.count(s.meters, v.mount, r, began)
				panic(http.ErrAbortHandler) // half an answer must not look whole
			}
			s.refuse(w, r, v.mount, refusal(http.StatusInternalServerError, "this is a fault of the server; its log says more"))
		} else if trouble != nil {
			w.count(s.meters, v.mount, r, began)
			panic(trouble)
		}
		w.count(s.meters, v.mount, r, began)
		w.finish()
	}()
	harden(w.Header())
	if s.crossed(w, r) {
		return
	}
	m, otherwise := s.find(r)
	v.mount = m
	if no := s.admit(w, r, m); no != nil {
		s.refuse(w, r, m, no)
		return
	}
	if m == nil {
		s.refuseOtherwise(w, r, otherwise)
		return
	}
	r.Body = limitBody(rw, r.Body, first(m.MaxBody, s.MaxBody))
	body := newBody(r, rw, s.BodyIn, s.BodyRate)
	if body != nil {
		defer func() { body.finish(w.hijacked) }()
	}
	caller, no := s.identify(r, m)
	if no != nil {
		s.refuse(w, r, m, no)
		return
	}
	v.caller = caller
	s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitKey{}, v)))
}

// admit says whether a request is meant for this server, and may come from where it comes from.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, m *mount) *Refusal {
	if m == nil || !m.AnyHost {
		if no := s.names.check(r.Host, s.Named); no != nil {
			return no
		}
	}
	return s.checkOrigin(w, r, m)
}

// refuseOtherwise answers what is mounted nowhere, as the mux would, but in the form of all refusals.
func (s *Server) refuseOtherwise(w http.ResponseWriter, r *http.Request, h http.Handler) {
	if isRedirect(h) {
		h.ServeHTTP(w, r)
		return
	}
	heard := &status{header: w.Header()}
	h.ServeHTTP(heard, r)
	w.Header().Del("X-Content-Type-Options")
	harden(w.Header())
	if heard.code == http.StatusMethodNotAllowed {
		s.refuse(w, r, nil, refusal(heard.code, "%s is not for %s; it takes %s", r.Method, r.URL.Path, w.Header().Get("Allow")))
		return
	}
	s.refuse(w, r, nil, refusal(http.StatusNotFound, "there is nothing at %s; what there is: /docs", r.URL.Path))
}

// status hears what a handler would have answered, without its text.
type status struct {
	header http.Header
	code   int
}

func (s *status) Header() http.Header            { return s.header }
func (s *status) Write(body []byte) (int, error) { return len(body), nil }
func (s *status) WriteHeader(code int)           { s.code = code }

// harden sets what a browser should know of every answer.
func harden(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
}

func first[T comparable](a, b T) T {
	var zero T
	if a != zero {
		return a
	}
	return b
}
