package relay

import (
	"context"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/prometheus/client_golang/prometheus"
)

// meters count what the relay does, for /metrics. Labels are few and fixed: nothing that a client writes makes one.
type meters struct {
	sessions  prometheus.Gauge
	opened    prometheus.Counter
	dropped   prometheus.Counter
	subs      prometheus.Gauge
	received  prometheus.Counter
	refused   *prometheus.CounterVec
	stored    prometheus.Counter
	ephemeral prometheus.Counter
	again     prometheus.Counter
	delivered *prometheus.CounterVec
	live      prometheus.Counter // of delivered: as they came
	old       prometheus.Counter // of delivered: from the store
	seconds   *prometheus.HistogramVec
}

func newMeters() *meters {
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "infernet", Subsystem: "relay", Name: name, Help: help}
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts(opts(name, help)))
	}
	counter := func(name, help string) prometheus.Counter { return prometheus.NewCounter(opts(name, help)) }
	m := &meters{
		sessions:  gauge("connections", "WebSocket connections that are open."),
		opened:    counter("connections_opened_total", "WebSocket connections that were opened."),
		dropped:   counter("connections_dropped_total", "Connections that were dropped: they did not read."),
		subs:      gauge("subscriptions", "Subscriptions that are open."),
		received:  counter("events_received_total", "Events that came in."),
		refused:   prometheus.NewCounterVec(opts("events_refused_total", "Events that were refused, by the prefix of the reason."), []string{"reason"}),
		stored:    counter("events_stored_total", "Events that came to the disk."),
		ephemeral: counter("events_ephemeral_total", "Events that were handed on, and are on no disk."),
		again:     counter("events_duplicate_total", "Events that the relay had."),
		delivered: prometheus.NewCounterVec(opts("events_delivered_total", "Events that were queued for a subscriber, as they came (live) or from the store."), []string{"from"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "infernet", Subsystem: "relay", Name: "event_seconds",
			Help:    "Time from an event's arrival until it was queued for its subscribers (delivered) and until it was on the disk (stored).",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
		}, []string{"until"}),
	}
	m.live, m.old = m.delivered.WithLabelValues("live"), m.delivered.WithLabelValues("store")
	for _, prefix := range append(prefixes, "other") { // a rate needs a first zero
		m.refused.WithLabelValues(prefix)
	}
	return m
}

// prefixes are the machine-readable reasons of an OK false (NIP-01, NIP-13, NIP-42).
var prefixes = []string{"invalid", "blocked", "pow", "rate-limited", "auth-required", "restricted", "error"}

func (m *meters) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.sessions, m.opened, m.dropped, m.subs, m.received, m.refused, m.stored, m.ephemeral, m.again, m.delivered, m.seconds,
	}
}

// answered counts what an OK says of an event that came in at came.
func (m *meters) answered(ev *nostr.Event, came time.Time, ok bool, reason string) {
	prefix, _, _ := strings.Cut(reason, ":")
	switch {
	case ok && prefix == "duplicate":
		m.again.Inc()
	case ok && nostr.IsEphemeralKind(ev.Kind):
		m.ephemeral.Inc()
	case ok:
		m.stored.Inc()
		m.took("stored", came)
	default:
		for _, known := range prefixes {
			if prefix == known {
				m.refused.WithLabelValues(prefix).Inc()
				return
			}
		}
		m.refused.WithLabelValues("other").Inc()
	}
}

// took notes how long an event took until it was somewhere.
func (m *meters) took(until string, came time.Time) {
	if came.IsZero() { // it came in by no connection
		return
	}
	m.seconds.WithLabelValues(until).Observe(time.Since(came).Seconds())
}

type cameKey struct{}

// withCame notes when an event came in.
func withCame(ctx context.Context, at time.Time) context.Context {
	return context.WithValue(ctx, cameKey{}, at)
}

func came(ctx context.Context) time.Time {
	at, _ := ctx.Value(cameKey{}).(time.Time)
	return at
}
