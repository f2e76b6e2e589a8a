package testnet

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"infernet/consumer"
	"infernet/consumer/gateway"
	"infernet/events"
	"infernet/internal/httpd"
	"infernet/nips/nip98"
	"infernet/provider"
	"infernet/wallet"
)

// into reads an answer as JSON.
func into[T any](t testing.TB, s said, code int) (v T) {
	t.Helper()
	if s.code != code {
		t.Fatalf("%d %s, want %d", s.code, s.text, code)
	}
	if err := json.Unmarshal([]byte(s.text), &v); err != nil {
		t.Fatalf("%s: %v", s.text, err)
	}
	return v
}

// over waits until a job has ended.
func (d *door) over(id events.ID, headers ...string) (j gateway.Job) {
	d.t.Helper()
	Eventually(d.t, "the job ends", func() bool {
		j = into[gateway.Job](d.t, d.ask(ctx, "GET", "/api/v1/jobs/"+string(id), nil, headers...), 200)
		return j.Finished > 0
	})
	return j
}

// sse reads a job's events until the stream ends.
func (d *door) sse(id events.ID, headers ...string) (all []gateway.Entry) {
	d.t.Helper()
	got := d.ask(ctx, "GET", "/api/v1/jobs/"+string(id)+"/events", nil, headers...)
	if got.code != 200 || got.head.Get("Content-Type") != "text/event-stream" {
		d.t.Fatalf("%d %s", got.code, got.text)
	}
	var e gateway.Entry
	for lines := bufio.NewScanner(strings.NewReader(got.text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			fmt.Sscan(value, &e.Seq)
		case "event":
			e.Event = value
		case "data":
			e.Data = json.RawMessage(value)
		case "":
			if e.Event != "" {
				all = append(all, e)
			}
			e = gateway.Entry{}
		}
	}
	return all
}

// socket reads a job's WebSocket until it is closed.
func (d *door) socket(id events.ID, after int64, protocols ...string) (all []gateway.Entry) {
	d.t.Helper()
	c, _, err := websocket.Dial(ctx, fmt.Sprintf("ws%s/api/v1/jobs/%s/stream?after=%d", strings.TrimPrefix(d.URL, "http"), id, after),
		&websocket.DialOptions{Subprotocols: append([]string{gateway.Protocol}, protocols...)})
	if err != nil {
		d.t.Fatal(err)
	}
	defer c.CloseNow()
	for {
		_, body, err := c.Read(ctx)
		if websocket.CloseStatus(err) == websocket.StatusNormalClosure {
			return all
		}
		if err != nil {
			d.t.Fatal(err)
		}
		var e gateway.Entry
		if err := json.Unmarshal(body, &e); err != nil {
			d.t.Fatal(err)
		}
		all = append(all, e)
	}
}

// tale is what a job's entries say: their numbers rise by one, and the pieces make the text.
func tale(t testing.TB, all []gateway.Entry, after int64) (text, end string) {
	t.Helper()
	for i, e := range all {
		if e.Seq != after+int64(i)+1 {
			t.Errorf("entry %d has seq %d", i, e.Seq)
		}
		if e.Event == "result" {
			var p gateway.Partial
			if err := json.Unmarshal(e.Data, &p); err != nil {
				t.Fatal(err)
			}
			if p.Whole {
				text = ""
			}
			text += p.Text
		}
		end = e.Event
	}
	return text, end
}

