package nip47

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nbd-wtf/go-nostr"
)

// Capabilities is what a service says it can do: the info event.
type Capabilities struct {
	Methods       []string
	Notifications []string // types; none if it sends none
	Encryptions   []string // NIP-04 alone, where it names none
}

// says is the word among the methods by which a service shows that it sends notifications.
const says = "notifications"

// Event is the info event, to be signed by the service.
func (c Capabilities) Event() *nostr.Event {
	ev := &nostr.Event{Kind: KindInfo, CreatedAt: nostr.Now(), Content: strings.Join(c.Methods, " ")}
	if len(c.Encryptions) > 0 {
		ev.Tags = append(ev.Tags, nostr.Tag{"encryption", strings.Join(c.Encryptions, " ")})
	}
	if len(c.Notifications) > 0 {
		ev.Content += " " + says
		ev.Tags = append(ev.Tags, nostr.Tag{"notifications", strings.Join(c.Notifications, " ")})
	}
	return ev
}

// ParseCapabilities reads an info event. Old services put commas between methods.
func ParseCapabilities(ev *nostr.Event) (Capabilities, error) {
	var c Capabilities
	if ev.Kind != KindInfo {
		return c, fmt.Errorf("kind %d is no info event of a wallet, %d is", ev.Kind, KindInfo)
	}
	c.Methods = words(ev.Content)
	c.Methods = slices.DeleteFunc(c.Methods, func(m string) bool { return m == says })
	if tag := ev.Tags.Find("notifications"); tag != nil {
		c.Notifications = words(tag[1])
	}
	if tag := ev.Tags.Find("encryption"); tag != nil {
		c.Encryptions = words(tag[1])
	}
	if len(c.Encryptions) == 0 {
		c.Encryptions = []string{NIP04}
	}
	return c, nil
}

// Encryption is the scheme that a client should use: the best of those that both know; "" if there is none.
func (c Capabilities) Encryption() string {
	for _, scheme := range []string{NIP44, NIP04} {
		if slices.Contains(c.Encryptions, scheme) {
			return scheme
		}
	}
	return ""
}

// Can says whether the service knows all of these methods.
func (c Capabilities) Can(methods ...string) bool {
	return !slices.ContainsFunc(methods, func(m string) bool { return !slices.Contains(c.Methods, m) })
}

func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' || r == '\n' || r == '\t' })
}
