package pbstore

import (
	"fmt"

	"github.com/pocketbase/pocketbase/core"
)

// The collections. Nobody reaches them over HTTP; their rules, none, would let only a superuser, and there is none.
const (
	jobs     = "jobs"
	notices  = "notices"
	settings = "settings"
	marks    = "marks"
)

// ours are the migrations, oldest first by name. One that was released never changes: a new one follows.
var ours = list(
	&core.Migration{File: "1_first.go", Up: first},
)

func list(migrations ...*core.Migration) (l core.MigrationsList) {
	for _, m := range migrations {
		l.Add(m)
	}
	return l
}

// first makes the collections, and has PocketBase keep no log of its own.
func first(app core.App) error {
	if users, err := app.FindCollectionByNameOrId("users"); err == nil { // PocketBase's example
		if err := app.Delete(users); err != nil {
			return err
		}
	}
	for _, c := range []*core.Collection{
		collection(jobs, []string{"at", "seq", "kind", "done", "paid"}, []string{"role", "model", "peer", "ending"}, []string{"live"},
			"at desc, seq desc, role", "role, at desc, seq desc", "live, at desc, seq desc"),
		collection(notices, []string{"seq", "at"}, []string{"title"}, nil, "seq desc"),
		collection(settings, []string{"at"}, nil, nil),
		collection(marks, nil, nil, nil),
	} {
		if err := app.Save(c); err != nil {
			return err
		}
	}
	s := app.Settings()
	s.Meta.AppName, s.Logs.MaxDays = "infernet", 0
	return app.Save(s)
}

// longest is how many characters a column's text, and how many bytes a row, may have: more than any event.
const longest = 1 << 20

// collection has a key, the columns that queries look at, and the whole row as JSON.
func collection(name string, numbers, texts, flags []string, indexes ...string) *core.Collection {
	c := core.NewBaseCollection(name)
	c.Fields.Add(&core.TextField{Name: "key", Required: true, Max: longest})
	for _, field := range numbers {
		c.Fields.Add(&core.NumberField{Name: field})
	}
	for _, field := range texts {
		c.Fields.Add(&core.TextField{Name: field, Max: longest})
	}
	for _, field := range flags {
		c.Fields.Add(&core.BoolField{Name: field})
	}
	c.Fields.Add(&core.JSONField{Name: "whole", MaxSize: longest})
	c.AddIndex("idx_"+name+"_key", true, "key", "")
	for i, columns := range indexes {
		c.AddIndex(fmt.Sprintf("idx_%s_%d", name, i), false, columns, "")
	}
	return c
}
