package testnet

import (
	"context"
	"sync"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip46"

	"infernet/events"
	"infernet/internal/pool"
)

// Bunker is a real remote signer: go-nostr's of NIP-46, on a relay. It lets in who knows the secret in its address.
type Bunker struct {
	User    *events.Keys // whom it signs for, and the bunker's own key
	Address string       // bunker://…
}

// StartBunker starts a bunker; stop ends it. spoil, if set, may change what it answers.
func StartBunker(relay string, spoil func(b Bunker, req nip46.Request, resp *nostr.Event, to nip46.Session)) (b Bunker, stop func()) {
	const secret = "opensesame"
	b.User = events.GenerateKeys()
	b.Address = "bunker://" + string(b.User.PublicKey()) + "?relay=" + relay + "&secret=" + secret
	signer := nip46.NewStaticKeySigner(b.User.Secret())
	known := map[string]bool{}
	signer.AuthorizeRequest = func(_ bool, from, said string) bool {
		known[from] = known[from] || said == secret
		return known[from]
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := pool.New(ctx, []string{relay}, pool.WithSigner(b.User))
	sub := p.Subscribe(ctx, nostr.Filter{Kinds: []int{nostr.KindNostrConnect}, Tags: nostr.TagMap{"p": {string(b.User.PublicKey())}}})
	var wait sync.WaitGroup
	wait.Go(func() {
		for ev := range sub.Events {
			req, _, resp, err := signer.HandleRequest(ctx, ev)
			if err != nil {
				continue
			}
			if spoil != nil {
				session, _ := signer.GetSession(ev.PubKey)
				spoil(b, req, &resp, session)
			}
			p.Send(ctx, &resp)
		}
	})
	return b, func() { cancel(); wait.Wait(); p.Close() }
}
