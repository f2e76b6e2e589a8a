package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"unicode/utf8"

	"infernet/events"
	"infernet/internal/blob"
)

// What a node would refuse after it was paid is refused here, before anything is asked: a file of the wrong sort, a text that
// is none, a parameter that is no JSON.

// fileType is a file's type for a kind of job, or what is wrong with it for that. asIs leaves it to the node.
func fileType(kind events.Kind, flag, path string, asIs bool) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", usage("%s: %w", flag, err)
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 512)) // what DetectContentType looks at
	if err != nil {
		return "", usage("%s %s: %w", flag, path, err)
	}
	mime := blob.TypeByName(path)
	if mime == "application/octet-stream" {
		mime = mimeOf(path, head)
	}
	if mime == "application/ogg" { // a file of that type without an ending
		mime = "audio/ogg"
	}
	switch {
	case len(head) == 0:
		return "", withHint(usage("%s %s: the file is empty", flag, path), "ls -l %s", quoted(path))
	case asIs:
	case kind.Inputs.Reads == events.ReadsText:
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return "", err
		}
		if isText, err := textual(f); err != nil {
			return "", usage("%s %s: %w", flag, path, err)
		} else if !isText {
			if charset := http.DetectContentType(head); strings.HasPrefix(charset, "text/") { // it guesses; bytes that are not UTF-8 are most often this
				return "", &wrongFile{fmt.Sprintf("%s %s: it holds text in another encoding, not in UTF-8", flag, path), mime,
					fmt.Sprintf("iconv -f %s -t UTF-8 %s > %[2]s.utf8", encoding(charset), quoted(path))}
			}
			return "", &wrongFile{fmt.Sprintf("%s %s: it holds no text (UTF-8) but %s, and %s reads text", flag, path, mime, kind.Name), mime, ""}
		}
	case kind.Inputs.Reads == events.ReadsSound && !isSound(mime):
		return "", &wrongFile{fmt.Sprintf("%s %s: it holds no sound but %s, and %s hears sound", flag, path, mime, kind.Name), mime, ""}
	}
	return mime, nil
}

// encoding is how iconv calls what a text was taken for.
func encoding(detected string) string {
	_, charset, _ := strings.Cut(detected, "charset=")
	if strings.HasPrefix(charset, "utf-16") {
		return strings.ToUpper(charset)
	}
	return "ISO-8859-1"
}

func isSound(mime string) bool {
	return strings.HasPrefix(mime, "audio/") || strings.HasPrefix(mime, "video/")
}

// wrongFile says that a file is of another sort than a kind of job reads.
type wrongFile struct{ said, mime, mend string }

func (e *wrongFile) Error() string { return e.said }

// hint is what helps: the kind that reads such a file, if there is one, else the file as it is, for a node that can use it.
func (e *wrongFile) hint(args []string) string {
	switch {
	case e.mend != "":
		return e.mend
	case isSound(e.mime):
		return again(args, "--kind", fmt.Sprint(events.KindTranscription))
	case strings.HasPrefix(e.mime, "text/"):
		return again(args, "--kind", fmt.Sprint(events.KindText))
	}
	return remark(again(args, "--as-is", ""), "if you know a node that takes it")
}

// textual says whether all of a file is text, as engines take it: UTF-8 without a zero.
func textual(f io.Reader) (bool, error) {
	buf, left := make([]byte, 64<<10), 0
	for {
		n, err := f.Read(buf[left:])
		have := buf[:left+n]
		whole := len(have)
		if err == nil { // the last character may go on
			for back := 1; back < utf8.UTFMax && back <= len(have); back++ {
				if start := len(have) - back; utf8.RuneStart(have[start]) {
					if !utf8.FullRune(have[start:]) {
						whole = start
					}
					break
				}
			}
		}
		if !utf8.Valid(have[:whole]) || bytes.IndexByte(have[:whole], 0) >= 0 {
			return false, nil
		}
		left = copy(buf, have[whole:])
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// checkText says what is wrong with a text that somebody typed, or that came on stdin.
func checkText(what, text string) error {
	if utf8.ValidString(text) && !strings.ContainsRune(text, 0) {
		return nil
	}
	mime, _, _ := strings.Cut(http.DetectContentType([]byte(text)), ";")
	if strings.HasPrefix(mime, "text/") {
		mime = "bytes of another encoding"
	}
	return withHint(usage("%s is no text (UTF-8) but %s", what, mime), "infernet run --help  # files that are no text: --file, --input")
}

// checkJSON holds the parameters of a kind that are JSON against that, and a conversation against its form.
func checkJSON(kind events.Kind, params events.Params) error {
	for _, spec := range kind.Params {
		value, ok := params.Lookup(spec.Name)
		if !ok || spec.Type != events.ParamJSON {
			continue
		}
		if !json.Valid([]byte(value)) {
			return &events.ParamError{Param: spec.Name, Reason: "is no JSON"}
		}
		var said []struct{ Role string }
		if spec.Name != "messages" {
			continue
		}
		if err := json.Unmarshal([]byte(value), &said); err != nil {
			return &events.ParamError{Param: spec.Name, Reason: `is no array of {"role","content"}`}
		}
		for i, m := range said {
			if m.Role != "system" && m.Role != "user" && m.Role != "assistant" {
				return &events.ParamError{Param: spec.Name, Reason: fmt.Sprintf("message %d has role %q; there are system, user, assistant", i+1, m.Role)}
			}
		}
	}
	return nil
}
