package batch

import (
	"encoding/json"
	"fmt"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
)

// answered is how a line of OpenAI's format is answered.
type answered struct {
	ID       string    `json:"id"`
	CustomID string    `json:"custom_id"`
	Response *response `json:"response"`
	Error    *struct{} `json:"error"`
	Market   market    `json:"infernet"`
}

type response struct {
	Status  int    `json:"status_code"`
	Request string `json:"request_id"`
	Body    any    `json:"body"`
}

// market is what an answer has cost.
type market struct {
	Job   events.ID     `json:"job"`
	Node  events.PubKey `json:"node,omitempty"`
	Paid  events.Msat   `json:"paid_msat"`
	Tries int           `json:"tries"`
}

// said is how a prompt is answered.
type said struct {
	Line    int     `json:"line"`
	Content *string `json:"content"`
	Error   string  `json:"error,omitempty"`
	market
}

// write writes a line's result, as one line of JSON.
func (r *run) write(it Item, m market, req Request, d *consumer.Delivery, failure error) (string, error) {
	if r.spec.Plain {
		out := said{Line: it.Line, market: m}
		if failure != nil {
			out.Error = failure.Error()
		} else {
			out.Content = &d.Text
		}
		body, err := json.Marshal(out)
		return string(body), err
	}
	out := answered{ID: fmt.Sprintf("batch_req_%s_%d", r.id, it.Line), CustomID: it.ID, Response: &response{Request: string(m.Job)}, Market: m}
	if failure == nil {
		var err error
		if out.Response.Status, out.Response.Body, err = req.Answer(d); err != nil {
			failure = err
		}
	}
	if failure != nil && req == nil {
		out.Response.Status, out.Response.Body = 400, failure.Error()
	} else if failure != nil {
		out.Response.Status, out.Response.Body = req.Failure(failure)
	}
	body, err := json.Marshal(out)
	return string(body), err
}

// Results gives the results that are there, by line, as lines of JSON.
func (s *Store) Results(id string, give func(result string) error) error {
	for last := 0; ; {
		rows, err := s.db.Query("select line, result from items where batch = ? and line > ? and state >= ? order by line limit 500", id, last, delivered)
		if err != nil {
			return err
		}
		n := 0
		var page []string
		for rows.Next() {
			var text string
			if err := rows.Scan(&last, &text); err != nil {
				rows.Close()
				return err
			}
			page = append(page, text)
			n++
		}
		if err := rows.Err(); err != nil {
			return err
		}
		rows.Close()
		for _, text := range page {
			if err := give(text); err != nil {
				return err
			}
		}
		if n == 0 {
			return nil
		}
	}
}

// Status is where a batch stands.
type Status struct {
	ID, Name, State                   string
	At                                time.Time
	Total, Delivered, Failed, Running int
	Paid                              events.Msat // for all that was bought, as the ledger has it
	MaxTotal                          events.Msat
	ETA                               time.Duration // until it is done, at the pace of the last lines; 0 if not known
}

// Percent is how much is over, of 100.
func (s Status) Percent() float64 {
	return 100 * float64(s.Delivered+s.Failed) / float64(max(1, s.Total))
}

// pace is how many of the last lines the ETA is made of.
const pace = 200

// Status says where a batch stands. l may be nil: what was paid is then as it was when each line was over.
func (s *Store) Status(id string, l *ledger.Ledger) (st Status, err error) {
	var at int64
	st.ID = id
	spec, state, err := s.spec(id)
	if err != nil {
		return st, err
	}
	st.Name, st.State, st.MaxTotal = spec.Name, state, spec.MaxTotal
	if err := s.db.QueryRow("select at from batches where id = ?", id).Scan(&at); err != nil {
		return st, err
	}
	st.At = time.Unix(at, 0)
	err = s.db.QueryRow(`select count(*), coalesce(sum(state = 2), 0), coalesce(sum(state = 3), 0), coalesce(sum(state = 1), 0), coalesce(sum(paid), 0) from items where batch = ?`, id).
		Scan(&st.Total, &st.Delivered, &st.Failed, &st.Running, &st.Paid)
	if err != nil {
		return st, err
	}
	if l != nil { // what a line cost may have changed since: locked money comes back
		rows, err := s.db.Query("select job from jobs where batch = ?", id)
		if err != nil {
			return st, err
		}
		var open []events.ID
		for rows.Next() {
			var job events.ID
			if err := rows.Scan(&job); err != nil {
				rows.Close()
				return st, err
			}
			open = append(open, job)
		}
		rows.Close()
		if st.Paid, err = spent(l, open); err != nil {
			return st, err
		}
	}
	var first, n int64
	err = s.db.QueryRow("select coalesce(min(at), 0), count(*) from (select at from items where batch = ? and state >= 2 order by at desc limit ?)", id, pace).Scan(&first, &n)
	if left := st.Total - st.Delivered - st.Failed; err == nil && n > 1 && left > 0 && st.State == Open {
		st.ETA = time.Duration(float64(time.Since(time.UnixMilli(first))) / float64(n) * float64(left))
	}
	return st, err
}

// spent is what the ledger has as paid, or under way, for jobs.
func spent(l *ledger.Ledger, jobs []events.ID) (sum events.Msat, err error) {
	for _, job := range jobs {
		c, err := l.Commitment(job)
		if err != nil {
			return 0, err
		}
		if c != nil {
			sum += c.Amount
		}
	}
	return sum, nil
}

// All lists the batches, newest first.
func (s *Store) All(limit int) (ids []string, err error) {
	rows, err := s.db.Query("select id from batches order by rowid desc limit ?", limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
