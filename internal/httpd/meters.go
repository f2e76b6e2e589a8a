package httpd

import (
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// meters count what goes through the door. They live in a registry of the server's own, with what is mounted.
type meters struct {
	registry *prometheus.Registry
	conns    prometheus.Gauge
	turned   prometheus.Counter
	flight   prometheus.Gauge
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	refused  *prometheus.CounterVec
	panics   prometheus.Counter
}

func newMeters() *meters {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "infernet", Subsystem: "http", Name: name, Help: help})
	}
	opts := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Namespace: "infernet", Subsystem: "http", Name: name, Help: help}
	}
	m := &meters{
		registry: prometheus.NewRegistry(),
		conns:    gauge("connections", "Connections that are open."),
		turned:   prometheus.NewCounter(opts("connections_refused_total", "Connections that were too many.")),
		flight:   gauge("requests_in_flight", "Requests, streams and WebSockets under way."),
		requests: prometheus.NewCounterVec(opts("requests_total", "Requests by route, method and status."), []string{"route", "method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "infernet", Subsystem: "http", Name: "request_seconds", Help: "How long requests took, but for streams and WebSockets.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 8),
		}, []string{"route"}),
		refused: prometheus.NewCounterVec(opts("refused_total", "Requests that no handler has seen, by status."), []string{"code"}),
		panics:  prometheus.NewCounter(opts("panics_total", "Handlers that panicked.")),
	}
	m.registry.MustRegister(m.conns, m.turned, m.flight, m.requests, m.seconds, m.refused, m.panics,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Registry is where what is mounted registers its own metrics, named infernet_….
func (s *Server) Registry() prometheus.Registerer { return s.meters.registry }

// Gauge adds a metric that is asked for each time: infernet_ and its name.
func (s *Server) Gauge(name, help string, value func() float64) {
	s.meters.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "infernet", Name: name, Help: help}, value))
}

// count counts a request once it is done. Labels come from what is mounted, never from what a stranger wrote.
func (a *answer) count(m *meters, mounted *mount, r *http.Request, began time.Time) {
	method := r.Method
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
	default:
		method = "other"
	}
	code := a.code
	switch {
	case code == 0 && a.hijacked:
		code = http.StatusSwitchingProtocols
	case code == 0:
		code = http.StatusOK
	}
	m.requests.WithLabelValues(mounted.route(), method, strconv.Itoa(code)).Inc()
	if !a.stream {
		m.seconds.WithLabelValues(mounted.route()).Observe(time.Since(began).Seconds())
	}
}

func (s *Server) metricsHandler() http.Handler {
	show := promhttp.HandlerFor(s.meters.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Metrics == "off" || s.Metrics == "local" && !Local(r) {
			s.refuse(w, r, nil, refusal(http.StatusForbidden,
				"metrics are for this machine only; its operator can set %s.metrics to all", s.Named))
			return
		}
		show.ServeHTTP(w, r)
	})
}

// Local says whether a request comes from this machine, and not through a proxy on it. A proxy that adds no header is
// not seen: it has to keep to itself what is for this machine, as /metrics.
func Local(r *http.Request) bool {
	for _, header := range []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"} {
		if r.Header.Get(header) != "" {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	return err == nil && net.ParseIP(host).IsLoopback()
}
