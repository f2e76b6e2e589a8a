package gateway

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"infernet/events"
	"infernet/internal/httpd"
	"infernet/internal/ledger"
	"infernet/internal/notify"
)

// Admin is the scope that an app key needs to issue keys and to change budgets. It has to be named: a key for everything is
// not for this.
const Admin = "admin"

// BudgetOf is what a caller may spend and has spent. Days are UTC, amounts msat.
type BudgetOf struct {
	Key        string       `json:"key" doc:"id of an app key; all for all callers together, none for those without a key"`
	Day        *events.Msat `json:"day_msat" nullable:"true" doc:"most for a day; null for no limit"`
	Total      *events.Msat `json:"total_msat" nullable:"true" doc:"most ever; null for no limit"`
	Models     []string     `json:"models" nullable:"false" doc:"only these; all if empty"`
	SpentDay   events.Msat  `json:"spent_day_msat" doc:"and out for jobs under way"`
	SpentTotal events.Msat  `json:"spent_total_msat"`
}

// AppKey is an app key, without what makes it one.
type AppKey struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Scopes  []string `json:"scopes" nullable:"false" doc:"what it is for; everything but admin if empty"`
	Issued  int64    `json:"issued_at"`
	Expires int64    `json:"expires_at,omitempty" doc:"missing if never"`
}

// Receipt is a payment for a job.
type Receipt struct {
	Job      events.ID     `json:"job"`
	Node     events.PubKey `json:"node"`
	At       int64         `json:"at" doc:"unix seconds"`
	Amount   events.Msat   `json:"amount_msat"`
	Sure     bool          `json:"sure" doc:"the wallet said that it was paid"`
	Hash     string        `json:"payment_hash"`
	Preimage string        `json:"preimage,omitempty" doc:"proves the payment"`
	Receipt  events.ID     `json:"receipt,omitempty" doc:"event id of what the node signed"`
	End      string        `json:"end" doc:"how the job ended; empty while it has not"`
}

// names of callers that are no app key.
func callerName(who string) string {
	switch who {
	case Everybody:
		return "all"
	case "":
		return "none"
	}
	return who
}

func callerOf(name string) (string, bool) {
	switch name {
	case "all":
		return Everybody, true
	case "none":
		return "", true
	}
	return name, len(name) == 12 && strings.Trim(name, "0123456789abcdef") == ""
}

// admin is an operation that changes who may spend: by the owner's Nostr key, or an app key that names the scope.
func (g *Gateway) admin(method, path, id, group, summary, text string, fails ...int) httpd.Operation {
	return httpd.Operation{
		Method: method, Path: "/api/v1/" + path, ID: id, Group: group, Summary: summary, Fails: fails,
		Text: strings.TrimSpace(text + " For the owner's Nostr key, or an app key with the scope " + Admin + ", which has to be named when it is issued."),
		Rules: httpd.Rules{Scope: Admin, Allow: func(who httpd.Caller) bool {
			return slices.Contains(who.Scopes, Admin) || who.Key == "" && slices.Contains(g.Owners, events.PubKey(who.PubKey))
		}},
	}
}

func (g *Gateway) budgetOf(who string) (b BudgetOf, err error) {
	l, err := g.budget.Limit(who)
	if err != nil {
		return b, err
	}
	s, err := g.budget.Spent(who, g.Now())
	if who == Everybody && l.Day == nil && g.MaxDay > 0 {
		l.Day = &g.MaxDay
	}
	return BudgetOf{callerName(who), l.Day, l.Total, append([]string{}, l.Models...), s.Day, s.Total}, err
}

// left is what is left for a caller: the least of its own budgets and those of all; nil where nothing is bounded.
func (g *Gateway) left(who string) (*Left, error) {
	var left Left
	least := func(to **events.Msat, limit *events.Msat, spent events.Msat) {
		if limit == nil {
			return
		}
		rest := max(0, *limit-spent)
		if *to == nil || rest < **to {
			*to = &rest
		}
	}
	for _, of := range []string{who, Everybody} {
		b, err := g.budgetOf(of)
		if err != nil {
			return nil, err
		}
		least(&left.Day, b.Day, b.SpentDay)
		least(&left.Total, b.Total, b.SpentTotal)
	}
	if left == (Left{}) {
		return nil, nil
	}
	return &left, nil
}

