//go:build cgo

// Command infernet-breez puts Nostr Wallet Connect (NIP-47) in front of a Breez wallet: infernet, or any other program, uses it
// by the address that this prints.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"infernet/events"
	"infernet/wallet/breez"
	"infernet/wallet/serve"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "infernet-breez:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	set := flag.NewFlagSet("infernet-breez", flag.ContinueOnError)
	address := set.String("wallet", "", "file that holds the wallet's address: breez:///folder?mnemonic=FILE&key=FILE&invite=CODE")
	relays := set.String("relay", "", "relays over which it is reached, with commas between")
	out := set.String("connection", "infernet.wallet", "file that the connection's address is written to, once")
	budget := set.Int64("budget", 0, "most satoshi that the connection pays in 24 hours, with fees; no bound if 0")
	if err := set.Parse(args); err != nil {
		return err
	}
	if *address == "" || *relays == "" {
		return errors.New("--wallet FILE and --relay wss://… are needed")
	}
	raw, err := os.ReadFile(*address)
	if err != nil {
		return err
	}
	u, err := url.Parse(strings.TrimSpace(string(raw)))
	if err != nil {
		return fmt.Errorf("%s holds no address", *address)
	}
	where, err := breez.ParseAddress(u)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	w, err := breez.Open(ctx, u, log)
	if err != nil {
		return err
	}
	defer w.Close()
	service, err := serviceKey(filepath.Join(where.Dir, "service.key"))
	if err != nil {
		return err
	}
	book, err := serve.OpenBook(filepath.Join(where.Dir, "service.db"))
	if err != nil {
		return err
	}
	defer book.Close()
	list := strings.Split(*relays, ",")
	s, err := serve.New(serve.Config{Relays: list, Keys: service, Book: book, Wallet: w, Log: log})
	if err != nil {
		return err
	}
	if err := connection(*out, service, list, book, events.Msat(*budget)*events.Sat); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s is served; its address is in %s: infernet run --wallet file:%s …\n", w.Describe(), *out, *out)
	return s.Run(ctx)
}

// serviceKey reads the service's key, and makes it the first time.
func serviceKey(path string) (*events.Keys, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		keys := events.GenerateKeys()
		return keys, os.WriteFile(path, []byte(keys.Secret()+"\n"), 0o600)
	}
	if err != nil {
		return nil, err
	}
	return events.NewKeys(strings.TrimSpace(string(raw)))
}

// connection makes the one connection, and writes its address down, if that was not done before.
func connection(path string, service *events.Keys, relays []string, book *serve.Book, perDay events.Msat) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	client := events.GenerateKeys()
	name := "infernet " + time.Now().Format(time.DateTime)
	if err := book.Add(serve.Connection{Name: name, Client: client.PublicKey(), PerDay: perDay, Created: time.Now()}); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(serve.Address(service.PublicKey(), relays, client).String()+"\n"), 0o600)
}
