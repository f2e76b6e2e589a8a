// Package web is the control interface: one page to rent, sell and watch. Its sources are TypeScript and Svelte; what is
// built from them lies in dist, is committed, and is put into the program from there. make web builds it anew.
package web

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Page is what was built: index.html, and all that it asks for.
func Page() fs.FS {
	page, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // the name is a constant
	}
	return page
}
