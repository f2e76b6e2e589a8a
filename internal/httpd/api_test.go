package httpd

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/pb33f/libopenapi"
	"github.com/pb33f/libopenapi-validator/schema_validation"

	"infernet/nips/nip98"
)

type order struct {
	Dish  string   `json:"dish" minLength:"1" maxLength:"20" doc:"what to cook"`
	Hot   int      `json:"hot" minimum:"0" maximum:"5" default:"1"`
	Sides []string `json:"sides,omitempty" maxItems:"3"`
}

// kitchen mounts operations of every sort.
func kitchen(s *Server) {
	type in struct {
		Table string `path:"table" maxLength:"8" doc:"the table's number"`
		Tip   int    `query:"tip" minimum:"0" doc:"sat"`
		Body  order
	}
	type out struct {
		Place string `header:"Location"`
		Body  struct {
			order
			Table string `json:"table"`
			Tip   int    `json:"tip"`
			Who   string `json:"who"`
		}
	}
	Handle(s, Operation{
		Method: "POST", Path: "/api/v1/tables/{table}/orders", ID: "placeOrder", Group: "orders", Summary: "Order a dish", Text: "It is *cooked* at once.",
		Status: 201, Fails: []int{409}, Rules: Rules{Access: Optional},
	}, func(ctx context.Context, in *in) (*out, error) {
		switch in.Body.Dish {
		case "gone":
			return nil, Fail(http.StatusConflict, "%s is gone; hint: order soup", in.Body.Dish)
		case "burnt":
			return nil, errors.New("the stove at /secret/path")
		case "dropped":
			panic("the plate")
		}
		o := &out{Place: "/api/v1/orders/1"}
		o.Body.order, o.Body.Table, o.Body.Tip, o.Body.Who = in.Body, in.Table, in.Tip, CallerOf(ctx).PubKey
		return o, nil
	})
	Handle(s, Operation{Method: "DELETE", Path: "/api/v1/orders/{id}", ID: "cancelOrder", Group: "orders", Summary: "Cancel an order", Rules: Rules{Scope: "cancel"}},
		func(context.Context, *struct {
			ID string `path:"id"`
		}) (*struct{}, error) {
			return nil, nil
		})
	Stream(s, Operation{Method: "GET", Path: "/api/v1/orders/{id}/events", ID: "orderEvents", Group: "orders", Summary: "What becomes of an order"},
		map[string]any{"cooking": order{}, "done": struct{ At int64 }{}}, func(_ context.Context, in *struct {
			ID    string `path:"id"`
			After string `query:"after"`
		}, to *Events) error {
			return to.Send("8\n9", "done", map[string]any{"At": 1, "After": to.After, "ID": in.ID})
		})
	type chat struct {
		Body struct {
			Model string `json:"model"`
		}
	}
	Describe[chat, chat](s, Operation{Method: "POST", Path: "/v1/chat/completions", ID: "chat", Group: "openai", Summary: "A chat, as OpenAI's API has it"})
	s.Mount("POST /v1/chat/completions", Rules{}, echo)
}

