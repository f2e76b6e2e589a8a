package relay

import (
	"net/http"
	"strings"

	"infernet/internal/blob"
	"infernet/internal/httpd"
)

// mountFiles puts the files into the listener, at its root, as Blossom wants it (BUD-01). They have their own proof of who
// asks (BUD-11) and limits of their own. What else is read at the root, a page's addresses, goes on to the page.
func (r *Relay) mountFiles(door *httpd.Server) {
	rules := httpd.Rules{Access: httpd.Anyone, AnyHost: true, AnyOrigin: true, Preflight: true}
	large := rules
	large.MaxBody = -1
	files := rules
	files.When = func(req *http.Request) bool { return blob.IsName(strings.TrimPrefix(req.URL.Path, "/")) }
	for pattern, rules := range map[string]httpd.Rules{
		"GET /": files, "PATCH /{file}": large, "DELETE /{file}": rules, "OPTIONS /{file}": rules, "PUT /upload": large, "HEAD /upload": rules,
		"PUT /mirror": rules, "PUT /report": rules, "GET /list/{key}": rules, "OPTIONS /list/{key}": rules,
	} {
		door.Mount(pattern, rules, r.Files)
	}
	type named struct {
		File string `path:"file" doc:"the SHA-256 of the file, hex; an ending may follow"`
	}
	type listed struct {
		Key    string `path:"key" doc:"a public key, hex"`
		Cursor string `query:"cursor" doc:"the last SHA-256 of the page before"`
		Limit  int    `query:"limit" doc:"files of a page; at most 1000"`
	}
	type upload struct {
		Sum     string `header:"X-SHA-256" doc:"the hash that the upload is bound to; the token's x if missing"`
		Expires int64  `header:"X-Expiration" doc:"until when it is wanted, unix seconds"`
		RawBody []byte `contentType:"application/octet-stream"`
	}
	type said struct{ Body blob.Descriptor }
	type all struct{ Body []blob.Descriptor }
	describe := func(method, path, id, summary, text string, fails ...int) httpd.Operation {
		return httpd.Operation{Method: method, Path: path, ID: id, Group: "files", Summary: summary, Text: text, Fails: fails, Rules: rules}
	}
	const token = "Wants a Blossom token (BUD-11) in Authorization. "
	httpd.Describe[named, struct{}](door, describe("GET", "/{file}", "getFile", "A file, or a range of it", "BUD-01.", 404, 416))
	httpd.Describe[upload, said](door, describe("PUT", "/upload", "putFile", "Upload a file", token+"BUD-02; HEAD asks before (BUD-06).", 400, 401, 402, 409, 411, 413, 429, 507))
	httpd.Describe[named, said](door, describe("PATCH", "/{file}", "resumeFile", "Go on with an upload that was cut", token+"With Upload-Offset and Upload-Length.", 400, 401, 402, 409, 416))
	httpd.Describe[named, struct{}](door, describe("DELETE", "/{file}", "deleteFile", "Keep a file no more", token+"BUD-12.", 401, 404))
	httpd.Describe[listed, all](door, describe("GET", "/list/{key}", "listFiles", "The files of a key", token+"BUD-12.", 401, 403))
	httpd.Describe[struct{}, said](door, describe("PUT", "/mirror", "mirrorFile", "Copy a file from another server", token+"BUD-04.", 400, 401, 409, 413, 502))
	httpd.Describe[struct{}, struct{}](door, describe("PUT", "/report", "reportFile", "Report files", "The body is a signed event of kind 1984 (BUD-09).", 400))
}
