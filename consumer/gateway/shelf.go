package gateway

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/json"
	"errors"
	"os"

	"infernet/events"
	"infernet/internal/durable"
)

// shelf keeps the jobs of the API: what they were, who ordered them, and of the last ones all that happened. It lies in the
// budgets' file. What money depends on is not here, but in the ledger.
type shelf struct {
	db    *durable.DB
	files func(events.ID) string
}

// shelfTables are what it adds to that file.
const shelfTables = `
create table jobs (seq integer primary key, id text not null unique, who text not null, open integer not null, body text not null, story blob);
create index jobs_who on jobs (who, seq);
create index jobs_open on jobs (seq) where open;
`

// maxStories is of how many jobs all that happened and their files are kept; of older ones the end is.
const maxStories = 2000

// put writes a job down as it is, and its story once it has ended.
func (s *shelf) put(j *Job, story []Entry) error {
	body, err := json.Marshal(j)
	if err != nil {
		return err
	}
	var packed []byte
	if story != nil {
		if packed, err = squeeze(story); err != nil {
			return err
		}
	}
	var old []events.ID
	err = s.db.Write(func(tx *durable.Tx) error {
		_, err := tx.Exec(`insert into jobs (id, who, open, body, story) values (?, ?, ?, ?, ?)
			on conflict (id) do update set open = excluded.open, body = excluded.body, story = excluded.story`,
			string(j.ID), j.Key, j.Finished == 0, string(body), packed)
		if err != nil || story == nil {
			return err
		}
		old, err = forget(tx)
		return err
	})
	for _, id := range old {
		os.RemoveAll(s.files(id)) // what is left is found by nobody
	}
	return err
}

// forget takes the stories of jobs that are long over away.
func forget(tx *durable.Tx) (old []events.ID, err error) {
	rows, err := tx.Query("update jobs set story = null where story is not null and seq <= (select max(seq) from jobs) - ? returning id", maxStories)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id events.ID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		old = append(old, id)
	}
	return old, rows.Err()
}

// squeeze makes a story small; its entries are much alike.
func squeeze(story []Entry) ([]byte, error) {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if err := errors.Join(json.NewEncoder(w).Encode(story), w.Close()); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func unpack(packed []byte) (story []Entry, err error) {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	err = json.NewDecoder(r).Decode(&story)
	return story, err
}

// errNoJob says that the API has no such job.
var errNoJob = errors.New("there is no such job")

// find gives a job and its story; nil if that is not kept.
func (s *shelf) find(id events.ID) (j Job, story []Entry, err error) {
	var body string
	var packed []byte
	err = s.db.QueryRow("select body, story from jobs where id = ?", string(id)).Scan(&body, &packed)
	if errors.Is(err, sql.ErrNoRows) {
		return j, nil, errNoJob
	}
	if err != nil {
		return j, nil, err
	}
	if err := json.Unmarshal([]byte(body), &j); err != nil || packed == nil {
		return j, nil, err
	}
	story, err = unpack(packed)
	return j, story, err
}

// row is a job and its place in the list.
type row struct {
	Job
	seq int64
}

// list gives jobs, the newest first: of one caller, or of all.
func (s *shelf) list(who string, all bool, status string, before int64, limit int) (found []row, err error) {
	rows, err := s.db.Query(`select seq, body from jobs where (? or who = ?) and (? = 0 or seq < ?) and (? = '' or body ->> 'status' = ?)
		order by seq desc limit ?`, all, who, before, before, status, status, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		var body string
		if err := rows.Scan(&r.seq, &body); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(body), &r.Job); err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, rows.Err()
}

// open gives the jobs that have no end.
func (s *shelf) open() (found []Job, err error) {
	rows, err := s.db.Query("select body from jobs where open order by seq")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var body string
		var j Job
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(body), &j); err != nil {
			return nil, err
		}
		found = append(found, j)
	}
	return found, rows.Err()
}
