package store

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"infernet/internal/notify"
)

// asked is a reader that remembers what it was asked for.
type asked struct{ job JobQuery }

func (a *asked) Jobs(_ context.Context, q JobQuery) ([]Job, error)                 { a.job = q; return nil, nil }
func (a *asked) Notices(context.Context, NoticeQuery) (n []notify.Notice, _ error) { return n, nil }
func (a *asked) Settings(context.Context) ([]Setting, error)                       { return nil, nil }
func (a *asked) Backup(context.Context, io.Writer) error                           { return nil }

// FuzzQuery asks for anything over HTTP: it is answered with JSON, or refused with words; a query that is understood says
// the same when it is written again.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"", "role=provider&live=1&since=5&limit=7", "before=5.6.customer", "before=a.b.c", "limit=-1", "limit=99999999999999999999", "role=x", "before=1.2", "%zz", "a;b"} {
		f.Add("/jobs", s)
		f.Add("/notices", s)
	}
	f.Add("/settings", "x=y")
	f.Add("//jobs/../backup", "")
	f.Fuzz(func(t *testing.T, path, query string) {
		a := &asked{}
		r := &http.Request{Method: "GET", URL: &url.URL{Path: path, RawQuery: query}, Host: "store"}
		w := httptest.NewRecorder()
		Handler(a).ServeHTTP(w, r)
		if body := w.Body.Bytes(); w.Header().Get("Content-Type") == "application/json" && !json.Valid(body) {
			t.Fatalf("%s?%s: %d %s", path, query, w.Code, body)
		}
		if path != "/jobs" || w.Code != http.StatusOK {
			return
		}
		again, err := jobQuery(a.job.values())
		if err != nil {
			t.Fatalf("%q is understood as %+v, which is not: %v", query, a.job, err)
		}
		again.Limit, a.job.Limit = 0, 0 // bounded in between
		if same, _ := json.Marshal(again); string(same) != mustJSON(a.job) {
			t.Fatalf("%q is %s, and then %s", query, mustJSON(a.job), same)
		}
	})
}

func mustJSON(v any) string {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(body)
}
