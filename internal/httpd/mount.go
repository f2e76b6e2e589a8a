package httpd

import (
	"net/http"
	"strings"
)

// Access says who may call.
type Access int

const (
	Known    Access = iota // who proves a Nostr key (NIP-98) or shows an app key
	Optional               // everybody; a proof that is shown has to be good
	Anyone                 // everybody; no proof is looked at. The handler may have a way of its own
)

// Rules say which requests a mount is for, and how large they may be. The zero value is the strictest.
type Rules struct {
	Access Access
	Scope  string            // what an app key must be for; a Nostr key is for everything
	Allow  func(Caller) bool // who of those that are known; everyone if unset
	// Placeholder says that an app key which does not look like one of ours (KeyPrefix) is no proof, rather than a wrong one:
	// apps that insist on a key send anything. Only with Optional.
	Placeholder bool
	AnyHost     bool                     // whatever name the server is called by: nothing here depends on where it runs
	AnyOrigin   bool                     // pages from everywhere may call
	Preflight   bool                     // the handler itself answers pages that ask before they call (OPTIONS), with AnyOrigin
	MaxBody     int64                    // bytes; Config.MaxBody if 0, no limit if below
	When        func(*http.Request) bool // only such requests; others go to what else is mounted at the pattern
	Refuse      Refuser                  // how a refusal is written; RFC 9457 if unset
}

// mount is a handler and its rules.
type mount struct {
	Rules
	pattern string
	handler http.Handler
}

// Mount puts a handler at a pattern of http.ServeMux. Of several at one pattern the first that wants a request gets it,
// those without When last. Two without are a mistake, and panic as ServeMux does.
func (s *Server) Mount(pattern string, rules Rules, h http.Handler) {
	m := &mount{rules, pattern, h}
	s.mu.Lock()
	defer s.mu.Unlock()
	there := s.mounts[pattern]
	if len(there) == 0 {
		s.mux.Handle(pattern, http.HandlerFunc(serveChosen))
	}
	if rules.When == nil {
		for _, other := range there {
			if other.When == nil {
				panic("httpd: two handlers for " + pattern)
			}
		}
		s.mounts[pattern] = append(there, m)
		return
	}
	i := 0
	for i < len(there) && there[i].When != nil {
		i++
	}
	s.mounts[pattern] = append(there[:i:i], append([]*mount{m}, there[i:]...)...)
}

// serveChosen runs the mount that was chosen before the mux took the path apart.
func serveChosen(w http.ResponseWriter, r *http.Request) {
	visitOf(r.Context()).mount.handler.ServeHTTP(w, r)
}

// find gives what is mounted for a request; nil and what the mux says otherwise (not found, another method, a path to be
// cleaned).
func (s *Server) find(r *http.Request) (*mount, http.Handler) {
	otherwise, pattern := s.mux.Handler(r)
	s.mu.RLock()
	defer s.mu.RUnlock()
	there := s.mounts[pattern]
	if len(there) == 0 || isRedirect(otherwise) {
		return nil, otherwise
	}
	for _, m := range there {
		if m.When == nil || m.When(r) {
			return m, nil
		}
	}
	return nil, http.NotFoundHandler()
}

// isRedirect says whether the mux wants a path written another way.
func isRedirect(h http.Handler) bool {
	_, looked := h.(http.HandlerFunc)
	return !looked
}

// findPreflight gives what a page asks for before it calls: of several mounts the one that pages from everywhere may call.
func (s *Server) findPreflight(r *http.Request) *mount {
	asked := r.Clone(r.Context())
	asked.Method = r.Header.Get("Access-Control-Request-Method")
	_, pattern := s.mux.Handler(asked)
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found *mount
	for _, m := range s.mounts[pattern] {
		if found = m; m.AnyOrigin {
			break
		}
	}
	return found
}

// route is a mount's name in metrics and logs.
func (m *mount) route() string {
	if m == nil {
		return "none"
	}
	if _, path, ok := strings.Cut(m.pattern, " "); ok {
		return path
	}
	return m.pattern
}
