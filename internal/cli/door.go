package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"infernet/events"
	"infernet/internal/httpd"
	"infernet/internal/ledger"
	"infernet/internal/notify"
	"infernet/internal/pool"
	"infernet/internal/store"
)

// openDoor opens the listener of a daemon, as the settings of its part say: relay, provide or gateway.
func (a *app) openDoor(part, about string) (*httpd.Server, error) {
	s := a.settings
	listen := part + ".listen"
	if _, err := net.ResolveTCPAddr("tcp", s.text(listen)); err != nil {
		return nil, withHint(usage("%s (from %s): %w", listen, s.source[listen], err), "%s", a.listening(part, settingOf("relay.listen").standard))
	}
	keys, err := a.appKeys()
	if err != nil {
		return nil, err
	}
	c := httpd.Config{
		Listen: s.text(listen), URL: s.text(part + ".url"), Hosts: s.list(part + ".hosts"), Origins: s.list(part + ".origins"),
		Title: s.text(part + ".name"), Version: version, About: about, Metrics: s.text(part + ".metrics"), Named: part,
		Keys: keys, Used: s.path(part + ".used"), CertFile: s.text(part + ".tls_cert"), KeyFile: s.text(part + ".tls_key"), Log: a.log,
	}
	if part == "relay" {
		c.MaxPeer = 4 * int(s.number("relay.connections_each")) // WebSockets, and what asks beside them
		if names := s.list("relay.acme"); len(names) > 0 {
			c.ACME = &httpd.ACME{
				Names: names, Email: s.text("relay.acme_email"), CA: s.text("relay.acme_ca"), CAFile: s.text("relay.acme_root"), Dir: s.path("certificates"),
			}
		}
	}
	door, err := httpd.Open(c)
	var listening *net.OpError
	if err != nil && !errors.As(err, &listening) {
		return nil, &usageError{err}
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, withHint(fmt.Errorf("%s (from %s): %w", listen, s.source[listen], err), "%s", remark(a.listening(part, "127.0.0.1:0"), "port 0 takes a free one"))
	}
	if err != nil {
		return nil, fmt.Errorf("%s (from %s): %w", listen, s.source[listen], err)
	}
	if err := a.mountPage(door, part); err != nil {
		return nil, errors.Join(err, door.Close())
	}
	return door, nil
}

// listening is the command that was typed, with another address for a part's door: the flag --listen, where there is one.
func (a *app) listening(part, address string) string {
	if part == "provide" {
		return envName("provide.listen") + "=" + address + " " + line(a.args)
	}
	return again(a.args, "--listen", address)
}

// nodeAbout is what the front page of a node's own door says.
const nodeAbout = "This is a node that sells what its machine can compute. It is reached over its relays; here its owner sees how it does."

// historyScope is what an app key must be for, to read what people look at.
const historyScope = "history"

// steerScope is what an app key must be for, to change how the node deals.
const steerScope = "steer"

// mountNode mounts what a node shows its owner: whether it reaches its relays, and its history.
func (a *app) mountNode(door *httpd.Server, p *pool.Pool, rooms *records) error {
	connected := func() (n int) {
		for _, r := range p.Status() {
			if r.Connected {
				n++
			}
		}
		return n
	}
	door.Gauge("node_relays_connected", "Relays that the node is connected to.", func() float64 { return float64(connected()) })
	door.Check("relays", func(context.Context) error {
		if connected() == 0 {
			return errors.New("no relay answers")
		}
		return nil
	})
	owner, err := publicKey(a.settings.text("notify.owner"))
	if err != nil {
		return err
	}
	mountHistory(door, rooms, string(rooms.signer.PublicKey()), string(owner))
	return nil
}

// openIn is how long who asks early waits for the history to be open.
const openIn = 5 * time.Second

