package choose

import (
	"slices"
	"strings"
	"testing"

	"infernet/events"
)

// TestPayWeighsWhatCanBeLost goes through the rule: what may be lost, to whom, and whether it is streamed.
func TestPayWeighsWhatCanBeLost(t *testing.T) {
	well, poor, few := Measured{Jobs: 3}, Measured{Jobs: 30, Failed: 0.05}, Measured{Jobs: 2}
	liar := Measured{Jobs: 30, Lied: 1}
	all := []string{events.PayPrepaid, events.PayHold, events.PaySealed}
	safe := []string{events.PaySealed, events.PayHold}
	for name, c := range map[string]struct {
		Risk
		want []string
		says string
	}{
		"free":                       {Risk{}, nil, "free"},
		"the stake":                  {Risk{Most: Stake}, all, "no more than the stake of 100 sat"},
		"more":                       {Risk{Most: Stake + 1}, safe, "up to 100.001 sat can be lost, more than the stake of 100 sat"},
		"more, streamed":             {Risk{Most: Stake + 1, Stream: true}, []string{events.PayHold}, "not sealed"},
		"another stake":              {Risk{Most: Stake, Stake: 99 * events.Sat}, safe, "99 sat"},
		"a stake of one":             {Risk{Most: events.Sat, Stake: events.Sat}, all, ""},
		"a known node":               {Risk{Most: 10 * Stake, Known: well, Stream: true}, all, "3 jobs here that went well"},
		"a known node, but too much": {Risk{Most: 10*Stake + 1, Known: well}, safe, "1000.001 sat"},
		"one that failed":            {Risk{Most: 2 * Stake, Known: poor}, safe, "the result first"},
		"one that is hardly known":   {Risk{Most: 2 * Stake, Known: few}, safe, ""},
		"a liar":                     {Risk{Most: events.Sat, Known: liar}, []string{events.PaySealed}, "lied before"},
	} {
		got := Pay(c.Risk)
		if !slices.Equal(got.Ways, c.want) || !strings.Contains(got.Why, c.says) || got.Safe == (slices.Contains(got.Ways, events.PayPrepaid) || c.Most == 0) {
			t.Errorf("%s: %+v, want %v and %q", name, got, c.want, c.says)
		}
	}
	if got := Pay(Risk{Most: Stake}).Of(events.PayHold); got != "paid by hold, because up to 100 sat can be lost, no more than the stake of 100 sat" {
		t.Error(got)
	}
	if got := Pay(Risk{}).Of(events.PayFree); got != "" {
		t.Error(got)
	}
}