func TestOperations(t *testing.T) {
	s := open(t, nil)
	kitchen(s)
	run(t, s)
	const at = "/api/v1/tables/7/orders"
	resp, said := ask(t, s, "POST", at+"?tip=5", `{"dish":"soup","hot":2}`, nil)
	want(t, "an order", resp, said, 201, `"table":"7","tip":5,"who":""`)
	if resp.Header.Get("Location") != "/api/v1/orders/1" || strings.Contains(said, "$schema") {
		t.Errorf("an order: %v %s", resp.Header, said)
	}
	body := `{"dish":"tea","hot":0}`
	resp, said = ask(t, s, "POST", at, body, signed(t, nip98.Request{URL: s.URL() + at, Method: "POST", Body: []byte(body)}, time.Now()))
	want(t, "a signed one", resp, said, 201, `"who":"3ba6db`)
	for name, c := range map[string]struct {
		path, body string
		code       int
		says       string
	}{
		"nothing":           {at, "", 400, "body"},
		"no JSON":           {at, "{", 400, ""},
		"a number too high": {at, `{"dish":"soup","hot":6}`, 422, "body.hot"},
		"a field too many":  {at, `{"dish":"soup","hot":1,"cold":1}`, 422, "body.cold"},
		"a field too few":   {at, `{"hot":1}`, 422, "dish"},
		"a path too long":   {"/api/v1/tables/123456789/orders", `{"dish":"soup","hot":1}`, 422, "path.table"},
		"a bad parameter":   {at + "?tip=-1", `{"dish":"soup","hot":1}`, 422, "query.tip"},
		"one of its own":    {at, `{"dish":"gone","hot":1}`, 409, "gone is gone; hint: order soup"},
		"an error":          {at, `{"dish":"burnt","hot":1}`, 500, "a fault of the server"},
		"a panic":           {at, `{"dish":"dropped","hot":1}`, 500, "a fault of the server"},
		"too much":          {at, `{"dish":"` + strings.Repeat("x", 1<<20) + `"}`, 413, ""},
	} {
		resp, said := ask(t, s, "POST", c.path, c.body, nil)
		want(t, name, resp, said, c.code, c.says)
		var problem struct{ Status int }
		if resp.Header.Get("Content-Type") != "application/problem+json" || json.Unmarshal([]byte(said), &problem) != nil || problem.Status != c.code {
			t.Errorf("%s: %s %s", name, resp.Header.Get("Content-Type"), said)
		}
		if strings.Contains(said, "secret") || strings.Contains(said, "plate") {
			t.Errorf("%s: it tells too much: %s", name, said)
		}
	}
	resp, said = ask(t, s, "DELETE", "/api/v1/orders/1", "", nil)
	want(t, "nobody", resp, said, 401, "sign the request")
	resp, said = ask(t, s, "DELETE", "/api/v1/orders/1", "", signed(t, nip98.Request{URL: s.URL() + "/api/v1/orders/1", Method: "DELETE"}, time.Now()))
	want(t, "somebody", resp, said, 204, "")
	resp, said = ask(t, s, "GET", "/api/v1/orders/1/events?after=7", "", signed(t, nip98.Request{URL: s.URL() + "/api/v1/orders/1/events?after=7", Method: "GET"}, time.Now()))
	want(t, "a stream", resp, said, 200, "id: 89\nevent: done\ndata: {\"After\":\"7\",\"At\":1,\"ID\":\"1\"}\n\n")
	resp, said = ask(t, s, "PUT", at, "", nil)
	want(t, "another method", resp, said, 405, "it takes POST")
	if resp.Header.Get("Allow") != "POST" {
		t.Errorf("another method: Allow %q", resp.Header.Get("Allow"))
	}
	resp, said = ask(t, s, "GET", "/api//v1", "", func(r *http.Request) { r.Host = "evil.example" })
	want(t, "a path to be cleaned, by another name", resp, said, 421, "")
}

