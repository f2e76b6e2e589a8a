package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/nbd-wtf/go-nostr"
	"github.com/prometheus/client_golang/prometheus"

	"infernet/internal/httpd"
	"infernet/relay/eventlog"
)

// What an operator asks a relay for while it runs. Who may is named in Config.Admins, and signs each request (NIP-98).
const (
	BackupPath  = "/api/v1/relay/backup"
	ExportPath  = "/api/v1/relay/export"
	ImportPath  = "/api/v1/relay/import"
	CompactPath = "/api/v1/relay/compact"
)

// MaxImport is how many bytes one request of an import may bring.
const MaxImport = 4 << 20

// Compact takes what is deleted off the disk now, as far as a segment holds anything that is. It gives the bytes saved.
func (r *Relay) Compact() (saved int64, err error) {
	if !r.work() {
		return 0, errClosing
	}
	defer r.working.Done()
	return r.store.log.Compact(0)
}

// isAdmin says whether somebody may operate the relay. An app key is for less.
func (r *Relay) isAdmin(who httpd.Caller) bool {
	return who.Key == "" && slices.Contains(r.terms().Admins, who.PubKey)
}

// mountOperation puts what an operator asks for into the listener.
func (r *Relay) mountOperation(door *httpd.Server) {
	rules := httpd.Rules{Allow: r.isAdmin, AnyHost: true}
	op := func(path, id, summary, text string, fails ...int) httpd.Operation {
		return httpd.Operation{
			Method: "POST", Path: path, ID: id, Group: "operator", Summary: summary, Text: text + " Only for the keys in relay.admins.", Fails: fails, Rules: rules,
		}
	}
	stream := func(path, kind string, do func(ctx context.Context, w http.ResponseWriter, body []byte) error) {
		door.Mount("POST "+path, rules, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			body := new(bytes.Buffer)
			if _, err := body.ReadFrom(req.Body); err != nil {
				http.Error(w, "the body did not come", http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Cache-Control", "no-store")
			out := &begun{w, false}
			if err := do(req.Context(), out, body.Bytes()); err != nil {
				r.Log.Warn("what the operator asked for was not done", "path", path, "err", err)
				if out.some {
					panic(http.ErrAbortHandler) // half an answer must not look whole
				}
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
		}))
	}
	type bytesOut struct {
		ContentType string `header:"Content-Type"`
		Body        []byte `contentType:"application/octet-stream"`
	}
	type backupAsked struct{ Body Have }
	httpd.Describe[backupAsked, bytesOut](door, op(BackupPath, "relayBackup", "A backup of what is stored now, a tar file", "What the body names is left out; MANIFEST.json, the last file, says what has to be there.", 400))
	stream(BackupPath, "application/x-tar", func(ctx context.Context, w http.ResponseWriter, body []byte) error {
		var had Have
		if len(body) > 0 {
			if err := json.Unmarshal(body, &had); err != nil {
				return err
			}
		}
		return r.Backup(ctx, w, had)
	})
	type exportAsked struct{ Body nostr.Filter }
	httpd.Describe[exportAsked, bytesOut](door, op(ExportPath, "relayExport", "The events that a filter finds, one a line", "In the order in which they came.", 400))
	stream(ExportPath, "application/jsonl", func(ctx context.Context, w http.ResponseWriter, body []byte) error {
		var f nostr.Filter
		if len(body) > 0 {
			if err := json.Unmarshal(body, &f); err != nil {
				return err
			}
		}
		_, err := r.Export(ctx, w, f)
		return err
	})
	r.mountImport(door, op(ImportPath, "relayImport", "Take events, one a line", "They are verified, and refused as if they came in by a connection.", 400, 503, 507))
	type saved struct {
		Body struct {
			Saved int64 `json:"saved" doc:"bytes"`
		}
	}
	httpd.Handle(door, op(CompactPath, "relayCompact", "Take what is deleted off the disk now", ""), func(context.Context, *struct{}) (*saved, error) {
		out := &saved{}
		var err error
		out.Body.Saved, err = r.Compact()
		return out, err
	})
}

func (r *Relay) mountImport(door *httpd.Server, op httpd.Operation) {
	type lines struct {
		RawBody []byte `contentType:"application/jsonl"`
	}
	type imported struct{ Body Imported }
	op.MaxBody = MaxImport
	httpd.Handle(door, op, func(ctx context.Context, in *lines) (*imported, error) {
		all, err := r.Import(ctx, bytes.NewReader(in.RawBody))
		switch {
		case errors.Is(err, eventlog.ErrFull):
			return nil, httpd.Fail(http.StatusInsufficientStorage, "%v; what came before is stored", err)
		case errors.Is(err, errClosing):
			return nil, httpd.Fail(http.StatusServiceUnavailable, "%v", err)
		}
		return &imported{all}, err
	})
}

// begun knows whether an answer has begun.
type begun struct {
	http.ResponseWriter
	some bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.some = true
	return b.ResponseWriter.Write(p)
}

// meters are those of the store, asked each time.
func (s *store) meters() []prometheus.Collector {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "infernet", Subsystem: "relay", Name: name, Help: help}, value)
	}
	stat := func(of func(eventlog.Stat) int64) func() float64 {
		return func() float64 { return float64(of(s.log.Stat())) }
	}
	return []prometheus.Collector{
		gauge("events_kept", "Events that are stored.", stat(func(s eventlog.Stat) int64 { return int64(s.Events) })),
		gauge("events_deleted", "Deleted events that are still on the disk.", stat(func(s eventlog.Stat) int64 { return int64(s.Deleted) })),
		gauge("segments", "Files of the log.", stat(func(s eventlog.Stat) int64 { return int64(s.Segments) })),
		gauge("log_bytes", "Bytes of the log.", stat(func(s eventlog.Stat) int64 { return s.Bytes })),
		gauge("disk_free_bytes", "Bytes that the log's disk has left.", func() float64 {
			if s.log.Dir == "" {
				return 0
			}
			return float64(eventlog.Free(s.log.Dir))
		}),
		gauge("disk_writable", "1 while events come to the disk, 0 since one did not.", func() float64 {
			if s.log.Well() != nil {
				return 0
			}
			return 1
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "infernet", Subsystem: "relay", Name: "disk_syncs_total", Help: "Syncs of the log's disk."},
			func() float64 { return float64(s.log.Syncs()) }),
	}
}
