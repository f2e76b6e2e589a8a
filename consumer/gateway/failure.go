package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/httpd"
	"infernet/wallet"
)

// failure is a no as OpenAI's API says it.
type failure struct {
	Status  int         `json:"-"`
	Message string      `json:"message"`
	Type    string      `json:"type"`
	Param   *string     `json:"param"`
	Code    string      `json:"code,omitempty"`
	Market  *marketFact `json:"infernet,omitempty"`
	Retry   int         `json:"-"` // seconds
}

func (f *failure) Error() string { return f.Message }

// marketFact is what is known of a job that failed.
type marketFact struct {
	Job  events.ID     `json:"job,omitempty"`
	Node events.PubKey `json:"node,omitempty"`
	Paid events.Msat   `json:"paid_msat"`
	Code string        `json:"code,omitempty"` // of the node's refusal
}

// Types of failures, as the API's clients know them.
const (
	invalidRequest = "invalid_request_error"
	noQuota        = "insufficient_quota"
	serverError    = "server_error"
	rateLimited    = "rate_limit_error"
)

func invalid(param, format string, args ...any) *failure {
	return &failure{Status: http.StatusBadRequest, Type: invalidRequest, Code: "invalid_value", Param: &param, Message: fmt.Sprintf(format, args...)}
}

// notCarried says that a field asks for what no job of the market carries.
func notCarried(param, why string) *failure {
	return &failure{Status: http.StatusBadRequest, Type: invalidRequest, Code: "unsupported_parameter", Param: &param,
		Message: fmt.Sprintf("%s is not carried by the market's jobs: %s", param, why)}
}

// hungUp is the status of a request whose client has gone; nobody reads it but the log.
const hungUp = 499

// explain makes a failure of what the market said.
func explain(err error) *failure {
	var (
		own      *failure
		param    *events.ParamError
		short    *ShortError
		none     *consumer.NoOffersError
		refused  *consumer.RefusedError
		vanished *consumer.VanishedError
		left     *consumer.LeftError
		invoice  *consumer.BadInvoiceError
		result   *consumer.BadResultError
	)
	say := func(status int, kind, code string) *failure {
		return &failure{Status: status, Type: kind, Code: code, Message: err.Error()}
	}
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &left):
		f := say(hungUp, serverError, "cancelled")
		f.Market = &marketFact{Job: left.Job, Node: left.Node, Paid: left.Paid}
		return f
	case errors.Is(err, context.Canceled):
		return say(hungUp, serverError, "cancelled")
	case errors.As(err, &param):
		f := say(http.StatusBadRequest, invalidRequest, "invalid_value")
		f.Param = &param.Param
		return f
	case errors.As(err, &short):
		return say(http.StatusPaymentRequired, noQuota, noQuota)
	case errors.As(err, &none):
		switch {
		case len(none.Dear) > 0 || none.About > none.MaxCost:
			return say(http.StatusPaymentRequired, noQuota, noQuota)
		case none.Model != "" && len(none.Near) > 0:
			return unknownModel(none.Model, none.Near)
		}
		return say(http.StatusServiceUnavailable, serverError, "no_node")
	case errors.As(err, &refused):
		f := explainRefusal(refused)
		f.Market = &marketFact{Job: refused.Job, Node: refused.Node, Code: refused.Code}
		return f
	case errors.As(err, &vanished):
		f := say(http.StatusBadGateway, serverError, "node_vanished")
		if vanished.Life > 0 {
			f.Status, f.Code = http.StatusGatewayTimeout, "deadline"
		}
		f.Market = &marketFact{Job: vanished.Job, Node: vanished.Node, Paid: vanished.Paid}
		return f
	case errors.As(err, &invoice):
		f := say(http.StatusBadGateway, serverError, "bad_invoice")
		f.Market = &marketFact{Node: invoice.Node}
		return f
	case errors.As(err, &result):
		f := say(http.StatusBadGateway, serverError, "bad_result")
		f.Market = &marketFact{Node: result.Node, Paid: result.Paid}
		return f
	case errors.Is(err, consumer.ErrUnknownNode):
		return say(http.StatusNotFound, invalidRequest, "node_not_found")
	case errors.Is(err, wallet.ErrInsufficient):
		return say(http.StatusPaymentRequired, noQuota, noQuota)
	case errors.Is(err, wallet.ErrUnavailable), errors.Is(err, wallet.ErrRejected), errors.Is(err, wallet.ErrExpired):
		return say(http.StatusServiceUnavailable, serverError, "wallet")
	case strings.Contains(err.Error(), "no relay took the job"), strings.Contains(err.Error(), "ask the relays"):
		return say(http.StatusServiceUnavailable, serverError, "no_relay")
	}
	return say(http.StatusInternalServerError, serverError, "")
}