func (g *Gateway) mountMoney(s *httpd.Server) {
	g.mountBudgets(s)
	if g.keys != nil {
		g.mountKeys(s)
	}
	type receipts struct {
		Body struct {
			Receipts []Receipt `json:"receipts" nullable:"false" doc:"newest first"`
		}
	}
	handle(g, s, g.op("GET", "receipts", "receipts", "money", "What was paid for jobs", "With an app key for its own jobs; else for all that were bought from this data folder."),
		func(_ context.Context, who httpd.Caller, in *struct {
			Limit int `query:"limit" minimum:"1" maximum:"500" default:"50"`
		}) (*receipts, error) {
			out := &receipts{}
			var err error
			out.Body.Receipts, err = g.receipts(who.Key, in.Limit)
			return out, err
		})
	if g.Prove != nil {
		type proof struct{ Body events.Proof }
		handle(g, s, g.op("GET", "receipts/{id}", "receipt", "money", "What proves a job's receipt, for anybody",
			"As `infernet receipt export`: the signed events, and what opens them; `infernet receipt verify` judges it, offline.", 404),
			func(ctx context.Context, _ httpd.Caller, in *OneJob) (*proof, error) {
				t, err := g.taskOf(ctx, events.ID(in.ID))
				if err != nil {
					return nil, err
				}
				job := t.look()
				p, err := g.Prove(ctx, job.Tries[len(job.Tries)-1].Job)
				if err != nil {
					return nil, httpd.FailAs(http.StatusNotFound, "no_receipt", nil, err.Error())
				}
				return &proof{*p}, nil
			})
	}
	if g.Notices != nil {
		type notices struct {
			Body struct {
				Notices []notify.Notice `json:"notices" nullable:"false" doc:"newest first"`
				Next    int64           `json:"next,omitempty" doc:"before of the next page; missing on the last"`
			}
		}
		handle(g, s, g.op("GET", "notifications", "notifications", "money", "What happened that the owner should know", "Not for app keys.", 403),
			func(ctx context.Context, who httpd.Caller, in *struct {
				Before int64 `query:"before" minimum:"0" doc:"next of the page before"`
				Limit  int   `query:"limit" minimum:"1" maximum:"500" default:"50"`
			}) (*notices, error) {
				if who.Key != "" {
					return nil, httpd.FailAs(http.StatusForbidden, "owner_only", nil, "notices are for the owner, not for apps; a key with the scope history reads them at /api/v1/history/notices of a node")
				}
				found, err := g.Notices(ctx, in.Before, in.Limit)
				out := &notices{}
				out.Body.Notices = append([]notify.Notice{}, found...)
				if len(found) == in.Limit {
					out.Body.Next = found[len(found)-1].Seq
				}
				return out, err
			})
	}
}

func (g *Gateway) mountBudgets(s *httpd.Server) {
	type budgets struct {
		Body struct {
			Budgets []BudgetOf `json:"budgets" nullable:"false"`
		}
	}
	handle(g, s, g.op("GET", "budgets", "budgets", "money", "What callers may spend, and have spent", "With an app key its own, and that of all together; else all there are."),
		func(_ context.Context, who httpd.Caller, _ *struct{}) (*budgets, error) {
			whose := []string{who.Key, Everybody}
			if who.Key == "" {
				all, err := g.budget.Callers()
				if err != nil {
					return nil, err
				}
				for _, x := range all {
					if !slices.Contains(whose, x) {
						whose = append(whose, x)
					}
				}
			}
			out := &budgets{}
			for _, x := range whose {
				b, err := g.budgetOf(x)
				if err != nil {
					return nil, err
				}
				out.Body.Budgets = append(out.Body.Budgets, b)
			}
			return out, nil
		})
	type budget struct{ Body BudgetOf }
	handle(g, s, g.admin("PUT", "budgets/{key}", "setBudget", "money", "Bound what a caller may spend", "What is left out is not bounded.", 400),
		func(_ context.Context, _ httpd.Caller, in *struct {
			Key  string `path:"key" maxLength:"12" doc:"id of an app key, all or none"`
			Body Bounds
		}) (*budget, error) {
			who, ok := callerOf(in.Key)
			if !ok {
				return nil, httpd.FailAs(http.StatusBadRequest, "invalid_value", nil, fmt.Sprintf("%q is no id of an app key, which has 12 characters, nor all or none", in.Key))
			}
			if err := g.budget.Set(who, in.Body.limit()); err != nil {
				return nil, err
			}
			b, err := g.budgetOf(who)
			return &budget{b}, err
		})
}

// Bounds are what a caller may spend.
type Bounds struct {
	Day    *float64 `json:"day_sats,omitempty" minimum:"0" maximum:"9007199254740" doc:"most for a day"`
	Total  *float64 `json:"total_sats,omitempty" minimum:"0" maximum:"9007199254740" doc:"most ever"`
	Models []string `json:"models,omitempty" maxItems:"100" doc:"only these models"`
}