// TestDocumentIsValid holds /openapi.json against the specification's own schema (OpenAPI 3.1), and what a document must be
// beyond it: names that are unique, parameters that are in the path, references that lead somewhere.
func TestDocumentIsValid(t *testing.T) {
	s := open(t, func(c *Config) { c.Title, c.Version = "kitchen", "1.2.3" })
	kitchen(s)
	run(t, s)
	resp, said := ask(t, s, "GET", "/openapi.json", "", nil)
	want(t, "the document", resp, said, 200, `"openapi":"3.1.0"`)
	if bad := validate(t, []byte(said)); len(bad) > 0 {
		t.Errorf("the document is not valid: %s", strings.Join(bad, "; "))
	}
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string
			Security    []map[string][]string
			Responses   map[string]any
		}
	}
	if err := json.Unmarshal([]byte(said), &doc); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for path, item := range doc.Paths {
		for method, op := range item {
			if op.OperationID == "" || ids[op.OperationID] {
				t.Errorf("%s %s: id %q", method, path, op.OperationID)
			}
			ids[op.OperationID] = true
		}
	}
	for _, id := range []string{"placeOrder", "cancelOrder", "orderEvents", "chat", "health", "metrics"} {
		if !ids[id] {
			t.Errorf("%s is not described", id)
		}
	}
	if got := doc.Paths["/api/v1/orders/{id}"]["delete"]; len(got.Security) != 2 || got.Responses["401"] == nil || got.Responses["204"] == nil {
		t.Errorf("DELETE is described as %+v", got)
	}
	if got := doc.Paths["/healthz"]["get"]; len(got.Security) != 0 || got.Responses["503"] == nil {
		t.Errorf("GET /healthz is described as %+v", got)
	}
	if bad := validate(t, []byte(strings.Replace(said, `"operationId"`, `"operationIdentity"`, 1))); len(bad) == 0 {
		t.Error("the validator takes everything")
	}
}

func validate(t *testing.T, body []byte) (bad []string) {
	t.Helper()
	doc, err := libopenapi.NewDocument(body)
	if err != nil {
		t.Fatal(err)
	}
	_, errs := schema_validation.ValidateOpenAPIDocument(doc)
	for _, err := range errs {
		bad = append(bad, err.Error())
		for _, at := range err.SchemaValidationErrors {
			bad = append(bad, at.Error())
		}
	}
	if model, errs := doc.BuildV3Model(); model == nil || errs != nil {
		bad = append(bad, "references do not lead anywhere")
	}
	return bad
}

// TestDocsPageIsWhole: everything it shows comes with it, and it runs nothing.
func TestDocsPageIsWhole(t *testing.T) {
	s := open(t, func(c *Config) { c.Title = "<script>kitchen</script>" })
	kitchen(s)
	run(t, s)
	resp, said := ask(t, s, "GET", "/docs", "", nil)
	for _, part := range []string{"/api/v1/tables/{table}/orders", "Order a dish", "the table&#39;s number", "what to cook", "text/event-stream", "NIP-98", "&lt;script&gt;kitchen"} {
		want(t, "the page", resp, said, 200, part)
	}
	for _, part := range []string{"<script", "src=", "@import", "url(", `="http`, `="//`, "<link", "<img"} {
		if strings.Contains(said, part) {
			t.Errorf("the page holds %q", part)
		}
	}
	if policy := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'unsafe-inline'") {
		t.Errorf("the page may do %q", policy)
	}
}

