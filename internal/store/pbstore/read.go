package pbstore

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pocketbase/dbx"

	"infernet/internal/notify"
	"infernet/internal/store"
)

// row is a notice with its place in the list, which notices do not show.
type row struct {
	notify.Notice
	Seq int64 `json:"seq"`
}

// jobColumns are what queries look at.
func jobColumns(j *store.Job) map[string]any {
	return map[string]any{
		"role": string(j.Role), "at": int64(j.At), "seq": j.Seq, "live": j.Live(), "kind": j.Kind, "model": j.Model,
		"peer": string(j.Peer), "done": int64(j.Done), "ending": j.End, "paid": int64(j.Paid),
	}
}

// whole reads the rows of a query as they were put.
func whole[T any](q *dbx.SelectQuery) ([]T, error) {
	var texts []string
	if err := q.Column(&texts); err != nil {
		return nil, err
	}
	rows := make([]T, len(texts))
	for i, text := range texts {
		if err := json.Unmarshal([]byte(text), &rows[i]); err != nil {
			return nil, fmt.Errorf("store: %w", err)
		}
	}
	return rows, nil
}

func (s *Store) from(ctx context.Context, collection string) *dbx.SelectQuery {
	return s.app.ConcurrentDB().Select("whole").From(collection).WithContext(ctx)
}

// Jobs gives what is wanted of the history.
func (s *Store) Jobs(ctx context.Context, q store.JobQuery) ([]store.Job, error) {
	query := s.from(ctx, jobs).OrderBy("at desc", "seq desc", "role").Limit(int64(store.Limit(q.Limit)))
	if q.Role != "" {
		query.AndWhere(dbx.HashExp{"role": string(q.Role)})
	}
	if q.Live {
		query.AndWhere(dbx.HashExp{"live": true})
	}
	if q.Since > 0 {
		query.AndWhere(dbx.NewExp("at >= {:since}", dbx.Params{"since": int64(q.Since)}))
	}
	if q.Before != nil {
		query.AndWhere(dbx.NewExp("(at < {:at} or at = {:at} and (seq < {:seq} or seq = {:seq} and role > {:role}))",
			dbx.Params{"at": int64(q.Before.At), "seq": q.Before.Seq, "role": string(q.Before.Role)}))
	}
	return whole[store.Job](query)
}

// Notices gives what is wanted of the notices.
func (s *Store) Notices(ctx context.Context, q store.NoticeQuery) ([]notify.Notice, error) {
	query := s.from(ctx, notices).OrderBy("seq desc").Limit(int64(store.Limit(q.Limit)))
	if q.Before > 0 {
		query.AndWhere(dbx.NewExp("seq < {:before}", dbx.Params{"before": q.Before}))
	}
	rows, err := whole[row](query)
	all := make([]notify.Notice, len(rows))
	for i, r := range rows {
		r.Notice.Seq = r.Seq
		all[i] = r.Notice
	}
	return all, err
}

// Settings gives all settings that were changed while running, by name.
func (s *Store) Settings(ctx context.Context) ([]store.Setting, error) {
	return whole[store.Setting](s.from(ctx, settings).OrderBy("key"))
}

// Marks gives how far each journal was read.
func (s *Store) Marks(ctx context.Context) (map[string]int64, error) {
	var rows []struct {
		Key   string `db:"key"`
		Whole int64  `db:"whole"`
	}
	if err := s.app.ConcurrentDB().Select("key", "whole").From(marks).WithContext(ctx).All(&rows); err != nil {
		return nil, err
	}
	all := map[string]int64{}
	for _, r := range rows {
		all[r.Key] = r.Whole
	}
	return all, nil
}
