package provider

import (
	"testing"
	"time"

	"infernet/events"
)

func TestPricesFollowTheClock(t *testing.T) {
	night, err := ParseWindow("22:00-06:00", "UTC")
	if err != nil {
		t.Fatal(err)
	}
	y := Policy{
		Price: events.Price{Base: 1000, In: 20_001, Out: 60_000, Ms: 3}, Prices: map[string]events.Price{"dear": {Base: 5000}},
		Times: []PriceTime{{night, 50}}, Percent: map[string]int{"high": 300}, Minimum: 2000,
	}
	if err := y.Check(); err != nil {
		t.Fatal(err)
	}
	noon, midnight := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC), time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		model string
		at    time.Time
		want  events.Price
	}{
		{"any", noon, events.Price{Base: 1000, In: 20_001, Out: 60_000, Ms: 3}},
		{"any", midnight, events.Price{Base: 500, In: 10_001, Out: 30_000, Ms: 2}}, // rounded up
		{"dear", noon, events.Price{Base: 5000}},
		{"dear", midnight, events.Price{Base: 2500}},
	} {
		if got := y.price(c.model, c.at); got != c.want {
			t.Errorf("%s at %s costs %+v, want %+v", c.model, c.at, got, c.want)
		}
	}
	for priority, want := range map[string]int{"high": 300, "low": 80, "normal": 100, "": 100} {
		if got := y.percent(&events.Request{Priority: priority}); got != want {
			t.Errorf("%q is %d percent, want %d", priority, got, want)
		}
		if got := (&events.Market{Percent: y.Percent}).PercentOf(priority); got != want {
			t.Errorf("announced, %q is %d percent, want %d", priority, got, want)
		}
	}
	terms := terms{Price: events.Price{Base: 1}, Percent: 100, Minimum: 2000}
	if cost, err := terms.cost(events.Usage{}); err != nil || cost != 2000 {
		t.Errorf("the least is %d, %v", cost, err)
	}
	terms.Price = events.Price{}
	if cost, err := terms.cost(events.Usage{In: 9}); err != nil || cost != 0 {
		t.Errorf("what is free costs %d, %v", cost, err)
	}
}

func TestPoliciesThatAreWrong(t *testing.T) {
	for name, y := range map[string]Policy{
		"a negative price":  {Price: events.Price{In: -1}},
		"too dear":          {Prices: map[string]events.Price{"m": {Out: events.MaxMsat + 1}}},
		"no such priority":  {Percent: map[string]int{"urgent": 200}},
		"for nothing":       {Percent: map[string]int{"high": 0}},
		"a negative limit":  {Limits: map[string]Limit{"m": {Slots: -1}}},
		"too much work":     {Work: 65},
		"a negative quota":  {Quota: Quota{Jobs: -1}},
		"a negative least":  {Minimum: -1},
		"hours for a crazy": {Times: []PriceTime{{Percent: 1 << 30}}},
	} {
		if err := y.Check(); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// TestPaceIsLearned holds what time-priced jobs are quoted by.
func TestPaceIsLearned(t *testing.T) {
	c := newPace()
	if _, sure := c.job(); sure {
		t.Error("sure of what was never done")
	}
	for range 50 {
		c.learn("m", events.Usage{In: 100, Out: 100}, 4*time.Second) // 20 ms a unit
	}
	if took, sure := c.job(); !sure || took < 3900*time.Millisecond || took > 4*time.Second {
		t.Errorf("a job takes %s", took)
	}
	if most := c.most("m", events.Usage{In: 50, Out: 50}); most < 3900 || most > 4000 {
		t.Errorf("100 units are paid for up to %d ms, want twice 2000", most)
	}
	if most := c.most("unknown", events.Usage{Out: 10}); most != 2*10*untoldMs {
		t.Errorf("an unknown model: %d ms", most)
	}
}

// TestGiftsAreBounded counts what is given away, for each key and for all.
func TestGiftsAreBounded(t *testing.T) {
	c, now := newCustomers(), time.Date(2026, 11, 25, 23, 0, 0, 0, time.UTC)
	q := Quota{Jobs: 2, All: 3}
	a, b := events.PubKey("a"), events.PubKey("b")
	got := []bool{c.gift(a, q, now), c.gift(a, q, now), c.gift(a, q, now), c.gift(b, q, now), c.gift(b, q, now)}
	if want := []bool{true, true, false, true, false}; !equal(got, want) {
		t.Errorf("given %v, want %v", got, want)
	}
	c.regain(a)
	if !c.gift(b, q, now) {
		t.Error("what was not used is not given to another")
	}
	if !c.gift(a, q, now.Add(2*time.Hour)) {
		t.Error("nothing on the next day")
	}
	if c.gift(b, Quota{Jobs: 1, Keys: []events.PubKey{a}}, now.Add(2*time.Hour)) {
		t.Error("given to a key that is not named")
	}
	for i := range maxTold + 5 {
		if told := c.tell(a, now); told != (i < maxTold) {
			t.Fatalf("refusal %d is told: %t", i, told)
		}
	}
	if !c.tell(b, now) || !c.tell(a, now.Add(time.Minute)) {
		t.Error("another key, or the next minute, is not told")
	}
}

func equal(a, b []bool) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}
