package httpd

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"
)

// cross are the rules for pages of other origins. No answer depends on what a browser adds by itself (cookies, passwords):
// credentials are never allowed.
type cross struct {
	origins []string
	listed  *cors.Cors // for pages of the list
	any     *cors.Cors // for pages from everywhere
}

func newCross(origins []string) (cross, error) {
	c := cross{}
	for _, origin := range origins {
		u, err := url.Parse(origin)
		switch {
		case origin == "*":
		case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || origin != u.Scheme+"://"+u.Host:
			return c, fmt.Errorf("origins: %q is no origin, as https://app.example or http://localhost:5173", origin)
		}
		c.origins = append(c.origins, strings.ToLower(origin))
	}
	options := cors.Options{
		AllowedMethods:      []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
		AllowedHeaders:      []string{"*"}, // they are named in the answer: a star would not be for Authorization
		ExposedHeaders:      []string{"Content-Disposition", "ETag", "Link", "Location", "Retry-After", "WWW-Authenticate", "X-Reason"},
		MaxAge:              600,
		AllowPrivateNetwork: true, // a page of the list may ask for a server on its user's own machine
	}
	options.AllowOriginVaryRequestFunc = func(_ *http.Request, origin string) (bool, []string) { return c.may(origin), nil }
	c.listed = cors.New(options)
	options.AllowOriginVaryRequestFunc = nil
	options.AllowedOrigins = []string{"*"}
	c.any = cors.New(options)
	return c, nil
}

// may says whether pages of an origin may call. "null" is every sandboxed frame and file: nobody in particular.
func (c cross) may(origin string) bool {
	return origin != "null" && (slices.Contains(c.origins, "*") || slices.Contains(c.origins, strings.ToLower(origin)))
}

// crossed answers a browser that asks whether a page may call (a preflight). It says whether it was one.
func (s *Server) crossed(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Origin") == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	m := s.findPreflight(r)
	if m == nil {
		s.refuse(w, r, nil, refusal(http.StatusNotFound, "there is nothing for %.20s at %s", r.Header.Get("Access-Control-Request-Method"), r.URL.Path))
		return true
	}
	if no := s.admit(w, r, m); no != nil {
		s.refuse(w, r, m, no)
		return true
	}
	if m.AnyOrigin && m.Preflight {
		if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
			w.Header().Set("Access-Control-Allow-Private-Network", "true")
		}
		m.handler.ServeHTTP(w, r)
		return true
	}
	rules := s.cross.listed
	if m.AnyOrigin {
		rules = s.cross.any
	}
	rules.HandlerFunc(w, r)
	return true
}

// checkOrigin turns away pages that may not call, whatever they send: a form or an image needs no leave of ours to be
// sent, and a WebSocket none to be read.
func (s *Server) checkOrigin(w http.ResponseWriter, r *http.Request, m *mount) *Refusal {
	origins := r.Header.Values("Origin")
	any := m != nil && m.AnyOrigin
	preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	switch {
	case any:
		if !preflight {
			s.cross.any.HandlerFunc(w, r)
		}
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		return nil
	case len(origins) == 0:
		w.Header().Set("Cross-Origin-Resource-Policy", "same-origin")
		w.Header().Add("Vary", "Origin")
		return nil
	case len(origins) == 1 && (s.sameOrigin(r, origins[0]) || s.cross.may(origins[0])):
		if !preflight {
			s.cross.listed.HandlerFunc(w, r)
		}
		return nil
	}
	w.Header().Add("Vary", "Origin")
	return refusal(http.StatusForbidden, "pages of %.100q may not call this server; its operator can add it to the setting %s.origins", origins[0], s.Named)
}

// sameOrigin says whether the page that calls was served here.
func (s *Server) sameOrigin(r *http.Request, origin string) bool {
	u, err := url.Parse(strings.ToLower(origin))
	if err != nil || u.Host == "" {
		return false
	}
	base := s.base(r)
	return u.Scheme == base.Scheme && withPort(u.Host, u.Scheme) == withPort(base.Host, base.Scheme)
}
