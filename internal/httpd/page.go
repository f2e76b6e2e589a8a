package httpd

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// pagePolicy is what a page served here may do: run what is served here, talk to relays and this server, and be in no frame.
const pagePolicy = "default-src 'self'; connect-src 'self' ws: wss: https:; img-src 'self' data: blob: https:; media-src 'self' blob: https:; " +
	"style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Page mounts a page at /: the files of a folder, and index.html for every other address that a browser goes to, whose
// script knows what is meant. What lies under assets/ has its content's hash in its name, and is kept for ever.
func (s *Server) Page(files fs.FS) error {
	tags := map[string]string{}
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(files, name)
		sum := sha256.Sum256(body)
		tags[name] = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
		return err
	})
	if err != nil {
		return fmt.Errorf("read the page: %w", err)
	}
	if tags["index.html"] == "" {
		return fmt.Errorf("the page has no index.html; it has to be built")
	}
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		if tags[name] == "" {
			if name != "" && (path.Ext(name) != "" || !strings.Contains(r.Header.Get("Accept"), "text/html")) {
				s.refuse(w, r, nil, refusal(http.StatusNotFound, "there is nothing at %s; what there is: /docs", r.URL.Path))
				return
			}
			name = "index.html"
		}
		w.Header().Set("ETag", tags[name])
		w.Header().Set("Cache-Control", "no-cache")
		if strings.HasPrefix(name, "assets/") {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		w.Header().Set("Content-Security-Policy", pagePolicy)
		serveFile(w, r, files, name)
	})
	s.Mount("GET /", Rules{Access: Anyone}, serve)
	s.page.Store(&serve) // at / itself, which others share
	return nil
}

// serveFile serves a file whose ETag is set. index.html is asked for by its content: by name it would be sent elsewhere.
func serveFile(w http.ResponseWriter, r *http.Request, files fs.FS, name string) {
	body, err := fs.ReadFile(files, name)
	if err != nil {
		panic(err) // it was there
	}
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
}
