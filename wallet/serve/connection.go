package serve

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"infernet/events"
	"infernet/nips/nip47"
)

// Connection is a program's way to the wallet.
type Connection struct {
	Name       string        // for people; each name once
	Client     events.PubKey // the program's key, whose secret only it has
	Methods    []string      // that it may call; all if none
	PerPayment events.Msat   // most for one payment, without fee; 0: no bound
	PerDay     events.Msat   // most for all payments of any 24 hours, with fees; 0: no bound
	Until      time.Time     // it ends then; never if zero
	Created    time.Time
}

// ErrName says that there is a connection of this name, or none.
var ErrName = errors.New("connection")

// Add adds a connection.
func (b *Book) Add(c Connection) error {
	methods, err := json.Marshal(c.Methods)
	if err != nil {
		return err
	}
	var until int64
	if !c.Until.IsZero() {
		until = c.Until.Unix()
	}
	_, err = b.db.Exec("insert into connections (client, name, methods, per_payment, per_day, until, created) values (?, ?, ?, ?, ?, ?, ?)",
		string(c.Client), c.Name, string(methods), int64(c.PerPayment), int64(c.PerDay), until, c.Created.Unix())
	if err != nil && strings.Contains(err.Error(), "UNIQUE") {
		return fmt.Errorf("%w %q exists already", ErrName, c.Name)
	}
	return err
}

// Remove ends a connection. What it spent stays in the book.
func (b *Book) Remove(name string) error {
	res, err := b.db.Exec("delete from connections where name = ?", name)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return fmt.Errorf("%w %q is not there", ErrName, name)
}

const selectConnection = "select client, name, methods, per_payment, per_day, until, created from connections"

func scanConnection(row interface{ Scan(...any) error }) (*Connection, error) {
	c := &Connection{}
	var methods string
	var until, created int64
	if err := row.Scan(&c.Client, &c.Name, &methods, &c.PerPayment, &c.PerDay, &until, &created); err != nil {
		return nil, err
	}
	if c.Created = time.Unix(created, 0); until > 0 {
		c.Until = time.Unix(until, 0)
	}
	return c, json.Unmarshal([]byte(methods), &c.Methods)
}

// Connections lists all, the oldest first.
func (b *Book) Connections() (all []*Connection, err error) {
	rows, err := b.db.Query(selectConnection + " order by created, name")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		c, err := scanConnection(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

// allowed gives the connection of a client that may call a method now.
func (b *Book) allowed(client events.PubKey, method string, now time.Time) (*Connection, error) {
	c, err := scanConnection(b.db.QueryRow(selectConnection+" where client = ?", string(client)))
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, &nip47.Error{Code: nip47.CodeUnauthorized, Message: "this connection is not known here, or was ended"}
	case err != nil:
		return nil, err
	case !c.Until.IsZero() && !now.Before(c.Until):
		return nil, &nip47.Error{Code: nip47.CodeUnauthorized, Message: "this connection ended at " + c.Until.UTC().Format(time.RFC3339)}
	case len(c.may([]string{method})) == 0:
		return nil, &nip47.Error{Code: nip47.CodeRestricted, Message: "this connection may not call " + method}
	}
	return c, nil
}

// may are those of methods that a connection may call; what nobody knows is answered elsewhere.
func (c *Connection) may(methods []string) (allowed []string) {
	for _, m := range methods {
		if len(c.Methods) == 0 || slices.Contains(c.Methods, m) || m == nip47.GetInfo {
			allowed = append(allowed, m)
		}
	}
	return allowed
}
