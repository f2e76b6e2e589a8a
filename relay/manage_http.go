package relay

import (
	"encoding/json"
	"mime"
	"net/http"

	"infernet/internal/httpd"
)

// manageType is the content type of a request of NIP-86.
const manageType = "application/nostr+json+rpc"

// mountManage puts the management API (NIP-86) at the relay's own address. Whoever asks signs the request with the hash of its
// body (NIP-98), and is one of Config.Admins.
func (r *Relay) mountManage(door *httpd.Server) {
	rules := httpd.Rules{
		Allow: r.isAdmin, AnyHost: true, AnyOrigin: true,
		When: func(req *http.Request) bool {
			kind, _, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
			return kind == manageType
		},
	}
	type asked struct {
		Method string            `json:"method" doc:"as NIP-86 names it; supportedmethods lists them"`
		Params []json.RawMessage `json:"params,omitempty"`
	}
	type answer struct {
		Result any    `json:"result"`
		Error  string `json:"error,omitempty"`
	}
	door.Mount("POST /{$}", rules, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var in asked
		var out answer
		if err := json.NewDecoder(req.Body).Decode(&in); err != nil {
			out.Error = "the body is no JSON with method and params"
		} else if out.Result, err = r.Manage(req.Context(), in.Method, in.Params); err != nil {
			out.Result, out.Error = nil, err.Error()
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		json.NewEncoder(w).Encode(out)
	}))
	type request struct {
		Body struct {
			Method string `json:"method"`
			Params []any  `json:"params,omitempty"`
		}
	}
	type response struct{ Body map[string]any }
	httpd.Describe[request, response](door, httpd.Operation{
		Method: "POST", Path: "/", ID: "relayManage", Group: "operator", Summary: "Manage the relay (NIP-86)", Rules: rules,
		Text: "With the content type " + manageType + ". Only for the keys in relay.admins; the signature has to cover the body (payload).",
	})
}
