package cli

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"infernet/relay"
)

// liveRelay are the settings of a relay that are read again on SIGHUP. The certificate's files are read by themselves when they
// change.
var liveRelay = []string{
	"relay.name", "relay.private_jobs", "relay.connections", "relay.connections_each", "relay.admins", "relay.writers", "relay.kinds",
	"relay.rate", "relay.rate_key", "relay.rate_address", "relay.work", "relay.work_from", "relay.offer_work", "log.level",
}

// logLevel is the setting log.level.
func (s *settings) logLevel() (level slog.Level, err error) {
	level = slog.LevelWarn
	if level.UnmarshalText([]byte(s.text("log.level"))) != nil {
		level = slog.LevelWarn
		err = s.mend("log.level", usage("log.level (from %s): %q is none of debug, info, warn, error", s.source["log.level"], s.text("log.level")))
	}
	return level, err
}

// reloadOnHangup reads the settings again at each SIGHUP, until ctx ends. Settings that are wrong change nothing.
func (a *app) reloadOnHangup(ctx context.Context, r *relay.Relay) {
	held := a.settings // others read a.settings meanwhile: it stays as it is
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hangup)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
				held = a.reload(r, held)
			}
		}
	}()
}

// reload takes over what has changed in the settings of the relay since those that hold, and gives those that hold then.
func (a *app) reload(r *relay.Relay, held *settings) *settings {
	fresh, err := a.again()
	if err == nil {
		err = fresh.check()
	}
	level, wrong := slog.LevelWarn, error(nil)
	if err == nil {
		level, wrong = fresh.logLevel()
		err = wrong
	}
	var config relay.Config
	var now, later []string
	if err == nil {
		for _, k := range table {
			if k.name != "log.level" && !strings.HasPrefix(k.name, "relay.") || fresh.text(k.name) == held.text(k.name) {
				continue
			}
			if slices.Contains(liveRelay, k.name) {
				now = append(now, k.name)
			} else {
				later = append(later, k.name)
			}
		}
		next := &app{IO: a.IO, log: a.log, settings: held.with(fresh, now)}
		if config, err = next.relayConfig(); err == nil {
			held = next.settings
			a.level.Set(level)
			r.Reload(config)
		}
	}
	switch {
	case err != nil:
		_, message, _ := explain(err, a.args)
		a.tell("reload ", "nothing is changed: %s", message)
	case len(now)+len(later) == 0:
		a.tell("reload ", "nothing has changed in %s", held.file)
	}
	for _, name := range now {
		a.tell("reload ", "%s = %s", name, or(held.text(name), `""`))
	}
	for _, name := range later {
		a.tell("reload ", "%s counts at the next start; it stays %s", name, or(held.text(name), `""`))
	}
	return held
}

// with are the settings with some of others in them.
func (s *settings) with(fresh *settings, names []string) *settings {
	c := *s
	c.values, c.source = maps.Clone(s.values), maps.Clone(s.source)
	for _, name := range names {
		c.put(name, fresh.text(name), fresh.source[name])
	}
	return &c
}