func TestPage(t *testing.T) {
	s := open(t, func(c *Config) { c.About = "a kitchen" })
	kitchen(s)
	if err := s.Page(fstest.MapFS{"x.js": {}}); err == nil {
		t.Error("a page without index.html is mounted")
	}
	s.Mount("GET /{$}", Rules{Access: Anyone, AnyHost: true, AnyOrigin: true, When: func(r *http.Request) bool { return r.Header.Get("Upgrade") != "" }}, echo)
	run(t, s)
	resp, said := ask(t, s, "GET", "/", "", nil)
	want(t, "no page yet", resp, said, 200, "a kitchen")
	if err := s.Page(fstest.MapFS{
		"index.html": {Data: []byte("<title>home</title>")}, "sw.js": {Data: []byte("worker")}, "assets/app-1a2b.js": {Data: []byte("app")},
	}); err != nil {
		t.Fatal(err)
	}
	html := func(r *http.Request) { r.Header.Set("Accept", "text/html,*/*") }
	for name, c := range map[string]struct {
		path   string
		change func(*http.Request)
		code   int
		says   string
		cache  string
	}{
		"home":                {"/", nil, 200, "home", "no-cache"},
		"home by its name":    {"/index.html", nil, 200, "home", "no-cache"},
		"a view":              {"/jobs/7", html, 200, "home", "no-cache"},
		"a program's mistake": {"/jobs/7", nil, 404, "nothing at /jobs/7", "no-store"},
		"a missing file":      {"/app.js", html, 404, "nothing at", "no-store"},
		"a worker":            {"/sw.js", nil, 200, "worker", "no-cache"},
		"a named file":        {"/assets/app-1a2b.js", nil, 200, "app", "public, max-age=31536000, immutable"},
		"out of it":           {"/..%2f..%2fetc%2fpasswd", nil, 404, "", "no-store"},
		"the document":        {"/openapi.json", html, 200, "3.1.0", "no-cache"},
		"what wants a header": {"/", func(r *http.Request) { r.Header.Set("Upgrade", "x"); r.Host = "evil.example" }, 200, `"pubkey"`, ""},
		"by another name":     {"/", func(r *http.Request) { r.Host = "evil.example" }, 421, "no name of this server", "no-store"},
	} {
		resp, said := ask(t, s, "GET", c.path, "", c.change)
		want(t, name, resp, said, c.code, c.says)
		if resp.Header.Get("Cache-Control") != c.cache {
			t.Errorf("%s: Cache-Control %q", name, resp.Header.Get("Cache-Control"))
		}
		if resp.Header.Get("X-Frame-Options") != "DENY" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", name, resp.Header)
		}
	}
	resp, _ = ask(t, s, "GET", "/sw.js", "", nil)
	tag := resp.Header.Get("ETag")
	resp, said = ask(t, s, "GET", "/sw.js", "", func(r *http.Request) { r.Header.Set("If-None-Match", tag) })
	if resp.StatusCode != 304 || tag == "" || said != "" {
		t.Errorf("the same file again: %d %q", resp.StatusCode, tag)
	}
}

func TestHealth(t *testing.T) {
	s := open(t, nil)
	broken := make(chan error, 1)
	s.Check("stove", func(context.Context) error { err := <-broken; return err })
	run(t, s)
	broken <- nil
	resp, said := ask(t, s, "GET", "/healthz", "", func(r *http.Request) { r.Host = "probe.cluster.internal" })
	want(t, "well", resp, said, 200, `{"status":"ok"}`)
	broken <- errors.New("cold, at /secret")
	resp, said = ask(t, s, "GET", "/healthz", "", nil)
	want(t, "not well", resp, said, 503, `{"status":"failing","failed":["stove"]}`)
}

func TestMetrics(t *testing.T) {
	for show, codes := range map[string][2]int{"local": {200, 403}, "all": {200, 200}, "off": {403, 403}} {
		s := open(t, func(c *Config) { c.Metrics = show })
		kitchen(s)
		run(t, s)
		ask(t, s, "POST", "/api/v1/tables/7/orders", `{"dish":"soup","hot":2}`, nil)
		ask(t, s, "BREW", "/api/v1/tables/8/orders", "", nil)
		ask(t, s, "GET", "/nothing/here", "", nil)
		resp, said := ask(t, s, "GET", "/metrics", "", nil)
		want(t, show, resp, said, codes[0], "")
		if codes[0] == 200 {
			for _, line := range []string{
				`infernet_http_requests_total{code="201",method="POST",route="/api/v1/tables/{table}/orders"} 1`,
				`infernet_http_requests_total{code="405",method="other",route="none"} 1`,
				`infernet_http_requests_total{code="404",method="GET",route="none"} 1`,
				`infernet_http_request_seconds_count{route="/api/v1/tables/{table}/orders"} 1`,
				"infernet_http_connections ", "go_goroutines ", "process_resident_memory_bytes ",
			} {
				want(t, show, resp, said, 200, line)
			}
		}
		resp, said = ask(t, s, "GET", "/metrics", "", func(r *http.Request) { r.Header.Set("X-Forwarded-For", "203.0.113.7") })
		want(t, show+", through a proxy", resp, said, codes[1], "")
	}
}
