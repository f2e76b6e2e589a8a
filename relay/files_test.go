package relay

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"infernet/events"
	"infernet/internal/blob"
	"infernet/internal/httpd"
)

// TestFilesBesideTheRelay keeps files in the relay's own listener, beside a page and its documents.
func TestFilesBesideTheRelay(t *testing.T) {
	files, err := blob.Open(t.Context(), blob.Config{Dir: t.TempDir(), MinFree: 1})
	if err != nil {
		t.Fatal(err)
	}
	door, err := httpd.Open(httpd.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	if err := door.Page(fstest.MapFS{"index.html": {Data: []byte("the page")}}); err != nil {
		t.Fatal(err)
	}
	r, err := Open(t.Context(), Config{Door: door, Files: files})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	defer func() {
		stop()
		<-ended
		if err := files.Close(); err != nil {
			t.Error(err)
		}
	}()
	at := blob.ServerOf(r.URL())
	c := blob.NewClient(blob.ClientConfig{Signer: events.GenerateKeys(), Trusted: []string{at}})
	defer c.Close()
	body := strings.Repeat("more than a body may have elsewhere ", 100_000)
	b, err := c.Put(t.Context(), []string{at}, blob.Source{Data: strings.NewReader(body), Size: int64(len(body)), Mime: "text/plain"})
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := c.Get(t.Context(), b, &got); err != nil || got.String() != body {
		t.Errorf("%d bytes, %v", got.Len(), err)
	}
	if all, err := c.List(t.Context(), at); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
	ask := func(method, path string, header map[string]string) (*http.Response, string) {
		req, _ := http.NewRequest(method, at+path, nil)
		for name, value := range header {
			req.Header.Set(name, value)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		said, _ := io.ReadAll(resp.Body)
		return resp, string(said)
	}
	foreign := map[string]string{"Origin": "https://elsewhere.example"}
	resp, _ := ask("GET", "/"+b.Sum+".txt", foreign)
	if h := resp.Header; resp.StatusCode != 200 || h.Get("Access-Control-Allow-Origin") != "*" || len(h.Values("Access-Control-Allow-Origin")) != 1 || !strings.Contains(h.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("a page from elsewhere: %s %v", resp.Status, h)
	}
	preflight := map[string]string{"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,x-sha-256"}
	resp, _ = ask("OPTIONS", "/upload", preflight)
	if allowed := resp.Header.Get("Access-Control-Allow-Headers"); resp.Header.Get("Access-Control-Allow-Origin") != "*" || allowed != "Authorization, *" ||
		!strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "GET, HEAD, PUT") || !strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "DELETE") { // BUD-01, to the letter
		t.Errorf("asked before an upload: %s %v", resp.Status, resp.Header)
	}
	if resp, _ = ask("OPTIONS", "/"+b.Sum, nil); resp.StatusCode != http.StatusNoContent || !strings.Contains(resp.Header.Get("Allow"), "PATCH") {
		t.Errorf("asked for PATCH: %s %v", resp.Status, resp.Header)
	}
	for path, want := range map[string]string{"/": "the page", "/nodes": "the page", "/index.html": "the page"} {
		if resp, said := ask("GET", path, map[string]string{"Accept": "text/html"}); resp.StatusCode != 200 || said != want {
			t.Errorf("%s: %s %q", path, resp.Status, said)
		}
	}
	if _, said := ask("GET", "/openapi.json", nil); !strings.Contains(said, `"putFile"`) {
		t.Error("the document does not know of files")
	}
	if err := c.Delete(t.Context(), at, b.Sum); err != nil {
		t.Error(err)
	}
	if resp, _ = ask("GET", "/"+b.Sum, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("deleted: %s", resp.Status)
	}
}
