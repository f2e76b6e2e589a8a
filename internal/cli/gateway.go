package cli

import (
	"context"
	"errors"
	"net"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/consumer/gateway"
	"infernet/events"
	"infernet/internal/httpd"
	"infernet/internal/notify"
	"infernet/internal/store"
)

func (a *app) gatewayCommand() *cobra.Command {
	var ready *string
	cmd := &cobra.Command{
		Use:   "gateway",
		Short: "Let apps buy on the market over HTTP, as they know it from OpenAI",
		Long: "Runs a server on this machine that speaks OpenAI's API: /v1/chat/completions (streamed or not), /v1/completions,\n" +
			"/v1/embeddings, /v1/audio/speech and /transcriptions, /v1/images/generations, /v1/models. An app works by changing its base\n" +
			"URL to this one's /v1. Chats are spoken in the shapes of Anthropic's API (/v1/messages) and Ollama's (/api/chat,\n" +
			"/api/generate, /api/tags), too. Each request is a job, bought from the best node that is alive, encrypted to it; what it cost and its receipt are in the answer's headers and its field infernet.\n" +
			"'infernet up' has the same on the relay's address.\n\n" +
			"Requests may say how they are bought, in a field infernet or in headers: max_cost_sats (X-Infernet-Max-Cost), node, pay, way,\n" +
			"deadline_s, sort, only, ignore, order, max_price. Budgets for a day and for each app: 'infernet budget'.\n\n" +
			"Beside it is our own API, /api/v1: jobs of every kind that go on by themselves, with streams that late listeners hear from the\n" +
			"beginning (WebSocket and server-sent events), offers, nodes, estimates, budgets, keys, receipts and notices. /docs describes\n" +
			"it, /openapi.json for programs.\n\n" +
			"Apps on this machine need no key while it listens to this machine only and gateway.keys is not set; any other has to show an\n" +
			"app key.",
		Example:     "infernet gateway --listen 127.0.0.1:0",
		Annotations: says("gateway"),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.gateway(cmd.Context(), *ready)
		},
	}
	for _, f := range []struct{ name, setting, about string }{
		{"listen", "gateway.listen", "address to listen on; port 0 takes a free one"},
		{"max-cost", "run.max_cost", "most satoshi that one job may cost, where its request says nothing"},
		{"max-day", "gateway.max_day", "most satoshi that all jobs of a day may cost"},
	} {
		cmd.Flags().String(f.name, "", f.about)
		cmd.Flags().Lookup(f.name).Annotations = map[string][]string{"setting": {f.setting}}
		cmd.Flags().Lookup(f.name).DefValue = settingOf(f.setting).standard // what the help shows
	}
	ready = readyFlag(cmd, "the gateway's address")
	return cmd
}

// gateway runs the gateway on a listener of its own until ctx ends.
func (a *app) gateway(ctx context.Context, readyFile string) error {
	unlock, err := a.settings.lock("gateway")
	if err != nil {
		return err
	}
	defer unlock()
	door, err := a.openDoor("gateway", gatewayAbout)
	if err != nil {
		return err
	}
	g, closeGateway, err := a.openGateway(ctx, "gateway")
	if err != nil {
		return errors.Join(err, door.Close())
	}
	g.Mount(door)
	if err := a.settings.held("gateway", door.URL()); err != nil {
		return errors.Join(err, closeGateway(), door.Close())
	}
	a.tellGateway(door, g)
	if a.json {
		a.object(a.Out, map[string]string{"gateway": door.URL()})
	}
	if err := tellReady(readyFile, door.URL()); err != nil {
		return errors.Join(err, closeGateway(), door.Close())
	}
	return errors.Join(door.Run(ctx), closeGateway())
}

// tellGateway says where apps find the market, and whether they need a key.
func (a *app) tellGateway(door *httpd.Server, g *gateway.Gateway) {
	need := "no key is needed on this machine"
	if g.Keys {
		need = "apps need a key"
	}
	a.tell("gateway", "%s/v1, as OpenAI's API; %s", door.URL(), need)
}

// gatewayAbout is what the front page of a gateway says.
const gatewayAbout = "This is the market for apps: OpenAI's API under /v1. What they ask for is bought from the market's nodes."

// openGateway opens the gateway with what it buys with. part is whose address it is mounted at, relay or gateway: apps need
// keys unless that is this machine's only.
func (a *app) openGateway(ctx context.Context, part string) (g *gateway.Gateway, done func() error, err error) {
	s := a.settings
	buyer, closeBuyer, err := a.buyer(ctx)
	if err != nil {
		return nil, nil, err
	}
	owner, err := publicKey(s.text("notify.owner"))
	if err != nil {
		closeBuyer()
		return nil, nil, err
	}
	var owners []events.PubKey
	if owner != "" {
		owners = []events.PubKey{owner}
	}
	g, err = gateway.New(gateway.Config{
		Owners: owners, Alarm: func(who string, m consumer.Alarm) { a.alarm("apps ("+callerName(who)+") in a day", m) },
		Consumer: buyer, Path: s.path("gateway.db"), MaxCost: events.Msat(s.number("run.max_cost")) * events.Sat,
		MaxDay: events.Msat(s.number("gateway.max_day")) * events.Sat, Pay: s.list("run.pay"), Life: s.duration("run.deadline"),
		Notices: a.newestNotices, Prove: func(ctx context.Context, job events.ID) (*events.Proof, error) {
			return a.ledgerProof(ctx, string(job))
		},
		Keys: s.yes("gateway.keys") || s.text(part+".url") != "" || !loopback(s.text(part+".listen")), Log: a.log,
	})
	if err != nil {
		closeBuyer()
		return nil, nil, err
	}
	return g, func() error {
		defer closeBuyer()
		return g.Close()
	}, nil
}

// newestNotices are the notices before one (0: the newest).
func (a *app) newestNotices(ctx context.Context, before int64, limit int) (found []notify.Notice, err error) {
	err = a.look(ctx, func(r store.Reader) error {
		found, err = r.Notices(ctx, store.NoticeQuery{Before: before, Limit: limit})
		return err
	})
	return found, err
}

// loopback says whether an address is reached from this machine only.
func loopback(listen string) bool {
	at, err := net.ResolveTCPAddr("tcp", listen)
	return err == nil && at.IP.IsLoopback()
}
