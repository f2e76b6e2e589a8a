package nip85

import (
	"reflect"
	"strings"
	"testing"

	"github.com/nbd-wtf/go-nostr"
)

func TestAssertionsComeBack(t *testing.T) {
	key := strings.Repeat("ab", 32)
	for _, a := range []Assertion{
		{Kind: KindUser, Subject: key, Rank: 89, Counts: map[string]int64{}},
		{Kind: KindUser, Subject: key, Rank: NoRank, Counts: map[string]int64{"bought_cnt": 7, "reviews_cnt": 0}, Relay: "wss://relay.example"},
		{Kind: KindAddress, Subject: "31990:" + key + ":node", Rank: 0, Counts: map[string]int64{}},
	} {
		got, err := Parse(a.Event())
		if err != nil || !reflect.DeepEqual(got, a) {
			t.Errorf("%+v comes back as %+v, %v", a, got, err)
		}
	}
	// the example of the NIP
	if a, err := Parse(&nostr.Event{Kind: 30382, Tags: nostr.Tags{{"d", "e88a691e98d9987c964521dff60025f60700378a4879180dcbbb4a5027850411"}, {"rank", "89"}}}); err != nil || a.Rank != 89 {
		t.Errorf("%+v, %v", a, err)
	}
	all := []Source{{"30382:rank", key, "wss://relay.example"}}
	if got, err := ParseList(List(all)); err != nil || !reflect.DeepEqual(got, all) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatIsNoAssertion(t *testing.T) {
	for name, ev := range map[string]*nostr.Event{
		"another kind": {Kind: 1, Tags: nostr.Tags{{"d", "x"}}}, "no subject": {Kind: KindUser}, "a rank above 100": {Kind: KindUser, Tags: nostr.Tags{{"d", "x"}, {"rank", "101"}}},
		"a rank that is none": {Kind: KindUser, Tags: nostr.Tags{{"d", "x"}, {"rank", "good"}}},
	} {
		if _, err := Parse(ev); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := ParseList(&nostr.Event{Kind: 1}); err == nil {
		t.Error("another kind is a list")
	}
}
