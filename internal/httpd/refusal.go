package httpd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// Refusal is a no: its status, and what is wrong and what to do, for people.
type Refusal struct {
	Status int
	Detail string
	Retry  int    // seconds after which to try again; 0 if that does not help
	Prove  string // the WWW-Authenticate header of a 401
}

func (r *Refusal) Error() string { return r.Detail }

func refusal(status int, format string, args ...any) *Refusal {
	return &Refusal{Status: status, Detail: fmt.Sprintf(format, args...)}
}

// Refuser writes a refusal for a mount whose clients expect a shape of their own. Headers are set already.
type Refuser func(w http.ResponseWriter, r *http.Request, no *Refusal)

// Fail is an error for an operation to return: a status and what is wrong and what to do.
func Fail(status int, format string, args ...any) error {
	return huma.NewError(status, fmt.Sprintf(format, args...))
}

// refuse writes a refusal: a problem document (RFC 9457), if the mount has no form of its own.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, m *mount, no *Refusal) {
	s.meters.refused.WithLabelValues(strconv.Itoa(no.Status)).Inc()
	if no.Retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(no.Retry))
	}
	if no.Prove != "" {
		w.Header().Set("WWW-Authenticate", no.Prove)
	}
	w.Header().Set("Cache-Control", "no-store")
	if m != nil && m.Refuse != nil {
		m.Refuse(w, r, no)
		return
	}
	body, err := json.Marshal(huma.ErrorModel{Title: http.StatusText(no.Status), Status: no.Status, Detail: no.Detail})
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(no.Status)
	w.Write(append(body, '\n'))
}
