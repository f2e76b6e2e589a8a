package httpd

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// check is something that has to work for the process to be well.
type check struct {
	name string
	well func(ctx context.Context) error
}

// Check adds something that has to work to /healthz. It is asked each time and has two seconds.
func (s *Server) Check(name string, well func(ctx context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.checks = append(s.checks, check{name, well})
}

// Health is the answer of /healthz.
type Health struct {
	Status string   `json:"status" enum:"ok,leaving,failing" doc:"ok, leaving (the server is about to end) or failing"`
	Failed []string `json:"failed,omitempty" doc:"what does not work; the log says why"`
}

func (s *Server) serveHealth(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	s.mu.RLock()
	checks := s.checks
	s.mu.RUnlock()
	health, code := Health{Status: "ok"}, http.StatusOK
	for _, c := range checks {
		if err := c.well(ctx); err != nil {
			s.Log.Warn("not well", "check", c.name, "err", err)
			health, code = Health{Status: "failing", Failed: append(health.Failed, c.name)}, http.StatusServiceUnavailable
		}
	}
	select {
	case <-s.leaving:
		health.Status, code = "leaving", http.StatusServiceUnavailable
	default:
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(health)
}