// explainRefusal makes a failure of a node's no.
func explainRefusal(no *consumer.RefusedError) *failure {
	f := &failure{Status: http.StatusBadGateway, Type: serverError, Code: strings.ToLower(no.Code), Message: no.Error()}
	switch no.Code {
	case events.CodeUnderbid, events.CodeInsufficient:
		f.Status, f.Type, f.Code = http.StatusPaymentRequired, noQuota, noQuota
	case events.CodeRateLimited:
		f.Status, f.Type, f.Code, f.Retry = http.StatusTooManyRequests, rateLimited, "rate_limit_exceeded", 1
	case events.CodeUnsupportedModel:
		f.Status, f.Type, f.Code = http.StatusNotFound, invalidRequest, "model_not_found"
	case events.CodeInvalidParameter:
		f.Status, f.Type, f.Code = http.StatusBadRequest, invalidRequest, "invalid_value"
	case events.CodeTooLarge:
		f.Status, f.Type, f.Code = http.StatusBadRequest, invalidRequest, "context_length_exceeded"
	case events.CodeUnavailable, events.CodePriceChanged, events.CodeConflict, events.CodeExpired:
		f.Status = http.StatusServiceUnavailable
	case events.CodeDenied, events.CodePOW:
		f.Status, f.Type = http.StatusForbidden, "permission_error"
	}
	return f
}

func unknownModel(model string, near []string) *failure {
	param := "model"
	f := &failure{Status: http.StatusNotFound, Type: invalidRequest, Code: "model_not_found", Param: &param,
		Message: fmt.Sprintf("no living node runs the model %q", model)}
	if len(near) > 0 {
		f.Message += "; there is " + strings.Join(near, ", ")
	}
	return f
}

// refuse writes a failure as OpenAI's API does.
func refuse(w http.ResponseWriter, f *failure) {
	f.heads(w.Header())
	writeJSON(w, f.Status, map[string]any{"error": f})
}

// heads sets what a failure says in headers: clients of the API try again by themselves, which must not buy twice.
func (f *failure) heads(h http.Header) {
	if f.Retry > 0 {
		h.Set("Retry-After", strconv.Itoa(f.Retry))
	}
	if m := f.Market; m != nil {
		setMarket(h, m.Job, m.Node)
		if m.Paid > 0 {
			h.Set(headCost, m.Paid.String())
			h.Set("X-Should-Retry", "false")
		}
	}
	if f.Status == http.StatusPaymentRequired {
		h.Set("X-Should-Retry", "false")
	}
}

// fail writes what went wrong with a request, and logs what is nobody's fault but ours.
func (g *Gateway) fail(w http.ResponseWriter, r *http.Request, err error) {
	refuse(w, g.failed(r, err))
}

func (g *Gateway) failed(r *http.Request, err error) *failure {
	f := explain(err)
	if f.Status == http.StatusInternalServerError {
		g.Log.Error("a request failed", "path", r.URL.Path, "err", err)
	} else {
		g.Log.Log(r.Context(), slog.LevelDebug, "a request was refused", "path", r.URL.Path, "status", f.Status, "err", err)
	}
	return f
}

// refuseOpenAI writes the server's own refusals in the same shape.
func refuseOpenAI(w http.ResponseWriter, _ *http.Request, no *httpd.Refusal) {
	f := &failure{Status: no.Status, Message: no.Detail, Type: invalidRequest}
	switch no.Status {
	case http.StatusUnauthorized:
		f.Code = "invalid_api_key"
	case http.StatusForbidden:
		f.Type = "permission_error"
	case http.StatusTooManyRequests:
		f.Type, f.Code = rateLimited, "rate_limit_exceeded"
	case http.StatusInternalServerError:
		f.Type = serverError
	}
	writeJSON(w, f.Status, map[string]any{"error": f})
}

func writeJSON(w http.ResponseWriter, status int, v any) { writeAs(w, status, "application/json", v) }

func writeAs(w http.ResponseWriter, status int, mime string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // own types, strings and numbers
	}
	w.Header().Set("Content-Type", mime)
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}
