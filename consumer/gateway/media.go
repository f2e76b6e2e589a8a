package gateway

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"infernet/consumer"
	"infernet/events"
)

// maxMedia is how large a sound may be that is sent, in bytes.
const maxMedia = 64 << 20

// simpleWish reads what requests for other kinds have in common.
func (g *Gateway) simpleWish(r *http.Request, b body, kind int) (*wish, error) {
	var model string
	if _, err := b.read("model", &model); err != nil {
		return nil, err
	}
	options, err := b.options(r.Header)
	if err != nil {
		return nil, err
	}
	return g.wish(r, kind, model, options)
}

// text takes a text that has to be there.
func (b body) text(name string, most int) (text string, err error) {
	if _, err := b.read(name, &text); err != nil {
		return "", err
	}
	if text == "" {
		return "", invalid(name, "%s is missing or empty", name)
	}
	if len(text) > most {
		f := tooLong(len(text))
		*f.Param, f.Message = name, fmt.Sprintf("%s has %d bytes, at most %d travel", name, len(text), most)
		return "", f
	}
	return text, nil
}

// format chooses the type of a result by the name that the API has for it.
func (b body) format(name string, w *wish, types map[string]string) error {
	var format string
	if ok, err := b.read(name, &format); err != nil || !ok {
		return err
	}
	mime, ok := types[format]
	if !ok {
		return notCarried(name, fmt.Sprintf("%.40q is none of %s", format, strings.Join(slices.Sorted(maps.Keys(types)), ", ")))
	}
	w.order.Output = mime
	return nil
}

// buyFile buys a job whose result is a file, and reads it.
func (g *Gateway) buyFile(r *http.Request, w *wish) (mime string, file []byte, got *consumer.Delivery, err error) {
	dir, err := os.MkdirTemp("", "infernet-gateway-")
	if err != nil {
		return "", nil, nil, err
	}
	defer os.RemoveAll(dir)
	w.order.Out = dir
	if got, err = g.buy(r.Context(), w, func(consumer.Step) {}); err != nil {
		return "", nil, nil, err
	}
	if len(got.Files) > 0 && got.Files[0].Path != "" {
		file, err = os.ReadFile(got.Files[0].Path)
		return got.Files[0].Mime, file, got, err
	}
	if mime, file, err = events.ParseDataURL(got.Text); err != nil {
		return "", nil, nil, &failure{Status: http.StatusBadGateway, Type: serverError, Code: "bad_result", Message: "the node's result is no file",
			Market: &marketFact{Job: got.Job, Node: got.Node, Paid: got.Paid}}
	}
	return mime, file, got, nil
}

// serveSpeech is POST /v1/audio/speech.
func (g *Gateway) serveSpeech(rw http.ResponseWriter, r *http.Request) {
	b, err := readBody(r)
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	w, err := g.readSpeech(r, b)
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	mime, file, got, err := g.buyFile(r, w)
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	billOf(got).heads(rw.Header())
	rw.Header().Set("Content-Type", mime)
	rw.Write(file)
}

func (g *Gateway) readSpeech(r *http.Request, b body) (*wish, error) {
	w, err := g.simpleWish(r, b, events.KindSpeech)
	if err != nil {
		return nil, err
	}
	text, err := b.text("input", maxTalk)
	if err != nil {
		return nil, err
	}
	w.order.Inputs = []events.Input{{Value: text, Type: "text"}}
	if err := b.format("response_format", w, map[string]string{"mp3": "audio/mpeg", "opus": "audio/ogg", "wav": "audio/wav", "flac": "audio/flac"}); err != nil {
		return nil, err
	}
	var stream string
	if _, err := b.read("stream_format", &stream); err != nil {
		return nil, err
	}
	if stream != "" && stream != "audio" {
		return nil, notCarried("stream_format", "a sound comes whole")
	}
	if err := b.refuseWhatIsNotCarried(); err != nil {
		return nil, err
	}
	return w, b.params(w)
}

