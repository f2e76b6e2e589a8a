package httpd

import (
	"context"
	"encoding/json"
	"net/http"
	"path"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Operation is one thing that can be asked for: how it is found, for the document, and its rules.
type Operation struct {
	Method  string
	Path    string // as in http.ServeMux, {name} for a part that varies
	ID      string // unique; SDKs make a function's name of it
	Group   string
	Summary string // one line
	Text    string // more, Markdown
	Status  int    // of success; 200, or 204 without a body, if unset
	Fails   []int  // statuses of refusals, beside those of the rules
	Rules
	Others *Rules // of the requests that Rules.When leaves; none of them is served if nil
}

// Handle mounts an operation and puts it into the document. I's fields are what is asked for, O's what is answered: path,
// query and header are tags of a field, Body is a field; bounds and texts are tags, too (minimum, maxLength, enum, doc).
// What does not fit is refused with 422 before do is called. do returns Fail for a status of its own; every other error is
// logged and answered with 500, without its text.
func Handle[I, O any](s *Server, op Operation, do func(ctx context.Context, in *I) (*O, error)) {
	register(s, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, s.own(op, err)
		}
		return out, nil
	})
}

// own is an operation's error as its caller may read it.
func (s *Server) own(op Operation, err error) error {
	if _, own := err.(huma.StatusError); own {
		return err
	}
	s.Log.Error("an operation failed", "operation", op.ID, "err", err)
	return Fail(http.StatusInternalServerError, "this is a fault of the server; its log says more")
}

// Describe puts an operation into the document that is mounted as a plain handler. Nothing is held against I and O.
func Describe[I, O any](s *Server, op Operation) {
	s.registering.Lock()
	defer s.registering.Unlock()
	huma.Register(s.paper, op.huma(s.MaxBody), func(context.Context, *I) (*O, error) { panic("only described") })
	s.document.Store(nil)
}

// openAPI makes the document, and what mounts its operations.
func (s *Server) openAPI() {
	problems()
	config := huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: s.Title, Version: s.Version, License: &huma.License{Name: "MIT", Identifier: "MIT"}},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", namer()),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"nostr": {Type: "http", Scheme: "Nostr", Description: "A signed event of kind 27235 for this URL, method and body (NIP-98), in base64; it is good once, for 60 seconds."},
					"key":   {Type: "http", Scheme: "bearer", Description: "An app key. A browser's WebSocket shows it as the subprotocol `" + KeyProtocol + "<app key>`."},
				},
			},
			Servers: []*huma.Server{{URL: "/", Description: "this server"}},
		},
		Formats: huma.DefaultFormats, DefaultFormat: "application/json", RejectUnknownQueryParameters: true,
	}
	s.api = huma.NewAPI(config, humago.NewAdapter(mounter{s}, ""))
	s.paper = huma.NewAPI(config, humago.NewAdapter(nowhere{}, ""))
}

// namer names types in the document: as they are called, and with their package before where another one has the name.
func namer() func(t reflect.Type, hint string) string {
	taken := map[string]reflect.Type{}
	return func(t reflect.Type, hint string) string {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		name := huma.DefaultSchemaNamer(t, hint)
		if other := taken[name]; other != nil && other != t && t.Name() != "" {
			room := path.Base(t.PkgPath())
			name = strings.ToUpper(room[:1]) + room[1:] + name
		}
		taken[name] = t
		return name
	}
}

func (op Operation) huma(maxBody int64) huma.Operation {
	h := huma.Operation{
		Method: op.Method, Path: op.Path, OperationID: op.ID, Summary: op.Summary, Description: op.Text, DefaultStatus: op.Status, Errors: op.Fails,
		MaxBodyBytes:    first(op.MaxBody, maxBody), // the library's own answer to what is too large; the door holds it, too
		BodyReadTimeout: -1,                         // the door's
		Security:        []map[string][]string{},
	}
	if op.Group != "" {
		h.Tags = []string{op.Group}
	}
	if op.Access != Anyone {
		h.Security = []map[string][]string{{"nostr": {}}, {"key": {}}}
		h.Errors = append(h.Errors, http.StatusUnauthorized, http.StatusForbidden)
	}
	if op.Access == Optional {
		h.Security = append(h.Security, map[string][]string{})
	}
	return h
}

// rules are all that it is mounted by.
func (op Operation) rules() []Rules {
	if op.Others == nil {
		return []Rules{op.Rules}
	}
	return []Rules{op.Rules, *op.Others}
}

// mounter mounts operations as everything else is.
type mounter struct{ s *Server }

func (m mounter) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	for _, rules := range m.s.mounting {
		m.s.Mount(pattern, rules, http.HandlerFunc(handler))
	}
}

func (m mounter) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.s.ServeHTTP(w, r) }

// register mounts one operation by its rules; the library below knows none.
func register[I, O any](s *Server, op Operation, do func(ctx context.Context, in *I) (*O, error)) {
	s.registering.Lock()
	defer s.registering.Unlock()
	s.mounting = op.rules()
	huma.Register(s.api, op.huma(s.MaxBody), do)
	s.document.Store(nil)
}

// nowhere mounts nothing.
type nowhere struct{}

func (nowhere) HandleFunc(string, func(http.ResponseWriter, *http.Request)) {}
func (nowhere) ServeHTTP(http.ResponseWriter, *http.Request)                {}

// Document is the OpenAPI document, as JSON.
func (s *Server) Document() ([]byte, error) {
	if kept := s.document.Load(); kept != nil {
		return *kept, nil
	}
	s.registering.Lock() // what is mounted while it runs
	defer s.registering.Unlock()
	body, err := json.Marshal(s.api.OpenAPI())
	if err == nil {
		s.document.Store(&body)
	}
	return body, err
}

func (s *Server) serveDocument(w http.ResponseWriter, r *http.Request) {
	body, err := s.Document()
	if err != nil {
		panic(err) // types that were registered always marshal
	}
	w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
	w.Header().Set("Cache-Control", "no-cache")
	w.Write(body)
}

// describeOwn describes what every server has.
func (s *Server) describeOwn() {
	type none struct{}
	type health struct{ Body Health }
	type text struct {
		ContentType string `header:"Content-Type"`
		Body        []byte `contentType:"text/plain"`
	}
	Describe[none, health](s, Operation{
		Method: "GET", Path: "/healthz", ID: "health", Group: "server", Summary: "Whether the server is well", Fails: []int{503}, Rules: Rules{Access: Anyone},
	})
	Describe[none, text](s, Operation{
		Method: "GET", Path: "/metrics", ID: "metrics", Group: "server", Summary: "Counters, in the format of Prometheus",
		Text: "For this machine only, if the operator has not said otherwise.", Fails: []int{403}, Rules: Rules{Access: Anyone},
	})
}
