package httpd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"

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

// Problem is a refusal as it is written: a problem document (RFC 9457) with a code for programs and facts beside it.
type Problem struct {
	huma.ErrorModel
	Code  string `json:"code,omitempty" doc:"what is wrong, for programs"`
	Facts any    `json:"infernet,omitempty" doc:"what is known beside it: the job, its node, what was paid"`
}

// problems makes the library write its own refusals as Problems, and describe them so.
var problems = sync.OnceFunc(func() {
	plain := huma.NewError
	huma.NewError = func(status int, text string, errs ...error) huma.StatusError {
		return &Problem{ErrorModel: *plain(status, text, errs...).(*huma.ErrorModel)}
	}
})

// Fail is an error for an operation to return: a status and what is wrong and what to do.
func Fail(status int, format string, args ...any) error {
	return FailAs(status, "", nil, fmt.Sprintf(format, args...))
}

// FailAs is Fail with a code for programs, and facts (nil if there are none).
func FailAs(status int, code string, facts any, text string) error {
	return &Problem{huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: text}, code, facts}
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
