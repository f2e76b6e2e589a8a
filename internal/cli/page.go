package cli

import (
	"context"

	"infernet/internal/httpd"
	"infernet/web"
)

// mountPage mounts the page at a daemon's door, and what it asks first: which relays this daemon is at. A relay's own
// door answers with none: the page then takes the address that it was served from.
func (a *app) mountPage(door *httpd.Server, part string) error {
	type about struct {
		Body struct {
			Name   string   `json:"name" doc:"the daemon's"`
			Part   string   `json:"part" enum:"relay,provide,gateway" doc:"what serves the page"`
			Relays []string `json:"relays" nullable:"false" doc:"where the daemon's market is; none if it is this address"`
		}
	}
	httpd.Handle(door, httpd.Operation{
		Method: "GET", Path: "/api/v1/page", ID: "page", Group: "page", Summary: "Where the page that is served here finds the market",
		Rules: httpd.Rules{Access: httpd.Anyone},
	}, func(context.Context, *struct{}) (*about, error) {
		out := &about{}
		out.Body.Name, out.Body.Part, out.Body.Relays = a.settings.text(part+".name"), part, []string{}
		if part != "relay" {
			out.Body.Relays = append(out.Body.Relays, a.settings.list("relays")...)
		}
		return out, nil
	})
	return door.Page(web.Page())
}
