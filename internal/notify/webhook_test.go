package notify

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// TestSignatureOfStandardWebhooks is the specification's own example.
func TestSignatureOfStandardWebhooks(t *testing.T) {
	got := signature("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("have %s, want %s", got, want)
	}
}

type posted struct {
	header http.Header
	body   []byte
}

// hook is a server that takes notices, and answers with a status.
func hook(t *testing.T, status int) (*httptest.Server, *[]posted) {
	t.Helper()
	var got []posted
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != http.MethodPost {
			t.Errorf("%s, %v", r.Method, err)
		}
		got = append(got, posted{r.Header, body})
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	return s, &got
}

func TestWebhookWithASecret(t *testing.T) {
	s, got := hook(t, http.StatusNoContent)
	n := Notice{ID: "abc", At: 5, Level: Urgent, Title: "a", Incident: "b"}
	w := &Webhook{URL: s.URL + "/x?token=y", Secret: "whsec_" + base64.StdEncoding.EncodeToString([]byte("secret")), Client: s.Client()}
	ok(t, w.Send(t.Context(), n))
	var have Notice
	ok(t, json.Unmarshal((*got)[0].body, &have))
	if have != n {
		t.Errorf("have %+v", have)
	}
	h := (*got)[0].header
	if h.Get("webhook-id") != "abc" || !strings.HasPrefix(h.Get("webhook-signature"), "v1,") || h.Get("webhook-timestamp") == "" || h.Get("Authorization") != "" {
		t.Errorf("headers %v", h)
	}
}

func TestWebhookSignedByTheNode(t *testing.T) {
	s, got := hook(t, http.StatusOK)
	node := events.GenerateKeys()
	w := &Webhook{URL: s.URL + "/x", Signer: node, Client: s.Client()}
	ok(t, w.Send(t.Context(), Notice{ID: "abc", Level: Info, Title: "a"}))
	coded, _ := strings.CutPrefix((*got)[0].header.Get("Authorization"), "Nostr ")
	body, err := base64.StdEncoding.DecodeString(coded)
	ok(t, err)
	var ev nostr.Event
	ok(t, json.Unmarshal(body, &ev))
	ok(t, events.Verify(&ev))
	sum := sha256.Sum256((*got)[0].body)
	for name, want := range map[string]string{"u": s.URL + "/x", "method": "POST", "payload": hex.EncodeToString(sum[:])} {
		if tag := ev.Tags.Find(name); tag == nil || tag[1] != want {
			t.Errorf("tag %s: %v", name, tag)
		}
	}
	if ev.Kind != 27235 || ev.PubKey != string(node.PublicKey()) || time.Since(ev.CreatedAt.Time()) > time.Minute {
		t.Errorf("event %s", ev)
	}
}

func TestWebhooksThatFail(t *testing.T) {
	for _, status := range []int{302, 307, 400, 404, 500} {
		s, got := hook(t, status)
		err := (&Webhook{URL: s.URL + "/token", Secret: "s", Client: s.Client()}).Send(t.Context(), Notice{Title: "a"})
		if err == nil || strings.Contains(err.Error(), "token") || len(*got) != 1 {
			t.Errorf("%d: %v after %d requests", status, err, len(*got))
		}
	}
	s, got := hook(t, 200)
	if err := (&Webhook{URL: s.URL, Secret: "s"}).Send(t.Context(), Notice{}); !errors.Is(err, ErrUnguarded) || len(*got) > 0 {
		t.Errorf("without a guarded client: %v", err)
	}
	if err := (&Webhook{URL: s.URL, Client: s.Client()}).Send(t.Context(), Notice{}); err == nil || len(*got) > 0 {
		t.Error("it was sent unsigned")
	}
	s.Close()
	if err := (&Webhook{URL: s.URL + "/token", Secret: "s", Client: http.DefaultClient}).Send(t.Context(), Notice{}); err == nil || strings.Contains(err.Error(), "token") {
		t.Errorf("nobody there: %v", err)
	}
	for _, bad := range []string{"", "x", "ftp://a", "file:///etc/passwd", "https://", "http://%zz:password@a"} {
		if _, err := CheckWebhook(bad); err == nil || strings.Contains(err.Error(), "password") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
