package events

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
)

// Msat is an amount of money in millisatoshi: a thousandth of a satoshi, 10^-11 bitcoin.
type Msat int64

// Sat is one satoshi, the smallest amount that Lightning routes.
const Sat Msat = 1000

// MaxMsat is the largest amount that travels: 2^53−1, so that JavaScript reads it exactly.
const MaxMsat Msat = 1<<53 - 1

// ErrAmount says that a sum of money does not fit into MaxMsat.
var ErrAmount = errors.New("amount above 9007199254740991 msat")

// ParseMsat reads an amount as it travels: decimal, no sign, no leading zero, at most MaxMsat.
func ParseMsat(s string) (Msat, error) {
	n, err := parseNumber(s)
	return Msat(n), err
}

// CeilSat rounds up to a whole satoshi, at least one: what a bolt11 invoice can ask for. Zero stays zero.
func (m Msat) CeilSat() Msat {
	if m <= 0 {
		return 0
	}
	return (m + Sat - 1) / Sat * Sat
}

// String is the amount as it travels: decimal msat.
func (m Msat) String() string { return strconv.FormatInt(int64(m), 10) }

// Human is the amount for people: "42 sat", "0.25 sat".
func (m Msat) Human() string {
	if m%Sat == 0 {
		return fmt.Sprintf("%d sat", m/Sat)
	}
	return strconv.FormatFloat(float64(m)/float64(Sat), 'f', -1, 64) + " sat"
}

// Usage is what a job used or will use, in its kind's units (tokens for text) and milliseconds of work.
type Usage struct {
	In  int64
	Out int64
	Ms  int64
}

// Price is what a model costs: a base, and msat for each 1000 units in, units out and milliseconds of work.
type Price struct {
	Base Msat `json:"base"`
	In   Msat `json:"in"`
	Out  Msat `json:"out"`
	Ms   Msat `json:"ms,omitempty"`
}

// Free says whether nothing is ever owed under p.
func (p Price) Free() bool { return p == Price{} }

// Cost is base + ceil(in × p/1000) + ceil(out × p/1000) + ceil(ms × p/1000), times percent/100, rounded up once.
// percent 100 is the normal priority. It is exact; ErrAmount if the sum is above MaxMsat.
func (p Price) Cost(u Usage, percent int) (Msat, error) {
	if p.Base < 0 || percent < 0 {
		return 0, fmt.Errorf("price %+v at %d percent: negative", p, percent)
	}
	sum := uint64(p.Base)
	for _, part := range [...]struct {
		units int64
		price Msat
	}{{u.In, p.In}, {u.Out, p.Out}, {u.Ms, p.Ms}} {
		if part.units < 0 || part.price < 0 {
			return 0, fmt.Errorf("price %+v of %+v: negative", p, u)
		}
		cost, err := mulDivCeil(uint64(part.units), uint64(part.price), 1000)
		if err != nil {
			return 0, err
		}
		if sum += cost; sum > uint64(MaxMsat) {
			return 0, ErrAmount
		}
	}
	total, err := mulDivCeil(sum, uint64(percent), 100)
	if err != nil || total > uint64(MaxMsat) {
		return 0, ErrAmount
	}
	return Msat(total), nil
}

// mulDivCeil is ceil(a × b / d) without overflow on the way.
func mulDivCeil(a, b, d uint64) (uint64, error) {
	hi, lo := bits.Mul64(a, b)
	if hi >= d {
		return 0, ErrAmount
	}
	q, rem := bits.Div64(hi, lo, d)
	if rem > 0 {
		q++
	}
	if q > uint64(MaxMsat) {
		return 0, ErrAmount
	}
	return q, nil
}

// The priorities a request may ask for, and what they multiply the price with, in percent.
var Priorities = map[string]int{"low": 80, "normal": 100, "high": 150}