// TestRESTJobs orders jobs over /api/v1: by a text, by an object, by an image's words. Who listens early, late or from the
// middle hears the same, over both kinds of streams; also after the gateway was restarted.
func TestRESTJobs(t *testing.T) {
	t.Parallel()
	n := Start(t)
	node := n.Provider("node", "echo:?delay=20ms&slots=8", nil)
	d := n.gateway(t, nil)
	const words = "one two three four five six seven eight nine ten"
	got := d.post("/api/v1/jobs", object{"model": "echo", "input": object{"prompt": words, "max_tokens": 50, "temperature": 0}, "budget": object{"max_cost_sats": 50}, "resources": object{"priority": "medium"}})
	job := into[gateway.Job](t, got, 201)
	if job.Status != gateway.Queued && job.Status != gateway.Running || len(job.ID) != 64 || got.head.Get("Location") != "/api/v1/jobs/"+string(job.ID) || job.Cost.Max != 50*events.Sat {
		t.Fatalf("%+v", job)
	}
	live := d.socket(job.ID, 0) // until its end
	if text, end := tale(t, live, 0); text != words || end != "complete" {
		t.Errorf("live: %q, %s", text, end)
	}
	pieces := 0
	for _, e := range live {
		if e.Event == "result" {
			pieces++
		}
	}
	if pieces < 2 {
		t.Errorf("the text came in %d pieces", pieces)
	}
	job = d.over(job.ID)
	if job.Status != gateway.Completed || job.Output != words || job.Node != node.Key || job.Cost.Paid < 1 || job.Cost.Receipt == "" || job.Cost.Preimage == "" || job.Progress.Percentage != 100 || job.Usage.Out != 10 {
		t.Errorf("%+v", job)
	}
	late := d.sse(job.ID)
	if fmt.Sprint(late[len(late)-1].Data) != fmt.Sprint(live[len(live)-1].Data) || len(late) != len(live) {
		t.Errorf("late: %d entries, live %d", len(late), len(live))
	}
	for _, from := range []int64{1, int64(len(live)) / 2, int64(len(live)) - 1} {
		if rest := d.socket(job.ID, from); len(rest) != len(live)-int(from) {
			t.Errorf("after %d come %d of %d", from, len(rest), len(live))
		} else {
			tale(t, rest, from)
		}
	}
	if rest := d.sse(job.ID, "Last-Event-ID", fmt.Sprint(len(live)-1)); len(rest) != 1 {
		t.Errorf("after Last-Event-ID come %d", len(rest))
	}
	list := into[struct {
		Jobs []gateway.Job
		Next int64
	}](t, d.ask(ctx, "GET", "/api/v1/jobs?limit=1", nil), 200)
	if len(list.Jobs) != 1 || list.Jobs[0].ID != job.ID || list.Next == 0 {
		t.Errorf("%+v", list)
	}
	// a plain text, without its pieces; and in the open
	for _, body := range []object{{"type": "text", "input": "just this", "stream": false}, {"model": "echo", "input": []string{"in", "the open"}, "way": "auction"}} {
		job := into[gateway.Job](t, d.post("/api/v1/jobs", body), 201)
		if job = d.over(job.ID); job.Status != gateway.Completed || job.Output == "" {
			t.Errorf("%+v", job)
		}
		if text, end := tale(t, d.sse(job.ID), 0); text != job.Output || end != "complete" {
			t.Errorf("%q %s", text, end)
		}
	}
	// what was bought otherwise is shown, too
	chat := d.post("/v1/chat/completions", chatOf("a chat")).object(t)
	if job := into[gateway.Job](t, d.ask(ctx, "GET", "/api/v1/jobs/"+chat.Infernet.Job, nil), 200); job.Status != gateway.Completed || job.Output != "a chat" || job.Cost.Paid != chat.Infernet.Cost {
		t.Errorf("%+v", job)
	}
	receipts := into[struct{ Receipts []gateway.Receipt }](t, d.ask(ctx, "GET", "/api/v1/receipts", nil), 200)
	if r := receipts.Receipts; len(r) != 4 || r[3].Job != job.ID || r[3].Preimage != job.Cost.Preimage || !r[3].Sure {
		t.Errorf("%+v", r)
	}
}

// TestRESTCancel cancels a job in the middle of its text: whoever listens hears it, the market does, and it is over once.
func TestRESTCancel(t *testing.T) {
	t.Parallel()
	n := Start(t)
	n.Provider("node", "echo:?tokens=400&delay=50ms", func(c *provider.Config) { c.Price, c.Wallet = events.Price{}, nil })
	d := n.gateway(t, nil)
	job := into[gateway.Job](t, d.post("/api/v1/jobs", object{"model": "echo", "input": object{"prompt": "again and again", "max_tokens": 400}}), 201)
	heard := make(chan []gateway.Entry, 1)
	go func() {
		defer close(heard)
		heard <- d.sse(job.ID)
	}()
	Eventually(t, "it runs", func() bool {
		return into[gateway.Job](t, d.ask(ctx, "GET", "/api/v1/jobs/"+string(job.ID), nil), 200).Status == gateway.Running
	})
	gone := into[gateway.Job](t, d.post("/api/v1/jobs/"+string(job.ID)+"/cancel", nil), 200)
	if gone.Status != gateway.Cancelled || gone.Error == nil || gone.Error.Code != "cancelled" {
		t.Errorf("%+v", gone)
	}
	if _, end := tale(t, <-heard, 0); end != "failed" {
		t.Errorf("the stream ends with %s", end)
	}
	Eventually(t, "the market knows", func() bool { return len(n.stored(t, job.ID, events.KindCancel)) > 0 })
	if again := d.post("/api/v1/jobs/"+string(job.ID)+"/cancel", nil); again.code != 409 || !strings.Contains(again.text, "is over already") {
		t.Errorf("%d %s", again.code, again.text)
	}
}

