package completions

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"infernet/engine"
	"infernet/events"
)

var (
	_ engine.Engine    = (*Server)(nil)
	_ engine.Estimator = (*Server)(nil)
)

// Options are a Server's settings.
type Options struct {
	Kinds []int // job kinds that every model serves; nil: by the models' names
	Slots int   // jobs at once; 0: what a llama-server says, else 1
	Exact bool  // the server is a llama-server: Estimate counts with its tokenizer. The Wire is a Client
}

// Wire is what a Server needs of the way its server is spoken to. Client is one; engine/ollama has another.
type Wire interface {
	// List asks for the models, as customers name them.
	List(ctx context.Context, o Options) ([]Entry, error)
	// Chat streams a conversation's next turn; Chat.Model is an Entry's Server.
	Chat(ctx context.Context, chat *Chat, emit func(text string) error) (Answer, error)
	// Embed gives one vector for each text, in their order.
	Embed(ctx context.Context, model string, texts []string, dimensions int64) (vectors []json.RawMessage, tokens int64, err error)
	// String is how errors name the server.
	String() string
	// Close drops the connections.
	Close()
}

// counter is a Wire that counts tokens as its server will.
type counter interface {
	Count(ctx context.Context, messages []Message) (int64, error)
	CountText(ctx context.Context, text string) (int64, error)
}

// Server is a server of language models as an engine.
type Server struct {
	wire   Wire
	models *catalog
	opts   Options

	mu      sync.Mutex
	closed  bool
	end     chan struct{} // closed by Close
	running sync.WaitGroup
}

// NewServer makes an engine of a wire. The wire is the engine's from then on.
func NewServer(w Wire, o Options) *Server {
	return &Server{wire: w, opts: o, end: make(chan struct{}), models: &catalog{wire: w, opts: o}}
}

// Models lists what the server has now; a list of the last few seconds is good enough.
func (s *Server) Models(ctx context.Context) ([]engine.Model, error) {
	ctx, done, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	list, err := s.models.list(ctx)
	if err != nil {
		return nil, err
	}
	return plain(list), nil
}

// Run does one job over one request. Where the server counts no tokens, In is the estimate and Out the number of deltas
// (nearly every server sends one a token).
func (s *Server) Run(parent context.Context, job engine.Job, emit func(engine.Part) error) (*engine.Output, error) {
	ctx, done, err := s.begin(parent)
	if err != nil {
		return nil, err
	}
	defer done()
	out, err := s.run(ctx, job, emit)
	if err != nil && parent.Err() != nil {
		return nil, parent.Err()
	}
	return out, err
}

func (s *Server) run(ctx context.Context, job engine.Job, emit func(engine.Part) error) (*engine.Output, error) {
	model, err := s.admit(ctx, job)
	if err != nil {
		return nil, err
	}
	switch {
	case job.Kind == events.KindEmbeddings:
		return s.embed(ctx, model, job)
	case isMedia(job.Kind):
		return s.perform(ctx, model, job, emit)
	}
	chat, err := Prompt(job)
	if err != nil {
		return nil, err
	}
	chat.Model = model.Server
	guess := chat.about()
	if _, asked := job.Params.Lookup("max_tokens"); !asked && model.Context > 0 {
		// our own default must not be what overflows the context; if the prompt alone does, the server says so
		if room := int64(model.Context) - guess; room > 0 {
			chat.MaxTokens = min(chat.MaxTokens, room)
		}
	}
	var text strings.Builder
	answer, err := s.wire.Chat(ctx, chat, func(delta string) error {
		text.WriteString(delta)
		return emit(engine.Delta{Text: delta})
	})
	if err != nil {
		return nil, err
	}
	usage := events.Usage{In: answer.In, Out: answer.Out}
	if usage.In <= 0 { // a server may count wrongly, too
		usage.In = guess
	}
	if usage.Out <= 0 {
		usage.Out = answer.Deltas
	}
	usage.Out = min(usage.Out, int64(text.Len())) // what a model thought and did not say is not sold: no token is less than a byte
	return &engine.Output{Text: text.String(), Usage: usage}, nil
}

func (s *Server) embed(ctx context.Context, model Entry, job engine.Job) (*engine.Output, error) {
	texts, err := Texts(job)
	if err != nil {
		return nil, err
	}
	if len(texts) == 0 {
		return nil, &engine.InvalidError{Param: "i", Reason: "embeddings need an input"}
	}
	dimensions, _ := job.Params.Int("dimensions")
	vectors, tokens, err := s.wire.Embed(ctx, model.Server, texts, dimensions)
	if err != nil {
		return nil, err
	}
	if tokens <= 0 {
		tokens = aboutTexts(texts)
	}
	text, err := json.Marshal(vectors)
	if err != nil {
		return nil, fmt.Errorf("write vectors: %w", err)
	}
	return &engine.Output{Text: string(text), Usage: events.Usage{In: tokens}}, nil
}

// admit checks a job against its kind's table and finds its model.
func (s *Server) admit(ctx context.Context, job engine.Job) (Entry, error) {
	if err := Check(job); err != nil {
		return Entry{}, err
	}
	model, err := s.models.find(ctx, job.Model, job.Kind)
	if err != nil {
		return Entry{}, err
	}
	if !slices.Contains(model.Kinds, job.Kind) {
		return Entry{}, &engine.InvalidError{Param: "model", Reason: fmt.Sprintf("%s does not serve %s (kind %d)", model.ID, events.Kinds[job.Kind].Name, job.Kind)}
	}
	return model, nil
}

// Close ends every job, waits for them, and drops the connections.
func (s *Server) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.end)
	}
	s.mu.Unlock()
	s.running.Wait()
	s.wire.Close()
	return nil
}

// begin counts a call in, under a context that Close ends.
func (s *Server) begin(parent context.Context) (ctx context.Context, done func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := fmt.Errorf("%w: closed", engine.ErrUnavailable)
	if s.closed {
		return nil, nil, gone
	}
	s.running.Add(1)
	ctx, cancel := context.WithCancelCause(parent)
	left := make(chan struct{})
	go func() {
		select {
		case <-s.end:
			cancel(gone)
		case <-left:
		}
	}()
	return ctx, func() { close(left); cancel(nil); s.running.Done() }, nil
}
