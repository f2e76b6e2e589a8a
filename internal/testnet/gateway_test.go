package testnet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"infernet/consumer"
	"infernet/consumer/gateway"
	"infernet/events"
	"infernet/internal/httpd"
	"infernet/nips/nip98"
	"infernet/provider"
	"infernet/wallet"
)

// door is a running gateway.
type door struct {
	*gateway.Gateway
	t    testing.TB
	URL  string
	Keys *httpd.Keys
}

// gateway starts a gateway with play money. change may adjust it.
func (n *Net) gateway(t testing.TB, change func(*gateway.Config)) *door {
	t.Helper()
	name := "gateway-" + fmt.Sprint(time.Now().UnixNano())
	ledger := n.Ledger(name)
	c := gateway.Config{
		Consumer: n.Consumer(name, func(c *consumer.Config) { c.Wallet, c.Ledger = n.Wallet(name).(wallet.Payer), ledger }),
		Path:     filepath.Join(n.Dir, name+"-budgets.db"), MaxCost: 100 * events.Sat, Log: n.log.With("at", name),
	}
	if change != nil {
		change(&c)
	}
	g, err := gateway.New(c)
	if err != nil {
		t.Fatal(err)
	}
	d := &door{Gateway: g, t: t}
	if d.Keys, err = httpd.OpenKeys(filepath.Join(n.Dir, name+"-keys.json")); err != nil {
		t.Fatal(err)
	}
	s, err := httpd.Open(httpd.Config{Listen: "127.0.0.1:0", Keys: d.Keys, Goodbye: time.Second, Log: c.Log})
	if err != nil {
		t.Fatal(err)
	}
	g.Mount(s)
	d.URL = s.URL()
	ctx, cancel := context.WithCancel(n.ctx)
	stop := n.running("gateway", cancel, func() error { return s.Run(ctx) })
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// key issues an app key.
func (d *door) key(ask httpd.AppKey) (secret, id string) {
	d.t.Helper()
	secret, key, err := d.Keys.Issue(ask, time.Now())
	if err != nil {
		d.t.Fatal(err)
	}
	return secret, key.ID
}

// said is an answer of the gateway.
type said struct {
	code int
	head http.Header
	text string
}

// post posts a body; headers come in pairs.
func (d *door) post(path string, body any, headers ...string) said {
	d.t.Helper()
	return d.ask(ctx, "POST", path, body, headers...)
}

func (d *door) ask(ctx context.Context, method, path string, body any, headers ...string) said {
	d.t.Helper()
	raw, ok := body.(string)
	if !ok && body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			d.t.Fatal(err)
		}
		raw = string(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, d.URL+path, strings.NewReader(raw))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return said{resp.StatusCode, resp.Header, string(text)}
}

// object reads an answer as JSON.
func (s said) object(t testing.TB) (v struct {
	ID      string
	Object  string
	Model   string
	Choices []struct {
		Message struct{ Role, Content string }
		Delta   struct{ Role, Content string }
		Text    string
		Finish  string `json:"finish_reason"`
	}
	Usage *struct {
		Prompt     int64 `json:"prompt_tokens"`
		Completion int64 `json:"completion_tokens"`
		Infernet   struct {
			Cost events.Msat `json:"cost_msat"`
		}
	}
	Infernet struct {
		Job, Node, Receipt, Pay string
		Cost                    events.Msat `json:"cost_msat"`
	}
	Error *struct{ Message, Type, Code, Param string }
	Data  []struct {
		ID        string
		Embedding json.RawMessage
	}
}) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.text), &v); err != nil {
		t.Fatalf("%d %q: %v", s.code, s.text, err)
	}
	return v
}

type object = map[string]any

// chatOf is a body for /v1/chat/completions.
func chatOf(prompt string, more ...any) object {
	o := object{"model": "echo", "messages": []object{{"role": "user", "content": prompt}}}
	for i := 0; i < len(more); i += 2 {
		o[more[i].(string)] = more[i+1]
	}
	return o
}