func (b Bounds) limit() (l Limit) {
	for _, x := range []struct {
		sats *float64
		to   **events.Msat
	}{{b.Day, &l.Day}, {b.Total, &l.Total}} {
		if x.sats != nil {
			amount := events.Msat(math.Round(*x.sats * float64(events.Sat)))
			*x.to = &amount
		}
	}
	for _, m := range b.Models {
		l.Models = append(l.Models, strings.ToLower(m))
	}
	return l
}

func (g *Gateway) mountKeys(s *httpd.Server) {
	shown := func(k httpd.AppKey) AppKey {
		x := AppKey{ID: k.ID, Name: k.Name, Scopes: append([]string{}, k.Scopes...), Issued: k.Issued.Unix()}
		if !k.Expires.IsZero() {
			x.Expires = k.Expires.Unix()
		}
		return x
	}
	type list struct {
		Body struct {
			Keys []AppKey `json:"keys" nullable:"false" doc:"oldest first"`
		}
	}
	handle(g, s, g.admin("GET", "keys", "keys", "keys", "The app keys there are", ""), func(context.Context, httpd.Caller, *struct{}) (*list, error) {
		all, err := g.keys.List()
		out := &list{}
		out.Body.Keys = []AppKey{}
		for _, k := range all {
			out.Body.Keys = append(out.Body.Keys, shown(k))
		}
		return out, err
	})
	type made struct {
		Body struct {
			AppKey
			Key string `json:"key" doc:"what the app sends; it is not shown again"`
		}
	}
	issue := g.admin("POST", "keys", "issueKey", "keys", "Issue an app key, with its budget", "", 400)
	issue.Status = http.StatusCreated
	handle(g, s, issue, func(_ context.Context, _ httpd.Caller, in *struct {
		Body struct {
			Name    string   `json:"name" minLength:"1" maxLength:"100" doc:"which app it is for"`
			Scopes  []string `json:"scopes,omitempty" enum:"gateway,history,admin" doc:"gateway if missing"`
			Expires int64    `json:"expires_s,omitempty" minimum:"0" doc:"seconds from now; never if missing"`
			Budget  *Bounds  `json:"budget,omitempty"`
		}
	}) (*made, error) {
		b := in.Body
		ask := httpd.AppKey{Name: b.Name, Scopes: b.Scopes}
		if len(ask.Scopes) == 0 {
			ask.Scopes = []string{Scope}
		}
		if b.Expires > 0 {
			ask.Expires = g.Now().Add(time.Duration(b.Expires) * time.Second).UTC().Truncate(time.Second)
		}
		secret, key, err := g.keys.Issue(ask, g.Now())
		if err == nil && b.Budget != nil {
			if err = g.budget.Set(key.ID, b.Budget.limit()); err != nil { // a key without its bounds is not handed out
				g.keys.Revoke(key.ID)
			}
		}
		if err != nil {
			return nil, err
		}
		out := &made{}
		out.Body.AppKey, out.Body.Key = shown(key), secret
		return out, nil
	})
	end := g.admin("DELETE", "keys/{key}", "revokeKey", "keys", "End an app key", "", 404)
	end.Status = http.StatusNoContent
	handle(g, s, end, func(_ context.Context, _ httpd.Caller, in *struct {
		Key string `path:"key" minLength:"12" maxLength:"12" pattern:"^[0-9a-f]+$"`
	}) (*struct{}, error) {
		if err := g.keys.Revoke(in.Key); err != nil {
			return nil, httpd.FailAs(http.StatusNotFound, "key_not_found", nil, err.Error()+"; GET /api/v1/keys lists those there are")
		}
		return nil, nil
	})
}

// receipts are what was paid for jobs, the newest first.
func (g *Gateway) receipts(who string, limit int) ([]Receipt, error) {
	found, l := []Receipt{}, g.Consumer.Ledger
	take := func(job events.ID, end string) error {
		c, err := l.Commitment(job)
		if err != nil || c == nil {
			return err
		}
		r := Receipt{Job: job, Node: c.Payee, At: c.At.Unix(), Amount: c.Amount, Sure: c.Settled, Hash: c.Hash.String(), End: end}
		if c.Settled {
			r.Preimage = c.Preimage.String()
		}
		if j, _, err := g.shelf.find(job); err == nil {
			r.Receipt = j.Cost.Receipt
		}
		found = append(found, r)
		return nil
	}
	if who != "" {
		rows, err := g.shelf.list(who, false, "", 0, limit)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			for _, try := range slices.Backward(row.Tries) {
				if err := take(try.Job, row.Status); err != nil {
					return nil, err
				}
			}
		}
		return found, nil
	}
	rows, err := l.Jobs(ledger.Customer, limit)
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		if err := take(row.Job, row.End); err != nil {
			return nil, err
		}
	}
	return found, nil
}
