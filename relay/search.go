package relay

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
	"infernet/relay/eventlog"
)

// A search (NIP-50) finds nodes by the words of their announcements: name, models, hardware, kinds, region, what they say of
// themselves. All words have to be found, the beginning of one is enough. Which announcements hold is for the log to say; here
// is only kept which words an announcement has.

// maxWords is how many words of a search count.
const maxWords = 12

// wordsRoom is how many bytes of words are kept; what falls out is read again when it is next looked at.
const wordsRoom = 16 << 20

// passedOver are the extensions of NIP-50 that this relay does not know. Other words may hold a colon: models' names do.
var passedOver = []string{"include:", "domain:", "language:", "sentiment:", "nsfw:"}

// searchWords reads a search.
func searchWords(search string) (words []string) {
	for word := range strings.FieldsSeq(strings.ToLower(cut(search, 1024))) {
		if slices.ContainsFunc(passedOver, func(p string) bool { return strings.HasPrefix(word, p) }) {
			continue
		}
		if word = strings.Trim(word, `"',;!?`); word != "" && !slices.Contains(words, word) {
			words = append(words, word)
		}
	}
	return words[:min(len(words), maxWords)]
}

// document is an announcement's words, with how much each tells.
type document map[string]uint8

// documentOf reads an announcement.
func documentOf(ev *nostr.Event) document {
	d := document{}
	m, err := events.Parse(ev)
	node, ok := m.(*events.Announcement)
	if err != nil || !ok {
		return d
	}
	d.add(8, node.Profile.Name)
	d.add(2, node.Profile.About)
	d.add(6, node.Models...)
	for _, kind := range node.Kinds {
		d.add(4, nostrKind(kind)...)
	}
	if market := node.Profile.Market; market != nil {
		for _, model := range market.Models {
			d.add(6, model.ID)
		}
		for _, card := range market.GPUs {
			d.add(4, card.Name)
		}
		d.add(1, market.Pay...)
		d.add(1, market.Delivery...)
	}
	return d
}

// maxDocument is how many words of one announcement count.
const maxDocument = 400

func (d document) add(weight uint8, texts ...string) {
	put := func(word string) {
		if word != "" && len(word) <= 100 && len(d) < maxDocument {
			d[word] = max(d[word], weight)
		}
	}
	for _, text := range texts {
		for word := range strings.FieldsSeq(strings.ToLower(text)) {
			put(strings.TrimFunc(word, unicode.IsPunct))
			for part := range strings.FieldsFuncSeq(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
				put(part)
			}
		}
	}
}

// nostrKind is what a kind of job is called.
func nostrKind(kind int) []string {
	if k, ok := events.Kinds[kind]; ok {
		return []string{k.Name, strconv.Itoa(kind)}
	}
	return []string{strconv.Itoa(kind)}
}

// score says how well an announcement fits: 0 if a word is missing.
func (d document) score(words []string) (sum int) {
	for _, word := range words {
		best := 4 * int(d[word])
		if best == 0 && len(word) > 1 {
			for have, weight := range d {
				switch {
				case strings.HasPrefix(have, word):
					best = max(best, 2*int(weight))
				case len(word) > 2 && strings.Contains(have, word):
					best = max(best, int(weight))
				}
			}
		}
		if best == 0 {
			return 0
		}
		sum += best
	}
	return max(sum, 1)
}

// documents keeps the words of announcements by their id.
type documents struct {
	mu    sync.Mutex
	all   map[[32]byte]document
	bytes int
}

func (k *documents) of(found *eventlog.Found) document {
	k.mu.Lock()
	d, ok := k.all[found.ID]
	k.mu.Unlock()
	if ok {
		return d
	}
	ev := found.Event()
	if ev == nil {
		return nil
	}
	d = documentOf(ev)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.bytes > wordsRoom || k.all == nil {
		k.all, k.bytes = map[[32]byte]document{}, 0
	}
	k.all[found.ID] = d
	for word := range d {
		k.bytes += len(word) + 40
	}
	k.bytes += 100
	return d
}

// searches says whether a filter can be searched with; else why not.
func searches(f nostr.Filter) string {
	if f.Search != "" && f.Kinds != nil && !slices.Contains(f.Kinds, events.KindAnnouncement) {
		return "unsupported: this relay searches nodes and what they sell, kind 31990 (NIP-50)"
	}
	return ""
}

// searched is search for a filter with words: the best first.
func (s *store) searched(ctx context.Context, f nostr.Filter, show func(*nostr.Event) bool, pause func() bool) (all []hit) {
	words, limit := searchWords(f.Search), f.Limit
	f.Search, f.Kinds, f.Limit = "", []int{events.KindAnnouncement}, 0
	now := nostr.Timestamp(s.now().Unix())
	s.log.Query(ctx, eventlog.Search{Filter: f, Bytes: 1, Pause: pause, Keep: func(found *eventlog.Found) bool {
		if found.Expires <= now || show != nil && !show(found.Event()) {
			return false
		}
		if score := s.documents.of(found).score(words); score > 0 {
			all = append(all, hit{id: hex.EncodeToString(found.ID[:]), at: found.At, found: eventlog.Found{Meta: found.Meta, Ref: found.Ref}, score: score})
		}
		return false
	}})
	slices.SortFunc(all, func(a, b hit) int { return cmp.Or(cmp.Compare(b.score, a.score), a.newer(b)) })
	all = slices.CompactFunc(all, func(a, b hit) bool { return a.id == b.id })
	return all[:min(len(all), limit)]
}

// wants says whether a subscription's filters find an event, words too.
func (s *subscription) wants(ev *nostr.Event) bool {
	for _, f := range s.filters {
		if !f.Matches(ev) {
			continue
		}
		if f.Search == "" || ev.Kind == events.KindAnnouncement && documentOf(ev).score(searchWords(f.Search)) > 0 {
			return true
		}
	}
	return false
}
