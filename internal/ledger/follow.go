package ledger

import (
	"time"

	"infernet/events"
	"infernet/internal/durable"
)

// Touched lists the jobs whose journal has grown since a mark, oldest first, at most limit of them, and the mark to go on
// from. The first mark is 0. Who follows the journal this way looks at its open jobs too: an end is no event.
func (l *Ledger) Touched(since int64, limit int) (jobs []events.ID, mark int64, err error) {
	rows, err := l.db.Query(`select job, max(seq) from (select job, seq from events where seq > ? order by seq limit ?)
		group by job order by max(seq)`, since, limit)
	if err != nil {
		return nil, since, err
	}
	defer rows.Close()
	mark = since
	for rows.Next() {
		var job events.ID
		if err := rows.Scan(&job, &mark); err != nil {
			return nil, since, err
		}
		jobs = append(jobs, job)
	}
	return jobs, mark, rows.Err()
}

// Last gives the newest marks of the journal: of Touched and of Records. A follower whose own mark is beyond has followed
// another ledger.
func (l *Ledger) Last() (event, record int64, err error) {
	err = l.db.QueryRow("select (select coalesce(max(seq), 0) from events), (select coalesce(max(seq), 0) from records)").Scan(&event, &record)
	return event, record, err
}

// Record is a fact that no event says and that may change, such as a setting: the newest value holds.
type Record struct {
	Seq   int64 // rises with every change
	Topic string
	Name  string
	Value []byte
	At    time.Time // of the change, to the second
}

// Record writes a record down; it replaces the one of the same topic and name.
func (l *Ledger) Record(topic, name string, value []byte) error {
	if value == nil {
		value = []byte{}
	}
	return l.db.Write(func(tx *durable.Tx) error {
		_, err := tx.Exec("insert or replace into records (topic, name, value, at) values (?, ?, ?, ?)", topic, name, value, now())
		return err
	})
}

// Records lists the records of a topic that were changed since a mark (a Seq; the first is 0), oldest change first.
func (l *Ledger) Records(topic string, since int64) ([]Record, error) {
	rows, err := l.db.Query("select seq, topic, name, value, at from records where topic = ? and seq > ? order by seq", topic, since)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []Record
	for rows.Next() {
		var r Record
		var at int64
		if err := rows.Scan(&r.Seq, &r.Topic, &r.Name, &r.Value, &at); err != nil {
			return nil, err
		}
		r.At = time.Unix(at, 0)
		found = append(found, r)
	}
	return found, rows.Err()
}
