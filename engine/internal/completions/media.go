package completions

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"infernet/engine"
	"infernet/events"
)

// media is a Wire whose server also hears, speaks and paints.
type media interface {
	Transcribe(ctx context.Context, ask Hearing) (Heard, error)
	Speak(ctx context.Context, ask Speech) (audio []byte, err error)
	Paint(ctx context.Context, ask Picture) (image []byte, err error)
}

var _ media = (*Client)(nil)

// isMedia says whether a job's kind is one of media's.
func isMedia(kind int) bool {
	return kind == events.KindTranscription || kind == events.KindSpeech || kind == events.KindImage
}

// Hearing is a request to /audio/transcriptions.
type Hearing struct {
	Model, Language, Temperature string
	Audio                        []byte
	Mime                         string
}

// Heard is what was said in an audio file.
type Heard struct {
	Text     string  `json:"text"`
	Duration float64 `json:"duration"` // seconds; 0 if the server does not say
	Segments []struct {
		Start float64 `json:"start"`
		End   float64 `json:"end"`
		Text  string  `json:"text"`
	} `json:"segments"`
}

// Transcribe has an audio file heard.
func (c *Client) Transcribe(ctx context.Context, ask Hearing) (Heard, error) {
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for name, value := range map[string]string{
		"model": ask.Model, "language": ask.Language, "temperature": ask.Temperature, "response_format": "verbose_json",
	} {
		if value != "" {
			form.WriteField(name, value) // a buffer takes everything
		}
	}
	part, err := form.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="audio` + events.Ending(ask.Mime) + `"`}, "Content-Type": {ask.Mime},
	})
	if err != nil {
		return Heard{}, err
	}
	part.Write(ask.Audio)
	form.Close()
	var heard Heard
	err = c.answer(ctx, c.base+"/audio/transcriptions", form.FormDataContentType(), body.Bytes(), &heard)
	return heard, err
}

// Speech is a request to /audio/speech.
type Speech struct {
	Model    string  `json:"model"`
	Input    string  `json:"input"`
	Voice    string  `json:"voice,omitempty"`
	Format   string  `json:"response_format"`
	Speed    float64 `json:"speed,omitempty"`
	Language string  `json:"language,omitempty"` // not OpenAI's own; some servers take it
}

// Speak has a text spoken, and gives the audio file.
func (c *Client) Speak(ctx context.Context, ask Speech) ([]byte, error) {
	resp, err := c.Send(ctx, c.base+"/audio/speech", ask)
	if err != nil {
		return nil, err
	}
	return c.file(ctx, resp)
}

// Picture is a request to /images/generations.
type Picture struct {
	Model    string   `json:"model"`
	Prompt   string   `json:"prompt"`
	N        int      `json:"n"`
	Size     string   `json:"size,omitempty"`
	Format   string   `json:"output_format,omitempty"`
	Reply    string   `json:"response_format,omitempty"`
	Negative string   `json:"negative_prompt,omitempty"` // this and what follows: not OpenAI's own; LocalAI and stable-diffusion.cpp take them
	Steps    int64    `json:"steps,omitempty"`
	Guidance *float64 `json:"guidance_scale,omitempty"`
	Seed     *int64   `json:"seed,omitempty"`
}

// Paint has a picture made, and gives its file.
func (c *Client) Paint(ctx context.Context, ask Picture) ([]byte, error) {
	var got struct {
		Data []struct {
			File string `json:"b64_json"`
		} `json:"data"`
	}
	if err := c.Call(ctx, c.base+"/images/generations", ask, &got); err != nil {
		return nil, err
	}
	if len(got.Data) != 1 || got.Data[0].File == "" {
		return nil, fmt.Errorf("%w: %s gave %d pictures in its answer, not one", engine.ErrUnavailable, c.name, len(got.Data))
	}
	image, err := base64.StdEncoding.DecodeString(got.Data[0].File)
	if err != nil {
		return nil, fmt.Errorf("%w: %s gave a picture that is no base64", engine.ErrUnavailable, c.name)
	}
	return image, nil
}

// file reads a whole file that a server answers with.
func (c *Client) file(ctx context.Context, resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, c.Lost(ctx, "read the answer of", err)
	}
	if len(data) > maxAnswer || len(data) == 0 {
		return nil, fmt.Errorf("%w: %s answered a file of %d bytes, at most %d", engine.ErrUnavailable, c.name, len(data), maxAnswer)
	}
	return data, nil
}

// perform does a job of sound or pictures.
func (s *Server) perform(ctx context.Context, model Entry, job engine.Job, emit func(engine.Part) error) (*engine.Output, error) {
	wire, ok := s.wire.(media)
	if !ok {
		return nil, &engine.InvalidError{Param: "kind", Reason: fmt.Sprintf("%s does no %s", s.wire, events.Kinds[job.Kind].Name)}
	}
	switch job.Kind {
	case events.KindTranscription:
		return s.hear(ctx, wire, model, job, emit)
	case events.KindSpeech:
		return s.speak(ctx, wire, model, job, emit)
	}
	return s.paint(ctx, wire, model, job, emit)
}

func (s *Server) hear(ctx context.Context, wire media, model Entry, job engine.Job, emit func(engine.Part) error) (*engine.Output, error) {
	audio, mime, err := sound(job)
	if err != nil {
		return nil, err
	}
	heard, err := wire.Transcribe(ctx, Hearing{
		Model: model.Server, Language: job.Params.Text("language"), Temperature: job.Params.Text("temperature"), Audio: audio, Mime: mime,
	})
	if err != nil {
		return nil, err
	}
	text := heard.Text
	if output(job) == "text/vtt" {
		text = heard.vtt()
	}
	if text != "" {
		if err := emit(engine.Delta{Text: text}); err != nil {
			return nil, err
		}
	}
	seconds := wholeSeconds(heard.Duration)
	if heard.Duration == 0 {
		seconds = duration(audio)
	}
	return &engine.Output{Text: text, Usage: events.Usage{In: seconds}}, nil
}

// maxSeconds is longer than any sound that is sent; a server may say what it will.
const maxSeconds = 1e6

// vtt is what was said as WebVTT (W3C), a cue for each segment.
func (h Heard) vtt() string {
	at := func(seconds float64) string {
		d := time.Duration(min(max(seconds, 0), maxSeconds) * float64(time.Second)).Round(time.Millisecond)
		return fmt.Sprintf("%02d:%02d:%02d.%03d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60, d.Milliseconds()%1000)
	}
	var page strings.Builder
	page.WriteString("WEBVTT\n")
	for _, s := range h.Segments {
		fmt.Fprintf(&page, "\n%s --> %s\n%s\n", at(s.Start), at(s.End), strings.ReplaceAll(strings.Join(strings.Fields(s.Text), " "), "-->", "→"))
	}
	return page.String()
}

// formats are what /audio/speech calls our MIME types.
var formats = map[string]string{"audio/ogg": "opus", "audio/mpeg": "mp3", "audio/wav": "wav", "audio/flac": "flac"}

func (s *Server) speak(ctx context.Context, wire media, model Entry, job engine.Job, emit func(engine.Part) error) (*engine.Output, error) {
	text, err := oneText(job)
	if err != nil {
		return nil, err
	}
	speed, _ := job.Params.Float("speed")
	audio, err := wire.Speak(ctx, Speech{
		Model: model.Server, Input: text, Voice: job.Params.Text("voice"), Format: formats[output(job)], Speed: speed, Language: job.Params.Text("language"),
	})
	if err != nil {
		return nil, err
	}
	return deliver(job, "speech", audio, emit, events.Usage{In: int64(utf8.RuneCountInString(text))})
}

func (s *Server) paint(ctx context.Context, wire media, model Entry, job engine.Job, emit func(engine.Part) error) (*engine.Output, error) {
	text, err := oneText(job)
	if err != nil {
		return nil, err
	}
	ask := Picture{
		Model: model.Server, Prompt: text, N: 1, Size: job.Params.Text("size"), Format: strings.TrimPrefix(output(job), "image/"), Reply: "b64_json",
		Negative: job.Params.Text("negative_prompt"),
	}
	if strings.HasPrefix(model.Server, "gpt-image") {
		ask.Reply = "" // it knows no other, and refuses to be asked
	}
	ask.Steps, _ = job.Params.Int("steps")
	if f, ok := job.Params.Float("guidance"); ok {
		ask.Guidance = &f
	}
	if n, ok := job.Params.Int("seed"); ok && n >= 0 {
		ask.Seed = &n
	}
	image, err := wire.Paint(ctx, ask)
	if err != nil {
		return nil, err
	}
	return deliver(job, "picture", image, emit, events.Usage{In: int64(utf8.RuneCountInString(text)), Out: 1})
}

// deliver writes the output file of a job into its folder.
func deliver(job engine.Job, name string, body []byte, emit func(engine.Part) error, used events.Usage) (*engine.Output, error) {
	if job.Dir == "" {
		return nil, &engine.InvalidError{Param: "output", Reason: "the job has no folder for its file"}
	}
	mime := output(job)
	if found := http.DetectContentType(body); strings.HasPrefix(found, "image/") || strings.HasPrefix(found, "text/") {
		if mime = found; !slices.Contains(events.Kinds[job.Kind].Outputs, found) || job.Output != "" && job.Output != found {
			return nil, fmt.Errorf("%w: the server gave %s, not %s", engine.ErrUnavailable, found, output(job))
		}
	}
	f := engine.File{Path: filepath.Join(job.Dir, name+events.Ending(mime)), Mime: mime}
	if err := os.WriteFile(f.Path, body, 0o600); err != nil {
		return nil, err
	}
	if err := emit(f); err != nil {
		return nil, err
	}
	return &engine.Output{Files: []engine.File{f}, Usage: used}, nil
}

// output is the MIME type that a job wants.
func output(job engine.Job) string {
	if job.Output != "" {
		return job.Output
	}
	return events.Kinds[job.Kind].Outputs[0]
}

// oneText is a job's only input.
func oneText(job engine.Job) (string, error) {
	texts, err := Texts(job)
	if err != nil {
		return "", err
	}
	if text := strings.Join(texts, "\n"); strings.TrimSpace(text) != "" {
		return text, nil
	}
	return "", &engine.InvalidError{Param: "i", Reason: "there is no text"}
}

// sound is a job's only input, an audio file.
func sound(job engine.Job) (audio []byte, mime string, err error) {
	if len(job.Inputs) != 1 || job.Inputs[0].File == nil {
		return nil, "", &engine.InvalidError{Param: "i", Reason: "there is no sound: one file is wanted"}
	}
	in := job.Inputs[0]
	audio, err = io.ReadAll(io.NewSectionReader(in.File, 0, maxInput+1)) // the offset is left alone: Estimate reads it too
	if err != nil {
		return nil, "", fmt.Errorf("read the input: %w", err)
	}
	if len(audio) > maxInput {
		return nil, "", fmt.Errorf("%w: above %d bytes", engine.ErrTooLarge, maxInput)
	}
	if mime = in.Mime; !strings.HasPrefix(mime, "audio/") && !strings.HasPrefix(mime, "video/") {
		return nil, "", &engine.InvalidError{Param: "i", Reason: fmt.Sprintf("a file of type %s is no sound", clip(mime, 40))}
	}
	return audio, mime, nil
}

// amount says what a job of sound or pictures uses.
func amount(job engine.Job) (events.Usage, error) {
	if job.Kind == events.KindTranscription {
		audio, _, err := sound(job)
		return events.Usage{In: duration(audio)}, err
	}
	text, err := oneText(job)
	u := events.Usage{In: int64(utf8.RuneCountInString(text))}
	if job.Kind == events.KindImage {
		u.Out = 1
	}
	return u, err
}