// TestRESTRefuses asks for what cannot be: each is refused at once, and says what was wrong and what to do.
func TestRESTRefuses(t *testing.T) {
	t.Parallel()
	n := Start(t)
	n.Provider("node", "echo:", func(c *provider.Config) { c.GPUs = []events.GPU{{Name: "NVIDIA GeForce RTX 4090", VRAMMB: 24564}} })
	d := n.gateway(t, nil)
	for name, c := range map[string]struct {
		body object
		code int
		kind string
		says string
	}{
		"an A100 that nobody has": {object{"model": "echo", "input": "hi", "resources": object{"gpu_type": "NVIDIA_A100"}}, 404, "no_hardware", "RTX 4090, 24564 MB"},
		"the same, in the open":   {object{"model": "echo", "input": "hi", "way": "auction", "resources": object{"gpu_type": "NVIDIA_A100"}}, 404, "no_hardware", "nvidia a100"},
		"too much memory":         {object{"model": "echo", "input": "hi", "resources": object{"gpu_memory_gb": 80}}, 404, "no_hardware", "81920 MB"},
		"a region":                {object{"model": "echo", "input": "hi", "resources": object{"region": "eu"}}, 404, "no_hardware", "region eu"},
		"an unknown model":        {object{"model": "ecco", "input": "hi"}, 404, "model_not_found", "there is echo"},
		"no input":                {object{"model": "echo"}, 422, "", "input"},
		"an empty input":          {object{"model": "echo", "input": ""}, 400, "invalid_value", "empty"},
		"an input that is none":   {object{"model": "echo", "input": 7}, 400, "invalid_value", "neither a text"},
		"an object of nothing":    {object{"model": "echo", "input": object{"temperature": 1}}, 400, "invalid_value", "nothing to work on"},
		"a giant prompt":          {object{"model": "echo", "input": strings.Repeat("word ", 20_000)}, 400, "context_length_exceeded", "input.file"},
		"a field too many":        {object{"model": "echo", "input": "hi", "speed": 9}, 422, "", "speed"},
		"a parameter":             {object{"model": "echo", "input": object{"prompt": "hi", "temperature": 9}}, 400, "invalid_value", "out of bounds"},
		"a budget too low":        {object{"model": "echo", "input": "hi", "budget": object{"max_cost_sats": 1}}, 402, "insufficient_quota", "raise max_cost_sats"},
		"a negative budget":       {object{"model": "echo", "input": "hi", "budget": object{"max_cost_sats": -1}}, 422, "", "max_cost_sats"},
		"a deadline in the past":  {object{"model": "echo", "input": "hi", "deadline_s": -5}, 422, "", "deadline_s"},
		"another kind":            {object{"model": "echo", "type": "image", "input": "hi"}, 503, "no_node", "no living node serves image"},
		"two kinds":               {object{"model": "echo", "type": "image", "kind": 5050, "input": "hi"}, 400, "invalid_value", "leave one"},
		"a node":                  {object{"model": "echo", "input": "hi", "only": []string{"zz"}}, 400, "invalid_value", "by their keys"},
		"a file":                  {object{"model": "echo", "input": object{"file": "/etc/passwd"}}, 400, "invalid_value", "data:"},
	} {
		got := d.post("/api/v1/jobs", c.body)
		var problem httpd.Problem
		json.Unmarshal([]byte(got.text), &problem)
		if got.code != c.code || problem.Status != c.code || problem.Code != c.kind || !strings.Contains(got.text, c.says) || got.head.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %s, want %d %s %q", name, got.code, got.text, c.code, c.kind, c.says)
		}
	}
	for _, path := range []string{"/api/v1/jobs/" + strings.Repeat("0", 64), "/api/v1/jobs/" + strings.Repeat("0", 64) + "/events", "/api/v1/jobs/" + strings.Repeat("0", 64) + "/stream", "/api/v1/nodes/00000000"} {
		if got := d.ask(ctx, "GET", path, nil); got.code != 404 || !strings.Contains(got.text, "GET /api/v1/") {
			t.Errorf("%s: %d %s", path, got.code, got.text)
		}
	}
	if jobs := into[struct{ Jobs []gateway.Job }](t, d.ask(ctx, "GET", "/api/v1/jobs", nil), 200); len(jobs.Jobs) != 0 {
		t.Errorf("what was refused is listed: %+v", jobs)
	}
	job := into[gateway.Job](t, d.post("/api/v1/jobs", object{"model": "echo", "input": "on its card", "resources": object{"gpu_type": "nvidia_RTX_4090", "vram_mb": 24000}}), 201)
	if job = d.over(job.ID); job.Output != "on its card" {
		t.Errorf("%+v", job)
	}
}

