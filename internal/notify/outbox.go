package notify

import (
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"infernet/events"
	"infernet/internal/durable"
)

// Config says how an outbox tells.
type Config struct {
	Ways  []Way
	Quiet Hours            // when only urgent notices are told
	Muted func() time.Time // until when only urgent notices are told; nil: never
	Tries time.Duration    // how long a notice is tried in one way before it is given up; 3 days if unset

	Log *slog.Logger
	Now func() time.Time
}

// Outbox holds the notices there were, and those still to be told. Many processes may open one.
type Outbox struct {
	Config
	db   *durable.DB
	wake chan struct{}
}

var schema = durable.Schema{Version: 1, Tables: `
create table notices    (seq integer primary key autoincrement, id text not null unique, at integer not null, level text not null, incident text not null,
                                      over integer not null, title text not null, text text not null, job text not null);
create table incidents  (incident text primary key, open integer not null) without rowid;
create table deliveries (seq integer not null, way text not null, incident text not null, urgent integer not null, tries integer not null default 0,
                                      since integer, due integer not null, done integer, error text not null default '', primary key (way, seq)) without rowid;
create index deliveries_due on deliveries (due) where done is null;
create index deliveries_incident on deliveries (way, incident, seq) where done is null;
`}

// Open opens an outbox, and makes it if there is none, readable by its owner only.
func Open(path string, c Config) (*Outbox, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Muted == nil {
		c.Muted = func() time.Time { return time.Time{} }
	}
	if c.Tries == 0 {
		c.Tries = 72 * time.Hour
	}
	seen := map[string]bool{}
	for _, way := range c.Ways {
		if seen[way.Name()] {
			return nil, fmt.Errorf("notices: two ways are called %s", way.Name())
		}
		seen[way.Name()] = true
	}
	db, err := durable.Open(path, schema)
	if err != nil {
		return nil, fmt.Errorf("notices %s: %w", path, err)
	}
	return &Outbox{Config: c, db: db, wake: make(chan struct{}, 1)}, nil
}

// Close closes the outbox. What was not told yet waits for the next run.
func (o *Outbox) Close() error { return o.db.Close() }

// Tell takes a notice. When it returns nil the notice is on the disk; Run tells it, in this process or in another. told is
// nil if the owner knows already: the incident has begun before, or is over.
func (o *Outbox) Tell(n Notice) (told *Notice, err error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	n.ID = rand.Text()
	if n.At == 0 {
		n.At = events.At(o.Now())
	}
	err = o.db.Write(func(tx *durable.Tx) error {
		known, err := known(tx, &n)
		if err != nil || known {
			return err
		}
		res, err := tx.Exec("insert into notices (id, at, level, incident, over, title, text, job) values (?, ?, ?, ?, ?, ?, ?, ?)",
			n.ID, int64(n.At), string(n.Level), n.Incident, n.Over, n.Title, n.Text, string(n.Job))
		if err != nil {
			return err
		}
		if n.Seq, err = res.LastInsertId(); err != nil {
			return err
		}
		for _, way := range o.Ways {
			_, err := tx.Exec("insert into deliveries (seq, way, incident, urgent, due) values (?, ?, ?, ?, ?)",
				n.Seq, way.Name(), n.Incident, n.Level == Urgent, o.Now().UnixMilli())
			if err != nil {
				return err
			}
		}
		told = &n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("notices: %w", err)
	}
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return told, nil
}

// known says whether a notice is no news, and notes where its incident stands.
func known(tx *durable.Tx, n *Notice) (bool, error) {
	if n.Incident == "" {
		return false, nil
	}
	var open bool
	err := tx.QueryRow("select open from incidents where incident = ?", n.Incident).Scan(&open)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	if open == !n.Over {
		return true, nil
	}
	_, err = tx.Exec("insert or replace into incidents (incident, open) values (?, ?)", n.Incident, !n.Over)
	return false, err
}

// Notices lists notices beyond a mark (a Seq; the first is 0), oldest first, at most limit of them.
func (o *Outbox) Notices(since int64, limit int) ([]Notice, error) {
	return o.notices("where seq > ? order by seq limit ?", since, limit)
}

// Newest lists the notices before a mark (a Seq; 0 means all), newest first, at most limit of them.
func (o *Outbox) Newest(before int64, limit int) ([]Notice, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	return o.notices("where seq < ? order by seq desc limit ?", before, limit)
}

// Last gives the newest notice's mark.
func (o *Outbox) Last() (seq int64, err error) {
	err = o.db.QueryRow("select coalesce(max(seq), 0) from notices").Scan(&seq)
	return seq, err
}

func (o *Outbox) notices(where string, args ...any) ([]Notice, error) {
	rows, err := o.db.Query("select seq, id, at, level, incident, over, title, text, job from notices "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []Notice
	for rows.Next() {
		var n Notice
		if err := rows.Scan(&n.Seq, &n.ID, &n.At, &n.Level, &n.Incident, &n.Over, &n.Title, &n.Text, &n.Job); err != nil {
			return nil, err
		}
		found = append(found, n)
	}
	return found, rows.Err()
}

// Delivery says how a notice was told in one way.
type Delivery struct {
	Way   string `json:"way"`
	State string `json:"state"` // told, waits, given up
	Tries int    `json:"tries"` // that failed
	Error string `json:"error,omitempty"`
}

// Deliveries says how a notice was told.
func (o *Outbox) Deliveries(seq int64) ([]Delivery, error) {
	rows, err := o.db.Query("select way, tries, done, error from deliveries where seq = ? order by way", seq)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var found []Delivery
	for rows.Next() {
		d := Delivery{State: "told"}
		var done sql.NullInt64
		if err := rows.Scan(&d.Way, &d.Tries, &done, &d.Error); err != nil {
			return nil, err
		}
		switch {
		case !done.Valid:
			d.State = "waits"
		case d.Error != "":
			d.State = "given up"
		}
		found = append(found, d)
	}
	return found, rows.Err()
}