// mountHistory mounts the history of jobs, the settings and the notices, for app keys and for the node's and its owner's
// keys.
func mountHistory(door *httpd.Server, rooms *records, owners ...string) {
	rules := httpd.Rules{Scope: historyScope, Allow: func(who httpd.Caller) bool {
		for _, owner := range owners {
			if owner != "" && who.PubKey == owner {
				return true
			}
		}
		return who.Key != ""
	}}
	reader := func(ctx context.Context) (store.Reader, error) {
		r, err := rooms.history(ctx)
		if err != nil {
			return nil, httpd.Fail(503, "%v", err)
		}
		return r, nil
	}
	op := func(path, id, summary, text string, fails ...int) httpd.Operation {
		return httpd.Operation{
			Method: "GET", Path: "/api/v1/history/" + path, ID: id, Group: "history", Summary: summary, Text: text, Fails: append(fails, 503), Rules: rules,
		}
	}
	type jobsAsked struct {
		Role   string `query:"role" enum:"provider,customer" doc:"this machine's part; both if missing"`
		Live   bool   `query:"live" doc:"only jobs that may still change"`
		Since  int64  `query:"since" minimum:"0" doc:"taken on then or later, unix seconds"`
		Before string `query:"before" maxLength:"100" doc:"next of the page before"`
		Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"jobs of a page"`
	}
	type jobs struct {
		Body struct {
			Jobs []store.Job `json:"jobs" nullable:"false" doc:"newest first"`
			Next string      `json:"next,omitempty" doc:"before of the next page; missing on the last"`
		}
	}
	httpd.Handle(door, op("jobs", "historyJobs", "The history of jobs", "Amounts are msat.", 400), func(ctx context.Context, in *jobsAsked) (*jobs, error) {
		r, err := reader(ctx)
		if err != nil {
			return nil, err
		}
		q := store.JobQuery{Role: ledger.Role(in.Role), Live: in.Live, Since: events.Unix(in.Since), Limit: in.Limit}
		if in.Before != "" {
			mark, err := store.ParseMark(in.Before)
			if err != nil {
				return nil, httpd.Fail(400, "%v", err)
			}
			q.Before = &mark
		}
		out := &jobs{}
		if out.Body.Jobs, err = r.Jobs(ctx, q); err == nil && len(out.Body.Jobs) == in.Limit {
			out.Body.Next = out.Body.Jobs[in.Limit-1].Mark().String()
		}
		if out.Body.Jobs == nil {
			out.Body.Jobs = []store.Job{}
		}
		return out, err
	})
	type noticesAsked struct {
		Before int64 `query:"before" minimum:"0" doc:"next of the page before"`
		Limit  int   `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"notices of a page"`
	}
	type notices struct {
		Body struct {
			Notices []notify.Notice `json:"notices" nullable:"false" doc:"newest first"`
			Next    int64           `json:"next,omitempty" doc:"before of the next page; missing on the last"`
		}
	}
	httpd.Handle(door, op("notices", "historyNotices", "What happened that the owner should know", ""), func(ctx context.Context, in *noticesAsked) (*notices, error) {
		r, err := reader(ctx)
		if err != nil {
			return nil, err
		}
		out := &notices{}
		if out.Body.Notices, err = r.Notices(ctx, store.NoticeQuery{Before: in.Before, Limit: in.Limit}); err == nil && len(out.Body.Notices) == in.Limit {
			out.Body.Next = out.Body.Notices[in.Limit-1].Seq
		}
		if out.Body.Notices == nil {
			out.Body.Notices = []notify.Notice{}
		}
		return out, err
	})
	type settings struct {
		Body struct {
			Settings []store.Setting `json:"settings" nullable:"false" doc:"by name"`
		}
	}
	httpd.Handle(door, op("settings", "historySettings", "The settings that were changed while running", ""), func(ctx context.Context, _ *struct{}) (*settings, error) {
		r, err := reader(ctx)
		if err != nil {
			return nil, err
		}
		out := &settings{}
		if out.Body.Settings, err = r.Settings(ctx); out.Body.Settings == nil {
			out.Body.Settings = []store.Setting{}
		}
		return out, err
	})
}