// TestGatewayAnswers buys chats over the gateway, whole and streamed: what it cost is in headers, in the answer and gone
// from the wallet.
func TestGatewayAnswers(t *testing.T) {
	t.Parallel()
	n := Start(t)
	node := n.Provider("node", "echo:", nil)
	d := n.gateway(t, nil)

	got := d.post("/v1/chat/completions", chatOf("one two three", "max_tokens", 8, "temperature", 0, "seed", 7, "stop", []string{"x"}, "user", "me", "min_p", 0.1))
	v := got.object(t)
	if got.code != 200 || v.Choices[0].Message.Content != "one two three" || v.Choices[0].Finish != "stop" || v.Object != "chat.completion" || v.Model != "echo" {
		t.Fatalf("%d %s", got.code, got.text)
	}
	cost := got.head.Get("X-Infernet-Cost-Msat")
	if got.head.Get("X-Infernet-Job") != v.Infernet.Job || v.ID != "chatcmpl-"+v.Infernet.Job || got.head.Get("X-Infernet-Node") != string(node.Key) ||
		got.head.Get("X-Infernet-Receipt") == "" || cost != v.Infernet.Cost.String() || v.Infernet.Cost < 1 || v.Usage.Completion != 3 {
		t.Errorf("headers %v, body %s", got.head, got.text)
	}
	// encrypted to the node: nobody else reads it
	for _, ev := range n.stored(t, events.ID(v.Infernet.Job), events.KindText+1000) {
		if strings.Contains(ev.Content, "one two") || !events.IsEncrypted(ev) {
			t.Errorf("the result travels in clear: %s", ev)
		}
	}
	spent, err := d.Budgets().Spent("", time.Now())
	if err != nil || spent.Day != v.Infernet.Cost {
		t.Errorf("the budget says %v, %v; the job cost %s", spent, err, v.Infernet.Cost)
	}

	got = d.post("/v1/chat/completions", chatOf("four five six", "stream", true, "stream_options", object{"include_usage": true}))
	text, usage, cost, chunks := "", int64(0), "", 0
	for line := range strings.Lines(got.text) {
		data, ok := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		chunks++
		v := said{text: data}.object(t)
		if len(v.Choices) > 0 {
			text += v.Choices[0].Delta.Content
		}
		if v.Usage != nil {
			usage, cost = v.Usage.Completion, v.Usage.Infernet.Cost.String()
		}
	}
	if got.code != 200 || text != "four five six" || usage != 3 || cost == "0" || chunks < 4 || !strings.HasSuffix(got.text, "data: [DONE]\n\n") ||
		!strings.HasPrefix(got.head.Get("Content-Type"), "text/event-stream") || got.head.Get("X-Infernet-Job") == "" {
		t.Errorf("%d %s", got.code, got.text)
	}

	got = d.post("/v1/completions", object{"model": "echo", "prompt": "seven eight", "max_tokens": 1}, "X-Infernet-Pay", "hold")
	if v := got.object(t); got.code != 200 || v.Choices[0].Text != "seven" || v.Choices[0].Finish != "length" || v.Infernet.Pay != "hold" {
		t.Errorf("%d %s", got.code, got.text)
	}
	got = d.post("/v1/chat/completions", chatOf("in the open", "infernet", object{"way": "auction"}))
	if v := got.object(t); got.code != 200 || v.Choices[0].Message.Content != "in the open" {
		t.Errorf("%d %s", got.code, got.text)
	}
	if got := d.ask(ctx, "GET", "/v1/models", nil); got.object(t).Data[0].ID != "echo" {
		t.Errorf("%d %s", got.code, got.text)
	}
	if got := d.ask(ctx, "GET", "/v1/models/echo", nil); got.object(t).ID != "echo" {
		t.Errorf("%d %s", got.code, got.text)
	}
}

