package store

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"infernet/events"
	"infernet/internal/ledger"
)

// Handler answers over HTTP what can be looked at: /jobs, /notices, /settings, each a JSON list, and /backup. Who may ask
// is for the listener to say: the owner's socket lies in a folder of its own.
func Handler(r interface {
	Reader
	Backuper
}) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jobs", func(w http.ResponseWriter, req *http.Request) {
		q, err := jobQuery(req.URL.Query())
		if err != nil {
			fail(w, http.StatusBadRequest, err)
			return
		}
		rows, err := r.Jobs(req.Context(), q)
		answer(w, rows, err)
	})
	mux.HandleFunc("GET /notices", func(w http.ResponseWriter, req *http.Request) {
		in := numbers{values: req.URL.Query()}
		q := NoticeQuery{Before: in.number("before"), Limit: int(in.number("limit"))}
		if in.err != nil {
			fail(w, http.StatusBadRequest, in.err)
			return
		}
		rows, err := r.Notices(req.Context(), q)
		var out []sequenced
		for _, n := range rows {
			out = append(out, sequenced{n, n.Seq})
		}
		answer(w, out, err)
	})
	mux.HandleFunc("GET /settings", func(w http.ResponseWriter, req *http.Request) {
		rows, err := r.Settings(req.Context())
		answer(w, rows, err)
	})
	mux.HandleFunc("GET /backup", func(w http.ResponseWriter, req *http.Request) {
		out := &counted{w: w}
		err := r.Backup(req.Context(), out)
		switch {
		case err == nil:
		case out.n == 0:
			fail(w, http.StatusInternalServerError, err)
		default:
			panic(http.ErrAbortHandler) // half a backup must not look like a whole one
		}
	})
	return mux
}

type counted struct {
	w http.ResponseWriter
	n int
}

func (c *counted) Write(b []byte) (int, error) {
	if c.n == 0 {
		c.w.Header().Set("Content-Type", "application/zip")
	}
	n, err := c.w.Write(b)
	c.n += n
	return n, err
}

func answer(w http.ResponseWriter, rows any, err error) {
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(rows)
}

func fail(w http.ResponseWriter, status int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

// numbers reads numbers from a query, and keeps the first trouble.
type numbers struct {
	values url.Values
	err    error
}

func (in *numbers) number(name string) int64 {
	text := in.values.Get(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if (err != nil || n < 0) && in.err == nil {
		in.err = fmt.Errorf("%s: %q is no number from 0", name, text)
	}
	return n
}

// values is a query as the address says it.
func (q JobQuery) values() url.Values {
	v := url.Values{"limit": {strconv.Itoa(Limit(q.Limit))}}
	if q.Role != "" {
		v.Set("role", string(q.Role))
	}
	if q.Live {
		v.Set("live", "1")
	}
	if q.Since > 0 {
		v.Set("since", strconv.FormatInt(int64(q.Since), 10))
	}
	if q.Before != nil {
		v.Set("before", q.Before.String())
	}
	return v
}

func jobQuery(v url.Values) (q JobQuery, err error) {
	in := numbers{values: v}
	q = JobQuery{Role: ledger.Role(v.Get("role")), Live: v.Get("live") != "", Since: events.Unix(in.number("since")), Limit: int(in.number("limit"))}
	if q.Role != "" && q.Role != ledger.Provider && q.Role != ledger.Customer {
		return q, fmt.Errorf("role: %q is neither provider nor customer", q.Role)
	}
	if text := v.Get("before"); text != "" {
		mark, err := ParseMark(text)
		if err != nil {
			return q, err
		}
		q.Before = &mark
	}
	return q, in.err
}

// String is the mark in an address: time, number, role.
func (m Mark) String() string { return fmt.Sprintf("%d.%d.%s", m.At, m.Seq, m.Role) }

// ParseMark reads a mark that String has written.
func ParseMark(text string) (m Mark, err error) {
	parts := strings.SplitN(text, ".", 3)
	if len(parts) == 3 {
		at, wrong := strconv.ParseInt(parts[0], 10, 64)
		seq, wrongToo := strconv.ParseInt(parts[1], 10, 64)
		if wrong == nil && wrongToo == nil {
			return Mark{events.Unix(at), seq, ledger.Role(parts[2])}, nil
		}
	}
	return m, fmt.Errorf("before: %q is no place in a list", text)
}
