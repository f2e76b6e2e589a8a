package gateway

import (
	"path/filepath"
	"testing"

	"infernet/events"
)

// TestShelfKeepsJobs puts jobs down, changes and lists them, and keeps the stories of the newest only.
func TestShelfKeepsJobs(t *testing.T) {
	b, err := OpenBudget(filepath.Join(t.TempDir(), "gateway.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := &shelf{b.db, func(events.ID) string { return filepath.Join(t.TempDir(), "none") }}
	for _, j := range []Job{{ID: "a", Key: "k", Status: Queued}, {ID: "b", Status: Queued}, {ID: "c", Key: "k", Status: Queued}} {
		if err := s.put(&j, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.put(&Job{ID: "a", Key: "k", Status: Completed, Finished: 7}, []Entry{{Seq: 1, Event: "complete", Data: []byte("{}")}}); err != nil {
		t.Fatal(err)
	}
	if j, story, err := s.find("a"); err != nil || j.Finished != 7 || len(story) != 1 || story[0].Event != "complete" {
		t.Errorf("%+v %+v %v", j, story, err)
	}
	if _, _, err := s.find("x"); err != errNoJob {
		t.Error(err)
	}
	ids := func(rows []row, err error) (all string) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
		for _, r := range rows {
			all += string(r.ID)
		}
		return all
	}
	for _, c := range []struct{ got, want string }{
		{ids(s.list("", true, "", 0, 10)), "cba"}, {ids(s.list("k", false, "", 0, 10)), "ca"}, {ids(s.list("", true, Completed, 0, 10)), "a"},
		{ids(s.list("", true, "", 3, 10)), "ba"}, {ids(s.list("", true, "", 0, 2)), "cb"},
	} {
		if c.got != c.want {
			t.Errorf("%s, want %s", c.got, c.want)
		}
	}
	if open, err := s.open(); err != nil || len(open) != 2 || open[0].ID != "b" {
		t.Errorf("%+v %v", open, err)
	}
}