// TestGatewayRefuses sends what cannot be: each gets its status, and an error of OpenAI's shape that says what to do.
func TestGatewayRefuses(t *testing.T) {
	t.Parallel()
	n := Start(t)
	d := n.gateway(t, nil)
	check := func(what string, got said, code int, kind, says string) {
		t.Helper()
		v := got.object(t)
		if got.code != code || v.Error == nil || v.Error.Code != kind || !strings.Contains(v.Error.Message, says) {
			t.Errorf("%s: %d %s, want %d %s %q", what, got.code, got.text, code, kind, says)
		}
	}
	check("no node", d.post("/v1/chat/completions", chatOf("hi")), 503, "no_node", "no living node")
	n.Provider("node", "echo:", nil)
	Eventually(t, "the gateway sees the node", func() bool { return strings.Contains(d.ask(ctx, "GET", "/v1/models", nil).text, `"echo"`) })

	chat := func(what string, body any, code int, kind, says string, headers ...string) {
		t.Helper()
		check(what, d.post("/v1/chat/completions", body, headers...), code, kind, says)
	}
	chat("unknown model", chatOf("hi", "model", "ecco"), 404, "model_not_found", "there is echo")
	check("unknown model", d.ask(ctx, "GET", "/v1/models/ecco", nil), 404, "model_not_found", "there is echo")
	chat("no model", object{"messages": []object{{"role": "user", "content": "hi"}}}, 400, "invalid_value", "model is missing")
	chat("no messages", object{"model": "echo"}, 400, "invalid_value", "messages is empty")
	chat("empty prompt", chatOf(""), 400, "invalid_value", "is empty")
	chat("no object", "[1]", 400, "invalid_json", "no JSON object")
	chat("half", "{", 400, "invalid_json", "no JSON object")
	chat("role", chatOf("", "messages", []object{{"role": "wizard", "content": "x"}}), 400, "invalid_value", "wizard")
	chat("picture", chatOf("", "messages", []object{{"role": "user", "content": []object{{"type": "image_url"}}}}), 400, "invalid_value", "image_url")
	chat("tools", chatOf("hi", "tools", []object{{"type": "function"}}), 400, "invalid_value", "no function with a name")
	chat("two answers", chatOf("hi", "n", 2), 400, "unsupported_parameter", "one answer")
	chat("temperature", chatOf("hi", "temperature", 9), 400, "invalid_value", "out of bounds")
	chat("temperature", chatOf("hi", "temperature", "warm"), 400, "invalid_value", "no number")
	chat("max_tokens", chatOf("hi", "max_tokens", -1), 400, "invalid_value", "below 1")
	chat("stream", chatOf("hi", "stream", "yes"), 400, "invalid_value", "stream is a string")
	chat("giant prompt", chatOf(strings.Repeat("word ", 20_000)), 400, "context_length_exceeded", "tokens of context")
	chat("larger than a body", chatOf(strings.Repeat("word ", 400_000)), 413, "context_length_exceeded", "larger than")
	chat("way", chatOf("hi", "infernet", object{"way": "sideways"}), 400, "invalid_value", "direct, auction")
	chat("node", chatOf("hi"), 400, "invalid_value", "no key in hex", "X-Infernet-Node", "zz")
	chat("another node", chatOf("hi"), 503, "no_node", "only names others", "X-Infernet-Node", "00000000")
	chat("too cheap", chatOf("hi", "infernet", object{"max_cost_sats": 1}), 402, "insufficient_quota", "would take about 32 sat")
	chat("for free", chatOf("hi"), 402, "insufficient_quota", "the cheapest node", "X-Infernet-Pay", "free")
	chat("wrong key", chatOf("hi"), 401, "invalid_api_key", "not known", "Authorization", "Bearer ifn_wrong")
	check("nothing", d.ask(ctx, "GET", "/v1/assistants", nil), 404, "unknown_url", "/docs")

	// behind a proxy, or where it is set so, an app shows its key
	chat("proxy", chatOf("hi"), 401, "invalid_api_key", "app key", "X-Forwarded-For", "192.0.2.1")
	chat("proxy", chatOf("hi"), 401, "invalid_api_key", "not known", "X-Forwarded-For", "192.0.2.1", "Authorization", "Bearer sk-anything")
	if got := d.post("/v1/chat/completions", chatOf("hi"), "Authorization", "Bearer sk-anything"); got.code != 200 {
		t.Errorf("what apps send without a key: %d %s", got.code, got.text)
	}
	secret, id := d.key(httpd.AppKey{Name: "app"})
	day := 40 * events.Sat
	if err := d.Budgets().Set(id, gateway.Limit{Day: &day, Models: []string{"echo", "other"}}); err != nil {
		t.Fatal(err)
	}
	if got := d.post("/v1/chat/completions", chatOf("hi", "max_tokens", 2), "X-Forwarded-For", "192.0.2.1", "Authorization", "Bearer "+secret); got.code != 200 {
		t.Errorf("with a key: %d %s", got.code, got.text)
	}
	chat("budget", chatOf("hi", "max_tokens", 1000), 402, "insufficient_quota", "of it is left", "X-Api-Key", secret)
	chat("model of the key", chatOf("hi", "model", "third"), 403, "model_not_allowed", "echo, other", "X-Api-Key", secret)
	other, _ := d.key(httpd.AppKey{Name: "reader", Scopes: []string{"history"}})
	check("scope", d.post("/v1/chat/completions", chatOf("hi"), "X-Api-Key", other), 403, "", "not for gateway")
}

