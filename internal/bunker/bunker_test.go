package bunker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip46"
	"go.uber.org/goleak"

	"infernet/events"
	"infernet/internal/testnet"
)

// TestMain wants every goroutine ended, but for the one that the relay library never ends.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/fiatjaf/khatru.(*expirationManager).start"))
}

func start(t *testing.T, relay string, spoil func(b testnet.Bunker, req nip46.Request, resp *nostr.Event, to nip46.Session)) testnet.Bunker {
	t.Helper()
	b, stop := testnet.StartBunker(relay, spoil)
	t.Cleanup(stop)
	return b
}

func open(t *testing.T, address string, client *events.Keys) *Signer {
	t.Helper()
	s, err := Open(t.Context(), Config{Address: address, Client: client, Log: testnet.Log(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSignsAndReads(t *testing.T) {
	n := testnet.Start(t)
	v := start(t, n.URL, nil)
	client := events.GenerateKeys()
	s := open(t, v.Address, client)
	if s.PublicKey() != v.User.PublicKey() {
		t.Fatalf("signs for %s, not %s", s.PublicKey(), v.User.PublicKey())
	}
	ev := &nostr.Event{Kind: 1, CreatedAt: 5, Content: "ü \"quoted\" <b>", Tags: nostr.Tags{{"e", "x"}}}
	if err := s.Sign(t.Context(), ev); err != nil {
		t.Fatal(err)
	}
	if err := events.Verify(ev); err != nil || ev.PubKey != string(v.User.PublicKey()) {
		t.Errorf("%v: %v", ev, err)
	}
	peer := events.GenerateKeys()
	cipher, err := s.Encrypt(t.Context(), peer.PublicKey(), "a secret")
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := peer.Decrypt(t.Context(), s.PublicKey(), cipher); err != nil || plain != "a secret" {
		t.Errorf("the peer reads %q, %v", plain, err)
	}
	if cipher, err = peer.Encrypt(t.Context(), s.PublicKey(), "an answer"); err != nil {
		t.Fatal(err)
	}
	if plain, err := s.Decrypt(t.Context(), peer.PublicKey(), cipher); err != nil || plain != "an answer" {
		t.Errorf("read %q, %v", plain, err)
	}
	if _, err := s.Decrypt(t.Context(), peer.PublicKey(), "nonsense"); !errors.Is(err, ErrRefused) {
		t.Errorf("nonsense: %v", err)
	}

	// who was let in once needs no secret again; who was not, does
	again := open(t, strings.TrimSuffix(v.Address, "&secret=opensesame"), client)
	if again.PublicKey() != v.User.PublicKey() {
		t.Errorf("again: %s", again.PublicKey())
	}
	if _, err := Open(t.Context(), Config{Address: strings.Replace(v.Address, "opensesame", "guess", 1), Client: events.GenerateKeys()}); !errors.Is(err, ErrRefused) {
		t.Errorf("a wrong secret: %v", err)
	}
}

// TestManyAtOnce signs at the same time: no answer goes to another's question.
func TestManyAtOnce(t *testing.T) {
	n := testnet.Start(t)
	s := open(t, start(t, n.URL, nil).Address, events.GenerateKeys())
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			ev := &nostr.Event{Kind: 1, CreatedAt: nostr.Timestamp(i + 1)}
			if err := s.Sign(t.Context(), ev); err != nil || events.Verify(ev) != nil {
				t.Errorf("event %d: %v", i, err)
			}
		})
	}
	all.Wait()
}

// TestABunkerThatLies signs another event, or with another key.
func TestABunkerThatLies(t *testing.T) {
	n := testnet.Start(t)
	other := events.GenerateKeys()
	for name, lie := range map[string]func(ev *nostr.Event){
		"another event": func(ev *nostr.Event) { ev.Content = "I owe you"; other.Sign(t.Context(), ev) },
		"another key":   func(ev *nostr.Event) { other.Sign(t.Context(), ev) },
		"no signature":  func(ev *nostr.Event) { ev.Sig = strings.Repeat("00", 64) },
	} {
		liar := start(t, n.URL, func(v testnet.Bunker, req nip46.Request, resp *nostr.Event, to nip46.Session) {
			if req.Method != "sign_event" {
				return
			}
			ev := &nostr.Event{Kind: 1, CreatedAt: 5, Tags: nostr.Tags{}, PubKey: to.PublicKey}
			ev.ID = ev.GetID()
			lie(ev)
			_, fresh, err := to.MakeResponse(req.ID, resp.Tags.Find("p")[1], ev.String(), nil)
			if err == nil {
				err = v.User.Sign(t.Context(), &fresh)
			}
			if err != nil {
				t.Error(err)
			}
			*resp = fresh
		})
		s := open(t, liar.Address, events.GenerateKeys())
		if err := s.Sign(t.Context(), &nostr.Event{Kind: 1, CreatedAt: 5}); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSilenceAndBadAddresses(t *testing.T) {
	n := testnet.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	nobody := "bunker://" + string(events.GenerateKeys().PublicKey()) + "?relay=" + n.URL
	if _, err := Open(ctx, Config{Address: nobody, Client: events.GenerateKeys()}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("nobody there: %v", err)
	}
	for address, want := range map[string]string{
		"bunker://abc?relay=ws://127.0.0.1": "64 hex", "https://x": "bunker://", "bunker://" + strings.Repeat("a1", 32): "names no relay",
		nobody[:74] + "?relay=http://x&secret=s3cret": "relay",
	} {
		_, err := Open(t.Context(), Config{Address: address, Client: events.GenerateKeys()})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
}

// TestAPersonHasToAgree is told where, and goes on once the person did.
func TestAPersonHasToAgree(t *testing.T) {
	n := testnet.Start(t)
	var mu sync.Mutex
	asked := ""
	p := n.Pool(t.Context(), events.GenerateKeys())
	v := start(t, n.URL, func(v testnet.Bunker, req nip46.Request, resp *nostr.Event, to nip46.Session) {
		if req.Method != "connect" {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if asked == "" { // first the address, as its own answer to the same request
			asked = req.ID
			cipher, err := v.User.Encrypt(t.Context(), events.PubKey(resp.Tags.Find("p")[1]), `{"id":"`+req.ID+`","result":"auth_url","error":"https://bunker.example/agree"}`)
			if err != nil {
				t.Error(err)
			}
			first := &nostr.Event{Kind: nostr.KindNostrConnect, CreatedAt: nostr.Now(), Tags: resp.Tags, Content: cipher}
			if err := v.User.Sign(t.Context(), first); err != nil {
				t.Error(err)
			}
			if err := p.Publish(t.Context(), first); err != nil {
				t.Error(err)
			}
		}
	})
	where := make(chan string, 1)
	s, err := Open(t.Context(), Config{Address: v.Address, Client: events.GenerateKeys(), OnAuth: func(url string) { where <- url }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if got := <-where; got != "https://bunker.example/agree" {
		t.Errorf("told %q", got)
	}
}