// serveTranscription is POST /v1/audio/transcriptions: a form with a file.
func (g *Gateway) serveTranscription(rw http.ResponseWriter, r *http.Request) {
	if err := r.ParseMultipartForm(1 << 20); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			err = &failure{Status: http.StatusRequestEntityTooLarge, Type: invalidRequest, Message: fmt.Sprintf("the request is larger than %d bytes", large.Limit)}
		} else {
			err = &failure{Status: http.StatusBadRequest, Type: invalidRequest, Message: "the request is no form (multipart/form-data) with a file"}
		}
		g.fail(rw, r, err)
		return
	}
	defer r.MultipartForm.RemoveAll()
	dir, err := os.MkdirTemp("", "infernet-gateway-")
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	defer os.RemoveAll(dir)
	w, format, err := g.readTranscription(r, dir)
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	got, err := g.buy(r.Context(), w, func(consumer.Step) {})
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	bill := billOf(got)
	bill.heads(rw.Header())
	if format != "json" {
		rw.Header().Set("Content-Type", map[string]string{"text": "text/plain", "vtt": "text/vtt"}[format]+"; charset=utf-8")
		io.WriteString(rw, got.Text)
		return
	}
	writeJSON(rw, http.StatusOK, object{"text": got.Text, "infernet": bill, "usage": object{"type": "duration", "seconds": got.Usage.In}})
}

func (g *Gateway) readTranscription(r *http.Request, dir string) (w *wish, format string, err error) {
	form := r.MultipartForm
	value := func(name string) string {
		if v := form.Value[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	options, err := optionsOf(r.Header, []byte(value("infernet")))
	if err != nil {
		return nil, "", err
	}
	if w, err = g.wish(r, events.KindTranscription, value("model"), options); err != nil {
		return nil, "", err
	}
	switch format = value("response_format"); format {
	case "", "json":
		format = "json"
	case "text":
	case "vtt":
		w.order.Output = "text/vtt"
	default:
		return nil, "", notCarried("response_format", fmt.Sprintf("%.40q is none of json, text, vtt", format))
	}
	for _, name := range []string{"language", "temperature"} {
		if v := value(name); v != "" {
			w.set(name, v)
		}
	}
	if stream := value("stream"); stream != "" && stream != "false" {
		return nil, "", notCarried("stream", "what is said comes whole")
	}
	files := form.File["file"]
	if len(files) != 1 {
		return nil, "", invalid("file", "the form has %d files named file, not one", len(files))
	}
	return w, format, w.attach(files[0], dir)
}

// attach puts a file into the job: into its event if it is small, else on a file server, encrypted.
func (w *wish) attach(head *multipart.FileHeader, dir string) error {
	file, err := head.Open()
	if err != nil {
		return err
	}
	defer file.Close()
	body, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return invalid("file", "the file is empty")
	}
	mime := typeOf(head.Filename, body)
	if url := events.DataURL(mime, body); len(url) <= maxTalk {
		w.order.Inputs = []events.Input{{Value: url, Type: "url"}}
		return nil
	}
	path := filepath.Join(dir, "input")
	if err := os.WriteFile(path, body, 0o600); err != nil {
		return err
	}
	w.order.Files = []consumer.InFile{{Path: path, Mime: mime}}
	return nil
}

// typeOf is a file's type, by its ending, else by what is in it.
func typeOf(name string, body []byte) string {
	for mime, ending := range events.Endings {
		if ending == strings.ToLower(filepath.Ext(name)) {
			return mime
		}
	}
	mime, _, _ := strings.Cut(http.DetectContentType(body), ";")
	return mime
}

// serveImages is POST /v1/images/generations.
func (g *Gateway) serveImages(rw http.ResponseWriter, r *http.Request) {
	b, err := readBody(r)
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	w, err := g.readImage(r, b)
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	mime, file, got, err := g.buyFile(r, w)
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	bill := billOf(got)
	bill.heads(rw.Header())
	writeJSON(rw, http.StatusOK, object{
		"created": g.Now().Unix(), "data": []object{{"b64_json": base64.StdEncoding.EncodeToString(file)}},
		"output_format": strings.TrimPrefix(mime, "image/"), "infernet": bill,
	})
}

func (g *Gateway) readImage(r *http.Request, b body) (*wish, error) {
	w, err := g.simpleWish(r, b, events.KindImage)
	if err != nil {
		return nil, err
	}
	prompt, err := b.text("prompt", maxTalk)
	if err != nil {
		return nil, err
	}
	w.order.Inputs = []events.Input{{Value: prompt, Type: "text"}}
	if err := b.format("output_format", w, map[string]string{"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}); err != nil {
		return nil, err
	}
	var form string
	if _, err := b.read("response_format", &form); err != nil {
		return nil, err
	}
	if form != "" && form != "b64_json" {
		return nil, notCarried("response_format", "pictures come as b64_json")
	}
	if string(b["size"]) == `"auto"` {
		delete(b, "size")
	}
	if err := b.refuseWhatIsNotCarried(); err != nil {
		return nil, err
	}
	return w, b.params(w)
}
