package nip47

import (
	"fmt"
	"strconv"

	"github.com/nbd-wtf/go-nostr"
)

// Envelope is what stands outside of an encrypted message: a request, a response or a notification.
type Envelope struct {
	Kind       int
	To         string // public key of the service in a request, else of the client
	Request    string // a response: the id of the request
	Encryption string // by which Content is encrypted
	Expires    int64  // a request: not to be carried out after this unix time; 0 for always
	Content    string // encrypted
}

// Event is the message, to be signed.
func (m Envelope) Event() *nostr.Event {
	ev := &nostr.Event{Kind: m.Kind, CreatedAt: nostr.Now(), Content: m.Content, Tags: nostr.Tags{{"p", m.To}}}
	if m.Kind == KindRequest || m.Kind == KindResponse {
		ev.Tags = append(ev.Tags, nostr.Tag{"encryption", m.Encryption})
	}
	if m.Request != "" {
		ev.Tags = append(ev.Tags, nostr.Tag{"e", m.Request})
	}
	if m.Expires != 0 {
		ev.Tags = append(ev.Tags, nostr.Tag{"expiration", strconv.FormatInt(m.Expires, 10)})
	}
	return ev
}

// ParseEnvelope reads what stands outside. Where no scheme is named, the content shows it: NIP-04, in a request of an old
// client. A response without a request and an expiration that is no time are errors: who sent them cannot have meant it.
func ParseEnvelope(ev *nostr.Event) (Envelope, error) {
	m := Envelope{Kind: ev.Kind, To: value(ev, "p"), Content: ev.Content, Encryption: SchemeOf(ev.Content)}
	switch ev.Kind {
	case KindRequest:
		if named := value(ev, "encryption"); named != "" {
			m.Encryption = named
		}
		if at := ev.Tags.Find("expiration"); at != nil {
			var err error
			if m.Expires, err = strconv.ParseInt(at[1], 10, 64); err != nil {
				return m, fmt.Errorf("expiration %q is no unix time", at[1])
			}
		}
	case KindResponse:
		if m.Request = value(ev, "e"); m.Request == "" {
			return m, fmt.Errorf("a response without the request that it answers")
		}
	case KindNotification, KindNotification04:
	default:
		return m, fmt.Errorf("kind %d is no message between a client and a wallet", ev.Kind)
	}
	return m, nil
}

func value(ev *nostr.Event, name string) string {
	if tag := ev.Tags.Find(name); tag != nil {
		return tag[1]
	}
	return ""
}
