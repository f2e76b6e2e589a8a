package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/nips/nip98"
	"infernet/relay"
)

// operator is what the commands of a relay's operator need: a relay that runs, here or elsewhere, is asked over HTTP; the
// store of one that does not is opened by the command itself.
type operator interface {
	Backup(ctx context.Context, to io.Writer, had relay.Have) error
	Export(ctx context.Context, to io.Writer, f nostr.Filter) (int, error)
	Import(ctx context.Context, from io.Reader) (relay.Imported, error)
	Compact() (saved int64, err error)
	Manage(ctx context.Context, method string, params []json.RawMessage) (any, error)
}

var _ operator = (*relay.Relay)(nil)

// operatorKey is the key that a relay's operator signs with. The relay of the same data folder knows it.
const operatorKey = "operator.key"

// operating does something with a relay: the one that --relay names, or that of the data folder. at is where it runs, "" if
// it does not.
func (a *app) operating(ctx context.Context, do func(o operator, at string) error) error {
	if a.settings.source["relays"] == "flag" {
		relays := a.settings.list("relays")
		if len(relays) != 1 {
			return usage("--relay: name one relay to operate")
		}
		return a.operatingAt(ctx, relays[0], "", do)
	}
	unlock, err := a.settings.lock("relay")
	var held *heldError
	if errors.As(err, &held) {
		if held.at == "" {
			return withHint(errors.New("the relay of this data folder is just starting, or ending"), "%s", line(a.args))
		}
		return a.operatingAt(ctx, held.at, a.settings.local("relay"), do)
	}
	if err != nil {
		return err
	}
	defer unlock()
	config, err := a.relayConfig()
	if err != nil {
		return err
	}
	r, err := relay.Open(ctx, config)
	if err != nil {
		return err
	}
	return errors.Join(do(r, ""), r.Close())
}

// operatingAt does it with a relay that runs at an address; local is where it is reached on this machine, whatever its name leads
// to, "" elsewhere.
func (a *app) operatingAt(ctx context.Context, at, local string, do func(o operator, at string) error) error {
	if err := a.settings.makeDataDir(); err != nil {
		return err
	}
	signer, done, err := a.signer(ctx, a.settings.path(operatorKey))
	if err != nil {
		return err
	}
	defer done()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	defer transport.CloseIdleConnections()
	if local != "" {
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, local)
		}
	}
	o := &remote{url: "http" + strings.TrimPrefix(strings.TrimSuffix(at, "/"), "ws"), at: at, signer: signer, client: &http.Client{Transport: transport}, ctx: ctx}
	return do(o, at)
}

// remote is a relay that runs somewhere.
type remote struct {
	url    string // http://… or https://…
	at     string // as people know it
	signer events.Signer
	client *http.Client
	ctx    context.Context //nolint:containedctx // the command's; Compact has none of its own
}

// post asks for something, signed, and gives the answer's body.
func (o *remote) post(ctx context.Context, path, kind string, body []byte) (io.ReadCloser, error) {
	salt := make([]byte, 8)
	rand.Read(salt)
	ev := nip98.Request{URL: o.url + path, Method: http.MethodPost, Body: body, Salt: hex.EncodeToString(salt)}.Event(time.Now())
	if err := o.signer.Sign(ctx, ev); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, usage("--relay: %w", err)
	}
	req.Header.Set("Authorization", nip98.Header(ev))
	req.Header.Set("Content-Type", kind)
	resp, err := o.client.Do(req)
	if err != nil {
		return nil, &noRelayError{[]string{o.at}, err}
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	return nil, o.refused(resp.StatusCode, said)
}

// refused is what a relay that does not do it has said.
func (o *remote) refused(code int, said []byte) error {
	var problem struct{ Detail string }
	text := strings.TrimSpace(string(said))
	if json.Unmarshal(said, &problem) == nil && problem.Detail != "" {
		text = problem.Detail
	}
	switch code {
	case http.StatusForbidden, http.StatusUnauthorized:
		return withHint(fmt.Errorf("%s does not take this machine's operator key: %s", o.at, text), "%s",
			remark("infernet key", "the relay's operator adds the key of your relays to its setting relay.admins"))
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return fmt.Errorf("%s cannot be operated: it is another program, or an earlier version (%d)", o.at, code)
	}
	return fmt.Errorf("%s: %s (%d)", o.at, text, code)
}

func (o *remote) Backup(ctx context.Context, to io.Writer, had relay.Have) error {
	body, err := json.Marshal(had)
	if err != nil {
		return err
	}
	return o.stream(ctx, relay.BackupPath, body, to)
}

func (o *remote) stream(ctx context.Context, path string, body []byte, to io.Writer) error {
	from, err := o.post(ctx, path, "application/json", body)
	if err != nil {
		return err
	}
	defer from.Close()
	if _, err := io.Copy(to, from); err != nil {
		return fmt.Errorf("the relay's answer was cut off: %w", err)
	}
	return nil
}

