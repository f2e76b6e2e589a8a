package blob

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/nbd-wtf/go-nostr"

	"infernet/events"
)

// Pages of lists.
const (
	listPage = 100
	listMost = 1000
)

// list lists a key's files, newest first, to that key (BUD-12).
func (s *Server) list(w http.ResponseWriter, r *http.Request, key string) error {
	if !nostr.IsValidPublicKey(key) {
		return refuse(http.StatusBadRequest, "/list/<key> wants a key of 64 hex characters")
	}
	who, err := s.authorize(r, verbList)
	if err != nil {
		return err
	}
	if string(who.key) != key {
		return refuse(http.StatusForbidden, "only the key itself may list its files")
	}
	q := r.URL.Query()
	number := func(name string, standard int64) (n int64) {
		if n, bad := strconv.ParseInt(q.Get(name), 10, 64); bad == nil && n >= 0 {
			return n
		} else if q.Get(name) != "" {
			err = refuse(http.StatusBadRequest, "%s is no number", name)
		}
		return standard
	}
	since, until, limit := number("since", 0), number("until", math.MaxInt64), min(number("limit", listPage), listMost)
	after := q.Get("cursor")
	if after != "" && !isSum(after) {
		err = refuse(http.StatusBadRequest, "cursor is no hash")
	}
	if err != nil {
		return err
	}
	if after != "" {
		if there, err := s.store.owns(who.key, after); err != nil {
			return err
		} else if !there { // an empty page would look like the end
			return refuse(http.StatusBadRequest, "cursor: your key keeps no such file here any more, begin anew")
		}
	}
	found, err := s.store.of(who.key, after, since, until, int(limit), s.Now())
	if err != nil {
		return err
	}
	out := make([]*Descriptor, 0, len(found))
	for _, f := range found {
		d := s.descriptor(r, f)
		d.NIP94 = nil
		out = append(out, d)
	}
	return s.say(w, http.StatusOK, out)
}

// remove forgets that a key wants a file (BUD-12). The file goes when nobody does.
func (s *Server) remove(w http.ResponseWriter, r *http.Request, sum string) error {
	who, err := s.authorize(r, verbDelete)
	if err != nil {
		return err
	}
	if !who.names(sum) {
		return refuse(http.StatusUnauthorized, "the authorization does not name this file (x)")
	}
	there, err := s.store.drop(sum, who.key)
	if err != nil {
		return err
	}
	if !there {
		return refuse(http.StatusNotFound, "your key keeps no such file here")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// Reports.
const (
	kindReport = 1984 // NIP-56
	maxReport  = 64 << 10
	maxReports = 10_000 // kept for the operator; more are answered, not kept
)

// report takes a signed report (BUD-09). A moderator's removes the files that it names for good; anybody else's is kept
// for the operator.
func (s *Server) report(w http.ResponseWriter, r *http.Request) error {
	body := s.patient(w, r)
	defer body.done()
	raw, err := io.ReadAll(io.LimitReader(body, maxReport+1))
	if err != nil {
		return refuse(http.StatusBadRequest, "the report was cut")
	}
	if len(raw) > maxReport {
		return refuse(http.StatusRequestEntityTooLarge, "a report has at most %d bytes", maxReport)
	}
	var ev nostr.Event
	if err := json.Unmarshal(raw, &ev); err != nil || ev.Kind != kindReport {
		return refuse(http.StatusBadRequest, "the body is no event of kind %d", kindReport)
	}
	if err := events.Verify(&ev); err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	var sums []string
	for _, tag := range ev.Tags {
		if len(tag) > 1 && tag[0] == "x" && isSum(tag[1]) {
			sums = append(sums, tag[1])
		}
	}
	if len(sums) == 0 {
		return refuse(http.StatusBadRequest, "the report names no file (x)")
	}
	_, err = s.store.db.Exec("insert into reports (id, event, at) select ?, ?, ? where (select count(*) from reports) < ? on conflict do nothing",
		ev.ID, string(raw), s.Now().Unix(), maxReports)
	if err == nil && slices.Contains(s.Moderators, events.PubKey(ev.PubKey)) {
		err = s.store.ban(sums, ev.ID, s.Now())
	}
	if err != nil {
		return err
	}
	s.Log.Warn("files were reported", "by", ev.PubKey, "files", sums, "why", ev.Content)
	w.WriteHeader(http.StatusOK)
	return nil
}
