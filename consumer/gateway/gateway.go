// Package gateway is the market as HTTP for one user: what apps that know OpenAI's API speak, bought from the market's nodes.
//
// It promises that an app pays no more than it may: what a job can cost at most is written down against its budget before
// the job is ordered, on the disk and one caller at a time, and what it did cost afterwards. A job goes encrypted to one
// node whenever a living node announces the model; nothing is put into the open unless a request asks for that. Who hangs up
// cancels the job. Errors have the shape that the API's own clients read.
//
// Begin with New and Mount, then buy.go: the way of one request.
package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/httpd"
	"infernet/internal/notify"
)

// Config says with what a gateway buys. Consumer and Path are needed.
type Config struct {
	Consumer *consumer.Consumer
	Path     string          // file of the budgets
	MaxCost  events.Msat     // most for one job, where its request says nothing; 0 means only for free
	MaxDay   events.Msat     // most for all jobs of a day (UTC); no limit if 0
	Pay      []string        // ways to pay, preferred first; what the wallet can, if empty
	Life     time.Duration   // until a job's deadline; 5 minutes if unset
	Owners   []events.PubKey // Nostr keys that may buy by signing (NIP-98); nobody else's may
	Keys     bool            // app keys are needed on this machine, too; everywhere else they always are

	Alarm func(who string, a consumer.Alarm) // told when a half, four fifths and all of a caller's day are spent; may be nil

	// Notices gives the notices before one (0: the newest), and Prove what proves a job's receipt; not answered if unset.
	Notices func(ctx context.Context, before int64, limit int) ([]notify.Notice, error)
	Prove   func(ctx context.Context, job events.ID) (*events.Proof, error)

	Log *slog.Logger
	Now func() time.Time
}

// Gateway buys for whoever asks over HTTP.
type Gateway struct {
	Config
	budget *Budget
	roster *roster
	record *record
	shelf  *shelf
	tasks  *tasks
	keys   *httpd.Keys // of the server that it is mounted into

	ctx   context.Context // of what goes on after a request has ended
	stop  context.CancelFunc
	after sync.WaitGroup
}

// New opens the budgets, and settles what a crash left open in them.
func New(c Config) (*Gateway, error) {
	if c.Consumer == nil || c.Path == "" {
		return nil, errors.New("gateway: consumer and path are needed")
	}
	if c.Life == 0 {
		c.Life = 5 * time.Minute
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	budget, err := OpenBudget(c.Path)
	if err != nil {
		return nil, err
	}
	budget.alarm, budget.maxDay = c.Alarm, c.MaxDay
	g := &Gateway{Config: c, budget: budget, roster: newRoster(c.Consumer, c.Now), record: newRecord(c.Now), tasks: &tasks{of: map[events.ID]*task{}}}
	g.shelf = &shelf{budget.db, g.filesOf}
	open, err := g.shelf.open()
	if err == nil {
		err = budget.recover(c.Consumer.Ledger, triesOf(open))
	}
	if err != nil {
		return nil, errors.Join(err, budget.Close())
	}
	g.ctx, g.stop = context.WithCancel(context.Background())
	for _, job := range open {
		g.takeUp(job)
	}
	return g, nil
}

// Close ends what goes on after requests, and waits for it. The server has to have ended before.
func (g *Gateway) Close() error {
	g.stop()
	g.after.Wait()
	return g.budget.Close()
}

// Budgets are the gateway's, to look at and to change.
func (g *Gateway) Budgets() *Budget { return g.budget }

// Scope is what an app key must be for.
const Scope = "gateway"

// maxBody is how large a request may be that says all in its own body, in bytes.
const maxBody = 1 << 20

// Mount puts the gateway's paths into a server.
func (g *Gateway) Mount(s *httpd.Server) {
	g.keys = s.Keys
	mount := func(pattern string, refuse httpd.Refuser, most int64, h http.HandlerFunc) {
		here, elsewhere := g.rules(refuse, most)
		s.Mount(pattern, here, h)
		s.Mount(pattern, elsewhere, h)
	}
	mount("POST /v1/chat/completions", refuseOpenAI, maxBody, g.serveChat)
	mount("POST /v1/completions", refuseOpenAI, maxBody, g.serveCompletion)
	mount("POST /v1/embeddings", refuseOpenAI, maxBody, g.serveEmbeddings)
	mount("GET /v1/models", refuseOpenAI, maxBody, g.serveModels)
	mount("GET /v1/models/{id...}", refuseOpenAI, maxBody, g.serveModel)
	mount("POST /v1/audio/speech", refuseOpenAI, maxBody, g.serveSpeech)
	mount("POST /v1/audio/transcriptions", refuseOpenAI, maxMedia, g.serveTranscription)
	mount("POST /v1/images/generations", refuseOpenAI, maxBody, g.serveImages)
	mount("POST /v1/messages", refuseClaude, maxBody, g.serveMessages)
	mount("POST /v1/messages/count_tokens", refuseClaude, maxBody, g.serveCount)
	mount("POST /api/chat", refuseOllama, maxBody, g.serveOllama(ollamaChat))
	mount("POST /api/generate", refuseOllama, maxBody, g.serveOllama(ollamaText))
	mount("GET /api/tags", refuseOllama, maxBody, g.serveTags)
	mount("GET /api/version", refuseOllama, maxBody, serveOllamaVersion)
	for _, method := range []string{"GET", "POST", "DELETE"} {
		mount(method+" /v1/", refuseOpenAI, maxBody, serveNothing)
	}
	g.mountREST(s, mount)
}

// rules are those of requests from this machine, which need no key unless Config says so, and of all others.
func (g *Gateway) rules(refuse httpd.Refuser, most int64) (here, elsewhere httpd.Rules) {
	here = httpd.Rules{
		Access: httpd.Optional, Placeholder: true, Scope: Scope, MaxBody: most, Refuse: refuse,
		When: func(r *http.Request) bool { return !g.Keys && httpd.Local(r) },
	}
	elsewhere = here
	elsewhere.When, elsewhere.Access, elsewhere.Placeholder, elsewhere.Allow = nil, httpd.Known, false, g.may
	return here, elsewhere
}

// may says whether a caller may spend: apps with a key, and the owner; anybody has some Nostr key.
func (g *Gateway) may(who httpd.Caller) bool {
	return who.Key != "" || slices.Contains(g.Owners, events.PubKey(who.PubKey))
}

// serveNothing answers what the gateway does not have, in the shape that its callers read.
func serveNothing(w http.ResponseWriter, r *http.Request) {
	refuse(w, &failure{Status: http.StatusNotFound, Type: invalidRequest, Code: "unknown_url", Message: "there is nothing for " + r.Method + " at " + r.URL.Path + "; what there is: /docs"})
}
