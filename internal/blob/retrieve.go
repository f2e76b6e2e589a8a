package blob

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"infernet/events"
)

// retrieve gives a file, or a range of it (BUD-01). The bytes are a stranger's and may share the host with a page: a
// browser is told to trust them with nothing.
func (s *Server) retrieve(w http.ResponseWriter, r *http.Request, sum string) error {
	f, err := s.store.find(sum, s.Now())
	if err != nil {
		return err
	}
	if f == nil {
		return refuse(http.StatusNotFound, "this file is not here")
	}
	body, err := os.Open(s.store.path(sum))
	if errors.Is(err, fs.ErrNotExist) {
		return refuse(http.StatusNotFound, "this file is not here any more")
	}
	if err != nil {
		return err
	}
	defer body.Close()
	left := f.expires - s.Now().Unix()
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", `"`+sum+`"`)
	h.Set("Cache-Control", fmt.Sprintf("public, max-age=%d, immutable", max(left, 0)))
	h.Set("Sunset", time.Unix(f.expires, 0).UTC().Format(http.TimeFormat)) // RFC 8594
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if !showable(f.kind) {
		h.Set("Content-Disposition", "attachment; filename="+sum+events.Ending(f.kind))
	}
	if noRange(r.Header.Get("Range")) { // which net/http would answer with a part that there is not
		h.Del("Content-Disposition")
		no := refuse(http.StatusRequestedRangeNotSatisfiable, "the last 0 bytes are none")
		no.header = http.Header{"Content-Range": {fmt.Sprintf("bytes */%d", f.size)}}
		return no
	}
	out := &patientWriter{ResponseWriter: w, line: http.NewResponseController(w), stall: s.Stall}
	defer out.line.SetWriteDeadline(time.Time{})
	http.ServeContent(out, r, "", time.Unix(f.at, 0), body)
	return nil
}

// noRange says whether a range is the last 0 bytes, which nothing satisfies (RFC 9110, 14.1.2).
func noRange(header string) bool {
	last, ok := strings.CutPrefix(strings.ReplaceAll(header, " ", ""), "bytes=-")
	return ok && last != "" && strings.Trim(last, "0") == ""
}

// showable says whether a browser may show a type in place. Of text only plain: pages and drawings can hold programs.
func showable(kind string) bool {
	major, _, _ := strings.Cut(kind, "/")
	return major == "image" && kind != "image/svg+xml" || major == "audio" || major == "video" || kind == "text/plain"
}

// patientWriter ends a download whose reader reads nothing for too long. The system still copies from the disk to the
// line by itself.
type patientWriter struct {
	http.ResponseWriter
	line  *http.ResponseController
	stall time.Duration
}

// piece is how much is copied between two looks at the clock.
const piece = 256 << 10

func (w *patientWriter) Write(b []byte) (int, error) {
	w.line.SetWriteDeadline(time.Now().Add(w.stall))
	return w.ResponseWriter.Write(b)
}

func (w *patientWriter) ReadFrom(r io.Reader) (n int64, err error) {
	most := int64(1<<63 - 1)
	if limited, ok := r.(*io.LimitedReader); ok { // its inside is the file, which the system can copy from
		r, most = limited.R, limited.N
		defer func() { limited.N -= n }()
	}
	for n < most {
		w.line.SetWriteDeadline(time.Now().Add(w.stall))
		copied, err := io.Copy(w.ResponseWriter, &io.LimitedReader{R: r, N: min(piece, most-n)})
		if n += copied; err != nil || copied == 0 {
			return n, err
		}
	}
	return n, nil
}