// TestRESTMarket looks at the market and asks what a job would cost: nothing is bought.
func TestRESTMarket(t *testing.T) {
	t.Parallel()
	n := Start(t)
	cheap := n.Provider("cheap", "echo:", func(c *provider.Config) { c.Price = events.Price{Base: events.Sat} })
	dear := n.Provider("dear", "echo:?model=other", func(c *provider.Config) {
		c.Price, c.GPUs = events.Price{Base: 30 * events.Sat}, []events.GPU{{Name: "NVIDIA A100-SXM4-80GB", VRAMMB: 81920}}
	})
	d := n.gateway(t, nil)
	offers := into[struct{ Offers []gateway.Offer }](t, d.ask(ctx, "GET", "/api/v1/offers", nil), 200).Offers
	if len(offers) != 2 || offers[0].Node != cheap.Key || offers[1].Node != dear.Key || offers[1].GPUs[0].VRAMMB != 81920 {
		t.Errorf("%+v", offers)
	}
	for query, want := range map[string]int{"?gpu=NVIDIA_A100": 1, "?gpu=A100&vram_mb=90000": 0, "?model=ech": 1, "?kind=5100": 0, "?kind=5050": 2, "?pay=sealed": 2} {
		if got := into[struct{ Offers []gateway.Offer }](t, d.ask(ctx, "GET", "/api/v1/offers"+query, nil), 200).Offers; len(got) != want {
			t.Errorf("%s: %+v", query, got)
		}
		if got := into[struct{ Nodes []gateway.Node }](t, d.ask(ctx, "GET", "/api/v1/nodes"+query, nil), 200).Nodes; len(got) != want {
			t.Errorf("%s: %+v", query, got)
		}
		if got := into[struct{ Models []gateway.Model }](t, d.ask(ctx, "GET", "/api/v1/models"+query, nil), 200).Models; len(got) != want {
			t.Errorf("%s: %+v", query, got)
		}
	}
	if got := into[gateway.Node](t, d.ask(ctx, "GET", "/api/v1/nodes/"+string(dear.Key[:8]), nil), 200); got.Key != dear.Key || !got.Alive || got.Capacity == 0 {
		t.Errorf("%+v", got)
	}
	e := into[gateway.Estimate](t, d.post("/api/v1/estimates", object{"input": "how much?", "budget": object{"max_cost_sats": 10}}), 200)
	if !e.Enough || e.About != events.Sat || e.Most != events.Sat || e.Dearest != 30*events.Sat || len(e.Candidates) != 2 || !e.Candidates[0].Taken || e.Candidates[1].Taken || !strings.Contains(e.Candidates[1].Why, "at most 10 sat") {
		t.Errorf("%+v", e)
	}
	if e := into[gateway.Estimate](t, d.post("/api/v1/estimates", object{"model": "other", "input": "how much?", "budget": object{"max_cost_sats": 10}}), 200); e.Enough || e.About != 30*events.Sat {
		t.Errorf("%+v", e)
	}
	if out, err := d.Consumer.Ledger.SpentSince(time.Time{}); err != nil || out != 0 {
		t.Errorf("spent %s, %v", out, err)
	}
}

