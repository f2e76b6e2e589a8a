//go:build cgo

// Peer is plain khatru over LMDB, as its own documentation sets it up: what our relay is measured and checked beside.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/fiatjaf/eventstore/lmdb"
	"github.com/fiatjaf/khatru"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	db := lmdb.LMDBBackend{Path: dir, MaxLimit: 1000}
	if err := db.Init(); err != nil {
		return err
	}
	defer db.Close()
	r := khatru.NewRelay()
	r.StoreEvent = append(r.StoreEvent, db.SaveEvent)
	r.QueryEvents = append(r.QueryEvents, db.QueryEvents)
	r.DeleteEvent = append(r.DeleteEvent, db.DeleteEvent)
	r.ReplaceEvent = append(r.ReplaceEvent, db.ReplaceEvent)
	r.CountEvents = append(r.CountEvents, db.CountEvents)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("ws://%s\n", l.Addr())
	return http.Serve(l, r)
}
