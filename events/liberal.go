package events

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/nbd-wtf/go-nostr"
)

// liberal is the one place that forgives: it rewrites what plain NIP-90 parties are known to send into this grammar.
// Messages of the profile pass unchanged. The content of a closed event is nobody's prompt.
//
//   - a request without `i`: its prompt is the param "prompt", else the tag "input", else the content
//   - an input of type "prompt", or without a type, is text
//   - params "top-k" and "top-p" are top_k and top_p
//   - a second element of `bid` falls away
//   - statuses are lower case with "-" for "_"; more than three elements are cut
//   - amounts may have "_" in them; "lightning:" before a bolt11 falls away
//   - the same tag twice counts once (but two equal inputs are two); of several `e`, `p` and `amount` the first counts on
//     feedback and results, but a `p` that names the signer only if there is no other: NDK copies the request's
//   - tags without a name or a value fall away
func liberal(ev *nostr.Event, closed bool) *nostr.Event {
	request := false
	if _, ok := Kinds[ev.Kind]; ok {
		request = true
	}
	result := isResult(ev.Kind)
	feedback := ev.Kind == KindFeedback || ev.Kind == KindChunk
	if !request && !result && !feedback {
		return ev
	}
	if (request && ev.Tags.Find("profile") != nil) || (feedback && ev.Tags.Find("step") != nil) {
		return ev
	}
	plain := *ev
	plain.Tags = make(nostr.Tags, 0, len(ev.Tags))
	for _, tag := range ev.Tags {
		if tag = liberalTag(tag, request); tag == nil {
			continue
		}
		if tag[0] != "i" && slices.ContainsFunc(plain.Tags, func(t nostr.Tag) bool { return slices.Equal(t, tag) }) {
			continue
		}
		if !request && tag[0] == "p" && tag[1] != addressee(ev) {
			continue
		}
		if !request && slices.Contains([]string{"e", "p", "amount", "status"}, tag[0]) && plain.Tags.Find(tag[0]) != nil {
			continue
		}
		plain.Tags = append(plain.Tags, tag)
	}
	if request && !closed && plain.Tags.Find("i") == nil {
		if prompt := liberalPrompt(&plain); prompt != "" {
			plain.Tags = append(plain.Tags, nostr.Tag{"i", prompt, "text"})
		}
	}
	return &plain
}

// addressee is whom an event is for: its first `p`, but the signer itself only if nobody else is named; "" for nobody.
func addressee(ev *nostr.Event) string {
	to := ""
	for _, tag := range ev.Tags {
		if len(tag) > 1 && tag[0] == "p" && (to == "" || to == ev.PubKey) {
			to = tag[1]
		}
	}
	return to
}

func liberalTag(tag nostr.Tag, request bool) nostr.Tag {
	if len(tag) == 0 || tag[0] == "" {
		return nil
	}
	if len(tag) == 1 {
		if tag[0] == "encrypted" {
			return tag
		}
		return nil
	}
	tag = slices.Clone(tag)
	switch tag[0] {
	case "i":
		if len(tag) == 2 {
			tag = append(tag, "text")
		}
		if tag[2] == "prompt" || tag[2] == "" {
			tag[2] = "text"
		}
	case "param":
		switch tag[1] {
		case "top-k":
			tag[1] = "top_k"
		case "top-p":
			tag[1] = "top_p"
		}
	case "bid":
		tag = tag[:2]
		tag[1] = strings.ReplaceAll(tag[1], "_", "")
	case "amount":
		tag[1] = strings.ReplaceAll(tag[1], "_", "")
		if len(tag) > 2 {
			tag[2] = strings.TrimPrefix(tag[2], "lightning:")
		}
	case "status":
		tag[1] = strings.ReplaceAll(strings.ToLower(tag[1]), "_", "-")
		if len(tag) > 3 {
			tag = tag[:3]
		}
	case "relays":
		if request && len(tag) > MaxRelays+1 {
			tag = tag[:MaxRelays+1]
		}
		tag = slices.DeleteFunc(tag, func(s string) bool { return s != "relays" && CheckRelay(s) != nil })
		if len(tag) == 1 {
			return nil
		}
	}
	return tag
}

func liberalPrompt(ev *nostr.Event) string {
	for _, tag := range ev.Tags {
		if len(tag) > 2 && tag[0] == "param" && tag[1] == "prompt" {
			return tag[2]
		}
	}
	for _, tag := range ev.Tags {
		if len(tag) > 2 && tag[0] == "input" {
			return tag[len(tag)-1]
		}
	}
	var tags [][]string
	if json.Unmarshal([]byte(ev.Content), &tags) == nil {
		return "" // an encrypted shape that was sent in clear
	}
	return ev.Content
}