// TestRESTKeys gives apps keys and budgets: each sees its own jobs, spends its own money, and none makes itself a larger
// budget. Only the owner's signature (NIP-98) and a key that names it may.
func TestRESTKeys(t *testing.T) {
	t.Parallel()
	n := Start(t)
	n.Provider("node", "echo:", func(c *provider.Config) { c.Price = events.Price{Base: 10 * events.Sat} })
	owner, stranger := events.GenerateKeys(), events.GenerateKeys()
	d := n.gateway(t, func(c *gateway.Config) { c.Owners = []events.PubKey{owner.PublicKey()} })
	signed := func(keys *events.Keys, method, path, body string) said {
		t.Helper()
		ev := nip98.Request{URL: d.URL + path, Method: method, Body: []byte(body)}.Event(time.Now())
		if err := keys.Sign(ctx, ev); err != nil {
			t.Fatal(err)
		}
		return d.ask(ctx, method, path, body, "Authorization", nip98.Header(ev))
	}
	const issue = `{"name":"shop","expires_s":3600,"budget":{"day_sats":15,"models":["echo"]}}`
	everything, _ := d.key(httpd.AppKey{Name: "for everything"})
	for who, got := range map[string]said{
		"nobody": d.post("/api/v1/keys", issue), "a stranger": signed(stranger, "POST", "/api/v1/keys", issue),
		"a key for everything": d.post("/api/v1/keys", issue, "X-Api-Key", everything),
		"nobody, a budget":     d.ask(ctx, "PUT", "/api/v1/budgets/all", object{}), "a key, a budget": d.ask(ctx, "PUT", "/api/v1/budgets/all", object{}, "X-Api-Key", everything),
	} {
		if got.code != 401 && got.code != 403 {
			t.Errorf("%s: %d %s", who, got.code, got.text)
		}
	}
	key := into[struct {
		gateway.AppKey
		Key string
	}](t, signed(owner, "POST", "/api/v1/keys", issue), 201)
	admin, _ := d.key(httpd.AppKey{Name: "admin", Scopes: []string{"admin", "gateway"}})
	keys := into[struct{ Keys []gateway.AppKey }](t, d.ask(ctx, "GET", "/api/v1/keys", nil, "X-Api-Key", admin), 200).Keys
	if len(keys) != 3 || strings.Contains(d.ask(ctx, "GET", "/api/v1/keys", nil, "X-Api-Key", admin).text, key.Key) {
		t.Errorf("%+v", keys)
	}
	order := object{"model": "echo", "input": "hi"}
	job := into[gateway.Job](t, d.post("/api/v1/jobs", order, "X-Api-Key", key.Key), 201)
	if job = d.over(job.ID, "X-Api-Key", key.Key); job.Status != gateway.Completed || job.Key != key.ID {
		t.Errorf("%+v", job)
	}
	if got := d.post("/api/v1/jobs", order, "X-Api-Key", key.Key); got.code != 402 || !strings.Contains(got.text, "5 sat of it is left") {
		t.Errorf("%d %s", got.code, got.text)
	}
	for _, path := range []string{"", "/events", "/stream"} {
		if got := d.ask(ctx, "GET", "/api/v1/jobs/"+string(job.ID)+path, nil, "X-Api-Key", everything); got.code != 404 {
			t.Errorf("another app's job%s: %d %s", path, got.code, got.text)
		}
	}
	if got := d.socket(job.ID, 0, httpd.KeyProtocol+key.Key); len(got) == 0 {
		t.Error("a key as a subprotocol shows nothing")
	}
	mine := into[struct{ Budgets []gateway.BudgetOf }](t, d.ask(ctx, "GET", "/api/v1/budgets", nil, "X-Api-Key", key.Key), 200).Budgets
	if len(mine) != 2 || mine[0].Key != key.ID || mine[0].SpentDay != 10*events.Sat || *mine[0].Day != 15*events.Sat || mine[0].Models[0] != "echo" || mine[1].Key != "all" {
		t.Errorf("%+v", mine)
	}
	if r := into[struct{ Receipts []gateway.Receipt }](t, d.ask(ctx, "GET", "/api/v1/receipts", nil, "X-Api-Key", key.Key), 200).Receipts; len(r) != 1 || r[0].Amount != 10*events.Sat || r[0].Receipt == "" {
		t.Errorf("%+v", r)
	}
	if got := into[gateway.BudgetOf](t, d.ask(ctx, "PUT", "/api/v1/budgets/"+key.ID, object{"day_sats": 25}, "X-Api-Key", admin), 200); *got.Day != 25*events.Sat || got.Total != nil {
		t.Errorf("%+v", got)
	}
	into[gateway.Job](t, d.post("/api/v1/jobs", order, "X-Api-Key", key.Key), 201)
	if got := d.ask(ctx, "DELETE", "/api/v1/keys/"+key.ID, nil, "X-Api-Key", admin); got.code != 204 {
		t.Errorf("%d %s", got.code, got.text)
	}
	if got := d.post("/api/v1/jobs", order, "X-Api-Key", key.Key); got.code != 401 {
		t.Errorf("%d %s", got.code, got.text)
	}
	mineOnly, _, err := d.Keys.Issue(httpd.AppKey{Name: "claims", Owner: string(owner.PublicKey())}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for claim, code := range map[string]int{"your-nostr-public-key": 201, string(owner.PublicKey()): 201, string(stranger.PublicKey()): 403} {
		if got := d.post("/api/v1/jobs", order, "X-Api-Key", mineOnly, "X-Infernet-Pubkey", claim); got.code != code {
			t.Errorf("%s: %d %s", claim, got.code, got.text)
		}
	}
}

// TestRESTBudgetIsExact has 50 callers at once order jobs on one budget: as many are taken as it pays for, not one more.
func TestRESTBudgetIsExact(t *testing.T) {
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
	made := make(chan events.ID, 50)
	for i := range 50 {
		wait.Go(func() {
			got := d.post("/api/v1/jobs", object{"model": "echo", "input": fmt.Sprint("caller ", i)}, "Authorization", "Bearer "+secret)
			if got.code == http.StatusCreated {
				made <- into[gateway.Job](t, got, 201).ID
			} else if got.code != http.StatusPaymentRequired {
				t.Errorf("%d %s", got.code, got.text)
			}
		})
	}
	wait.Wait()
	close(made)
	jobs := 0
	for job := range made {
		jobs++
		if j := d.over(job, "X-Api-Key", secret); j.Status != gateway.Completed || j.Cost.Paid != 10*events.Sat {
			t.Errorf("%+v", j)
		}
	}
	spent, err := d.Budgets().Spent(id, time.Now())
	out, err2 := d.Consumer.Ledger.SpentSince(time.Now().Add(-time.Hour))
	t.Logf("%d jobs, spent %s, the ledger says %s", jobs, spent.Day.Human(), out.Human())
	if err != nil || err2 != nil || jobs != 10 || spent.Day != 100*events.Sat || out != spent.Day {
		t.Errorf("%d jobs, spent %v (%v), the ledger says %s (%v)", jobs, spent, err, out.Human(), err2)
	}
}

// TestRESTSurvivesTheGateway ends a gateway while a paid job runs: the next one goes on with it, its budget counts it once,
// and what happened before is still told.
func TestRESTSurvivesTheGateway(t *testing.T) {
	t.Parallel()
	n := Start(t)
	n.Provider("node", "echo:?delay=40ms", func(c *provider.Config) { c.Price = events.Price{Base: 10 * events.Sat} })
	name := "again"
	ledger, money := n.Ledger(name), n.Wallet(name).(wallet.Payer)
	c := gateway.Config{
		Consumer: n.Consumer(name, func(c *consumer.Config) { c.Wallet, c.Ledger = money, ledger }), Path: n.Dir + "/again-budgets.db", MaxCost: 100 * events.Sat, Log: n.log,
	}
	open := func() (*gateway.Gateway, *door, func()) {
		t.Helper()
		g, err := gateway.New(c)
		if err != nil {
			t.Fatal(err)
		}
		s, err := httpd.Open(httpd.Config{Listen: "127.0.0.1:0", Goodbye: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		g.Mount(s)
		ctx, cancel := context.WithCancel(n.ctx)
		stop := n.running("gateway", cancel, func() error { return s.Run(ctx) })
		return g, &door{Gateway: g, t: t, URL: s.URL()}, func() {
			http.DefaultClient.CloseIdleConnections()
			stop()
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	_, d, end := open()
	done := into[gateway.Job](t, d.post("/api/v1/jobs", object{"model": "echo", "input": "before"}), 201)
	done = d.over(done.ID)
	before := d.sse(done.ID)
	words := strings.Repeat("long ", 60)
	job := into[gateway.Job](t, d.post("/api/v1/jobs", object{"model": "echo", "input": words, "pay": []string{"prepaid"}}), 201)
	Eventually(t, "it is paid", func() bool {
		c, err := ledger.Commitment(job.ID)
		return err == nil && c != nil && c.Settled
	})
	end()

	g, d, end := open()
	defer end()
	if after := d.sse(done.ID); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the story was %v and is %v", before, after)
	}
	if text, end := tale(t, d.socket(job.ID, 0), 0); end != "complete" || text != strings.TrimSpace(words) {
		t.Errorf("%q %s", text, end)
	}
	if job = d.over(job.ID); job.Status != gateway.Completed || job.Cost.Paid != 10*events.Sat {
		t.Errorf("%+v", job)
	}
	if spent, err := g.Budgets().Spent("", time.Now()); err != nil || spent.Day != 20*events.Sat {
		t.Errorf("spent %+v, %v", spent, err)
	}
}
