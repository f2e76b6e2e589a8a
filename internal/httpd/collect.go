package httpd

import "github.com/prometheus/client_golang/prometheus"

// Collect adds a metric with labels, infernet_ and its name, that is asked for each time: read adds each value with its
// labels. It is a counter if its name ends in _total, and a gauge otherwise. Labels are to be few, and never a stranger's.
func (s *Server) Collect(name, help string, labels []string, read func(add func(value float64, labels ...string))) {
	kind := prometheus.GaugeValue
	if len(name) > 6 && name[len(name)-6:] == "_total" {
		kind = prometheus.CounterValue
	}
	s.meters.registry.MustRegister(&collected{prometheus.NewDesc("infernet_"+name, help, labels, nil), kind, read})
}

// collected is a metric that is asked for each time.
type collected struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(add func(value float64, labels ...string))
}

func (c *collected) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

func (c *collected) Collect(to chan<- prometheus.Metric) {
	c.read(func(value float64, labels ...string) {
		if m, err := prometheus.NewConstMetric(c.desc, c.kind, value, labels...); err == nil {
			to <- m
		}
	})
}
