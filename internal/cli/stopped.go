package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"infernet/events"
	"infernet/internal/ledger"
)

// promise is a job that a node was paid for, and has not delivered.
type promise struct {
	job      events.ID
	deadline events.Unix // 0 if it cannot be read
}

// promises are the paid jobs in a node's ledger that have no end, the most urgent first.
func promises(ctx context.Context, l *ledger.Ledger, signer events.Signer) (all []promise, err error) {
	open, err := l.Unfinished(ledger.Provider)
	if err != nil || len(open) == 0 {
		return nil, err
	}
	claims, err := l.Claims()
	if err != nil {
		return nil, err
	}
	paid := map[events.ID]bool{}
	for _, job := range claims {
		paid[job] = true
	}
	for _, id := range open {
		if !paid[id] {
			continue
		}
		p := promise{job: id}
		kept, err := l.Events(id)
		if err != nil {
			return nil, err
		}
		for _, ev := range kept {
			if m, err := events.Open(ctx, ev, signer); err == nil {
				if req, ok := m.(*events.Request); ok {
					p.deadline = req.Deadline
				}
			}
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b promise) int { return int(a.deadline - b.deadline) })
	return all, nil
}

// tellPromises says what a node that is stopped still owes, and how long there is to go on with it.
func (a *app) tellPromises(l *ledger.Ledger, signer events.Signer) {
	ctx, cancel := context.WithTimeout(context.Background(), walletIn) // a bunker may be away
	defer cancel()
	all, err := promises(ctx, l, signer)
	if err != nil {
		a.log.Error("cannot read which paid jobs are unfinished", "err", err)
		return
	}
	if len(all) == 0 {
		return
	}
	var ids []string
	for _, p := range all {
		ids = append(ids, cutKey(string(p.job)))
	}
	what, they := "1 paid job is not finished", "it goes"
	if len(all) > 1 {
		what, they = fmt.Sprintf("%d paid jobs are not finished", len(all)), "they go"
	}
	a.tell("stopped", "%s: %s\n        %s on when the node starts again%s", what, short(strings.Join(ids, " "), 60), they, within(all[0].deadline, time.Now()))
}

// within says how much time there is until a deadline.
func within(deadline events.Unix, now time.Time) string {
	switch left := deadline.Time().Sub(now); {
	case deadline == 0:
		return ""
	case left <= 0:
		return ";\n        the deadline is over, what was paid is owed back"
	default:
		return fmt.Sprintf(" within %s (until %s);\n        else what was paid is owed back", left.Round(time.Second), deadline.Time().Local().Format(time.TimeOnly))
	}
}