func (o *remote) Export(ctx context.Context, to io.Writer, f nostr.Filter) (int, error) {
	body, err := json.Marshal(f)
	if err != nil {
		return 0, err
	}
	count := &lineCounter{to: to}
	err = o.stream(ctx, relay.ExportPath, body, count)
	return count.lines, err
}

// lineCounter counts what goes through it.
type lineCounter struct {
	to    io.Writer
	lines int
}

func (c *lineCounter) Write(p []byte) (int, error) {
	c.lines += bytes.Count(p, []byte("\n"))
	return c.to.Write(p)
}

func (o *remote) Import(ctx context.Context, from io.Reader) (all relay.Imported, err error) {
	body, err := io.ReadAll(from)
	if err != nil {
		return all, err
	}
	return all, o.ask(ctx, relay.ImportPath, "application/jsonl", body, &all)
}

func (o *remote) Compact() (int64, error) {
	var out struct{ Saved int64 }
	err := o.ask(o.ctx, relay.CompactPath, "application/json", nil, &out)
	return out.Saved, err
}

// Manage asks by NIP-86.
func (o *remote) Manage(ctx context.Context, method string, params []json.RawMessage) (any, error) {
	body, err := json.Marshal(map[string]any{"method": method, "params": params})
	if err != nil {
		return nil, err
	}
	var out struct {
		Result json.RawMessage
		Error  string
	}
	if err := o.ask(ctx, "/", "application/nostr+json+rpc", body, &out); err != nil {
		return nil, err
	}
	if out.Error != "" {
		return nil, fmt.Errorf("%s: %s", o.at, out.Error)
	}
	return out.Result, nil
}

func (o *remote) ask(ctx context.Context, path, kind string, body []byte, answer any) error {
	from, err := o.post(ctx, path, kind, body)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := json.NewDecoder(from).Decode(answer); err != nil {
		return fmt.Errorf("%s answers with something else: %w", o.at, err)
	}
	return nil
}

// relayConfig is how the settings say that a relay runs, but for where it listens.
func (a *app) relayConfig() (relay.Config, error) {
	s := a.settings
	c := relay.Config{
		Dir: s.path("relay"), ServiceURL: s.text("relay.url"), Name: s.text("relay.name"), PrivateJobs: s.yes("relay.private_jobs"), Log: a.log,
		MaxConns: int(s.number("relay.connections")), MaxConnsPerAddress: int(s.number("relay.connections_each")), Version: version,
		KeepFree: s.number("relay.keep_free") << 20, Closed: s.text("relay.writers") == "allowed",
		Rate: float64(s.number("relay.rate")), KeyRate: float64(s.number("relay.rate_key")), AddressRate: float64(s.number("relay.rate_address")),
		Work: int(s.number("relay.work")), WorkFrom: float64(s.number("relay.work_from")), OfferPow: int(s.number("relay.offer_work")),
	}
	if w := s.text("relay.writers"); w != "all" && w != "allowed" {
		return c, s.mend("relay.writers", usage("relay.writers (from %s): %q is none of all, allowed", s.source["relay.writers"], w))
	}
	for _, name := range s.list("relay.kinds") {
		kind, err := strconv.Atoi(name)
		switch {
		case name == "all":
		case name == "market":
			c.MarketOnly = true
		case err != nil || kind < 0 || kind > 65535:
			return c, s.mend("relay.kinds", usage("relay.kinds (from %s): %q is none of all, market and no kind, 0 to 65535", s.source["relay.kinds"], name))
		default:
			c.Kinds = append(c.Kinds, kind)
		}
	}
	if len(c.Kinds) > 0 && !c.MarketOnly {
		return c, s.mend("relay.kinds", usage("relay.kinds (from %s): kinds are named beside market: [\"market\", \"1\"]", s.source["relay.kinds"]))
	}
	for _, name := range []string{"relay.work", "relay.offer_work"} {
		if s.number(name) > 40 {
			return c, s.mend(name, usage("%s (from %s): more than 40 bits nobody can bring", name, s.source[name]))
		}
	}
	if c.KeepFree == 0 {
		c.KeepFree = -1
	}
	own, err := a.ownOperator()
	if err != nil {
		return c, err
	}
	if own != "" {
		c.Admins = append(c.Admins, own)
	}
	for _, name := range s.list("relay.admins") {
		key, err := publicKey(name)
		if err != nil || key == "" {
			return c, s.mend("relay.admins", usage("relay.admins: %w", err))
		}
		c.Admins = append(c.Admins, string(key))
	}
	return c, nil
}

// ownOperator is the key of whoever may read this data folder, and makes it. One that needs a password or a bunker is not
// opened for it: relay.admins can name it.
func (a *app) ownOperator() (string, error) {
	if err := a.settings.makeDataDir(); err != nil {
		return "", err
	}
	path := a.settings.path(operatorKey)
	secret, err := readSecret(path)
	switch {
	case err == nil && keyForm(secret) != plainKey:
		return "", nil
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return "", err
	}
	k, err := keys(path)
	if err != nil {
		return "", err
	}
	return string(k.PublicKey()), nil
}
