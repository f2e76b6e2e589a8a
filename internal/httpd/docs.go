package httpd

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsHTML string

var docsPage = template.Must(template.New("docs").Parse(docsHTML))

// described is an operation as the page shows it.
type described struct {
	Method, Path, Group string
	*huma.Operation
	Who     string
	Body    string // schemas, as JSON
	Answers []described200
}

type described200 struct{ Code, Text, Body string }

// serveDocs shows the document as a page: plain HTML without scripts, and nothing of it comes from elsewhere.
func (s *Server) serveDocs(w http.ResponseWriter, _ *http.Request) {
	s.registering.Lock()
	doc := s.api.OpenAPI()
	groups := map[string][]described{}
	var names []string
	for path, item := range doc.Paths {
		for method, op := range methodsOf(item) {
			d := described{Method: method, Path: path, Operation: op, Who: whoMay(op), Group: "other"}
			if len(op.Tags) > 0 {
				d.Group = op.Tags[0]
			}
			if op.RequestBody != nil {
				_, d.Body = schemaOf(op.RequestBody.Content)
			}
			for code, response := range op.Responses {
				a := described200{Code: code, Text: response.Description}
				if kind, body := schemaOf(response.Content); body != "" {
					a.Text, a.Body = a.Text+" ("+kind+")", body
				}
				d.Answers = append(d.Answers, a)
			}
			slices.SortFunc(d.Answers, func(a, b described200) int { return strings.Compare(a.Code, b.Code) })
			if !slices.Contains(names, d.Group) {
				names = append(names, d.Group)
			}
			groups[d.Group] = append(groups[d.Group], d)
		}
	}
	types := map[string]string{}
	for name, schema := range doc.Components.Schemas.Map() {
		types[name] = indented(schema)
	}
	s.registering.Unlock()
	slices.Sort(names)
	for _, ops := range groups {
		slices.SortFunc(ops, func(a, b described) int { return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method) })
	}
	var page bytes.Buffer
	if err := docsPage.Execute(&page, map[string]any{"Doc": doc, "Names": names, "Groups": groups, "Types": types}); err != nil {
		panic(err) // the template fits
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
	w.Write(page.Bytes())
}

func methodsOf(item *huma.PathItem) map[string]*huma.Operation {
	all := map[string]*huma.Operation{"GET": item.Get, "PUT": item.Put, "POST": item.Post, "PATCH": item.Patch, "DELETE": item.Delete, "HEAD": item.Head}
	for method, op := range all {
		if op == nil {
			delete(all, method)
		}
	}
	return all
}

func whoMay(op *huma.Operation) string {
	switch {
	case len(op.Security) == 0:
		return "everybody"
	case slices.ContainsFunc(op.Security, func(way map[string][]string) bool { return len(way) == 0 }):
		return "everybody; more for a Nostr key or an app key"
	}
	return "a Nostr key (NIP-98) or an app key"
}

func schemaOf(content map[string]*huma.MediaType) (kind, schema string) {
	for kind, media := range content {
		if media.Schema != nil && (schema == "" || kind == "application/json") {
			return kind, indented(media.Schema)
		}
	}
	return "", ""
}

func indented(v any) string {
	body, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(body)
}
