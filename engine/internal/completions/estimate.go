package completions

import (
	"context"
	"errors"
	"fmt"

	"infernet/engine"
	"infernet/events"
)

// Estimate says what a job will use at most. With Options.Exact the tokens in are counted by the server. Without, they
// are a third of the bytes and a few for each message's template: above what common tokenizers make of prose (four bytes
// a token in English, three in most other scripts), though below it for random letters or a byte-level model; what is
// missing is the node's risk. The units out are max_tokens, or the kind's OutUnit, and never more than the context leaves.
func (s *Server) Estimate(parent context.Context, job engine.Job) (events.Usage, error) {
	ctx, done, err := s.begin(parent)
	if err != nil {
		return events.Usage{}, err
	}
	defer done()
	usage, err := s.estimate(ctx, job)
	if err != nil && parent.Err() != nil {
		return events.Usage{}, parent.Err()
	}
	return usage, err
}

func (s *Server) estimate(ctx context.Context, job engine.Job) (events.Usage, error) {
	model, err := s.admit(ctx, job)
	if err != nil {
		return events.Usage{}, err
	}
	if isMedia(job.Kind) {
		return amount(job)
	}
	in, exact, err := s.count(ctx, job)
	if err != nil {
		return events.Usage{}, err
	}
	u := events.Usage{In: in}
	if job.Kind != events.KindEmbeddings {
		u.Out = MostOut(job)
	}
	if limit := int64(model.Context); exact && limit > 0 {
		if in >= limit {
			return u, fmt.Errorf("%w: %d tokens, %s takes %d", engine.ErrTooLarge, in, model.ID, limit)
		}
		u.Out = min(u.Out, limit-in)
	}
	return u, nil
}

// count counts a job's tokens in, exactly if the server can.
func (s *Server) count(ctx context.Context, job engine.Job) (n int64, exact bool, err error) {
	if job.Kind == events.KindEmbeddings {
		texts, err := Texts(job)
		if err != nil {
			return 0, false, err
		}
		// several inputs are several contexts: their sum says nothing about any of them
		if by := s.counter(); by != nil && len(texts) == 1 {
			n, err := by.CountText(ctx, texts[0])
			return n, err == nil, err
		}
		return aboutTexts(texts), false, nil
	}
	chat, err := Prompt(job)
	if err != nil {
		return 0, false, err
	}
	if by := s.counter(); by != nil && chat.Tools == nil { // how tools are written into the prompt is the template's
		n, err := by.Count(ctx, chat.Messages)
		if err == nil || errors.Is(err, engine.ErrUnavailable) && !errors.Is(err, errNoEndpoint) {
			return n, err == nil, err
		}
		// an old llama-server without these endpoints, or a template that takes no such turns: Run will say
	}
	return chat.about(), false, nil
}

// counter is the wire as one that counts; nil if the server has no tokenizer to ask.
func (s *Server) counter() counter {
	by, _ := s.wire.(counter)
	if !s.opts.Exact {
		return nil
	}
	return by
}

// about estimates the tokens of a conversation.
func about(messages []Message) int64 {
	n := int64(8)
	for _, m := range messages {
		n += int64(len(m.Content)+len(m.Calls)+2)/3 + 8
		for _, p := range m.Parts {
			if n += int64(len(p.Text)+2) / 3; p.Image != nil {
				n += min(aboutPicture, int64(len(p.Image.URL)+2)/3) // a unit is never less than a byte
			}
		}
	}
	return n
}

// aboutPicture is what models that see make of a picture, roughly.
const aboutPicture = 1024

// about estimates the tokens of a conversation with its tools.
func (chat *Chat) about() int64 {
	return about(chat.Messages) + int64(len(chat.Tools)+len(chat.Format)+2)/3
}

// aboutTexts estimates the tokens of texts that stand alone.
func aboutTexts(texts []string) int64 {
	var n int64
	for _, t := range texts {
		n += int64(len(t)+2)/3 + 2
	}
	return n
}

// Check holds a job against its kind's table. The error is an *engine.InvalidError.
func Check(job engine.Job) error {
	kind, ok := events.Kinds[job.Kind]
	if !ok {
		return &engine.InvalidError{Param: "kind", Reason: fmt.Sprintf("%d is no kind of job", job.Kind)}
	}
	// an engine's inputs are all fetched: each is text or a file here
	request := &events.Request{Params: job.Params, Output: job.Output, Inputs: make([]events.Input, len(job.Inputs))}
	for i, in := range job.Inputs {
		request.Inputs[i].Type = "text"
		if in.File != nil {
			request.Inputs[i].Type = "url" // every kind takes files
		}
	}
	err := kind.Check(request)
	var bad *events.ParamError
	if errors.As(err, &bad) {
		return &engine.InvalidError{Param: bad.Param, Reason: bad.Reason}
	}
	return err
}
