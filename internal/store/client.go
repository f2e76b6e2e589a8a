package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"infernet/internal/notify"
)

// Client reads the store of another process.
type Client struct{ http *http.Client }

var (
	_ Reader   = (*Client)(nil)
	_ Backuper = (*Client)(nil)
)

// ErrNoOwner says that no process owns a folder's store.
var ErrNoOwner = errors.New("no process owns the store")

// Dial reaches the owner of a folder's store. ErrNoOwner if there is none.
func Dial(ctx context.Context, dir string) (*Client, error) {
	path := filepath.Join(dir, socketName)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", path)
	}
	conn, err := dial(ctx, "", "")
	if err != nil {
		return nil, fmt.Errorf("%w in %s", ErrNoOwner, dir)
	}
	conn.Close()
	return &Client{&http.Client{Transport: &http.Transport{DialContext: dial, Proxy: nil, MaxIdleConns: 1}}}, nil
}

// Close ends the connection.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Jobs asks the owner for jobs.
func (c *Client) Jobs(ctx context.Context, q JobQuery) (rows []Job, err error) {
	err = c.list(ctx, "/jobs", q.values(), &rows)
	return rows, err
}

// sequenced is a notice with its mark, which others do not see.
type sequenced struct {
	notify.Notice
	Seq int64 `json:"seq"`
}

// Notices asks the owner for notices.
func (c *Client) Notices(ctx context.Context, q NoticeQuery) (all []notify.Notice, err error) {
	var rows []sequenced
	v := url.Values{"limit": {strconv.Itoa(Limit(q.Limit))}, "before": {strconv.FormatInt(q.Before, 10)}}
	if err := c.list(ctx, "/notices", v, &rows); err != nil {
		return nil, err
	}
	for _, row := range rows {
		row.Notice.Seq = row.Seq
		all = append(all, row.Notice)
	}
	return all, nil
}

// Settings asks the owner for the settings.
func (c *Client) Settings(ctx context.Context) (rows []Setting, err error) {
	err = c.list(ctx, "/settings", nil, &rows)
	return rows, err
}

// Backup has the owner write a copy of the store. An error after some bytes means that they are no backup.
func (c *Client) Backup(ctx context.Context, to io.Writer) error {
	resp, err := c.get(ctx, "/backup", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(to, resp.Body)
	return err
}

// answerIn is how long the owner may take for a list.
const answerIn = 10 * time.Second

func (c *Client) list(ctx context.Context, path string, v url.Values, rows any) error {
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	resp, err := c.get(ctx, path, v)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(rows); err != nil {
		return fmt.Errorf("the store's owner: %w", err)
	}
	return nil
}

func (c *Client) get(ctx context.Context, path string, v url.Values) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://store"+path+"?"+v.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the store's owner: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var said struct{ Error string }
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&said); err != nil || said.Error == "" {
		said.Error = resp.Status
	}
	return nil, fmt.Errorf("the store's owner: %s", said.Error)
}