// TestGatewaySpendsForItsOwnerOnly signs requests by a Nostr key (NIP-98): everybody has one, and only the owner's buys.
func TestGatewaySpendsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	n := Start(t)
	owner, stranger := events.GenerateKeys(), events.GenerateKeys()
	d := n.gateway(t, func(c *gateway.Config) { c.Keys, c.Owners = true, []events.PubKey{owner.PublicKey()} })
	n.Provider("node", "echo:", nil)
	signed := func(keys *events.Keys, method, path, body string) said {
		t.Helper()
		ev := nip98.Request{URL: d.URL + path, Method: method, Body: []byte(body)}.Event(time.Now())
		if err := keys.Sign(ctx, ev); err != nil {
			t.Fatal(err)
		}
		return d.ask(ctx, method, path, body, "Authorization", nip98.Header(ev))
	}
	Eventually(t, "the gateway sees the node", func() bool { return strings.Contains(signed(owner, "GET", "/v1/models", "").text, `"echo"`) })
	body := `{"model":"echo","messages":[{"role":"user","content":"hi"}],"max_tokens":2}`
	if got := signed(stranger, "POST", "/v1/chat/completions", body); got.code != http.StatusForbidden {
		t.Errorf("a stranger: %d %s", got.code, got.text)
	}
	if got := signed(owner, "POST", "/v1/chat/completions", body); got.code != http.StatusOK {
		t.Errorf("the owner: %d %s", got.code, got.text)
	}
}

// TestGatewayCancels hangs up in the middle of a stream: the node hears that the job is cancelled, and the budget counts what
// was paid.
func TestGatewayCancels(t *testing.T) {
	t.Parallel()
	n := Start(t)
	n.Provider("node", "echo:?tokens=400&delay=50ms", func(c *provider.Config) { c.Price, c.Wallet = events.Price{}, nil })
	d := n.gateway(t, nil)
	asking, hangUp := context.WithCancel(ctx)
	body, _ := json.Marshal(chatOf("again and again", "stream", true, "max_tokens", 400))
	req, err := http.NewRequestWithContext(asking, "POST", d.URL+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for read := 0; read < 4 && lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "data: ") {
			read++
		}
	}
	hangUp()
	job := events.ID(resp.Header.Get("X-Infernet-Job"))
	Eventually(t, "the job is cancelled", func() bool { return len(n.stored(t, job, events.KindCancel)) > 0 })
}

// TestGatewayBudgetIsExact has 50 callers at once spend one budget: none of it is spent twice, and what is left is too little
// for one more.
func TestGatewayBudgetIsExact(t *testing.T) {
	t.Parallel()
	n := Start(t)
	n.Provider("node", "echo:?slots=50", func(c *provider.Config) { c.Price = events.Price{Base: 10 * events.Sat} })
	d := n.gateway(t, nil)
	secret, id := d.key(httpd.AppKey{Name: "app"})
	day := 105 * events.Sat
	if err := d.Budgets().Set(id, gateway.Limit{Day: &day}); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	codes := make(chan int, 50)
	for i := range 50 {
		wait.Go(func() {
			codes <- d.post("/v1/chat/completions", chatOf(fmt.Sprint("caller ", i)), "Authorization", "Bearer "+secret).code
		})
	}
	wait.Wait()
	close(codes)
	count := map[int]int{}
	for code := range codes {
		count[code]++
	}
	spent, err := d.Budgets().Spent(id, time.Now())
	out, err2 := d.Consumer.Ledger.SpentSince(time.Now().Add(-time.Hour))
	t.Logf("%v, spent %s, the ledger says %s", count, spent.Day.Human(), out.Human())
	if err != nil || err2 != nil || count[200] != 10 || count[402] != 40 || spent.Day != 100*events.Sat || out != spent.Day {
		t.Errorf("%v, spent %v (%v), the ledger says %s (%v)", count, spent, err, out.Human(), err2)
	}
}
