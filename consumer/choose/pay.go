package choose

import (
	"fmt"

	"infernet/events"
)

// Stake is what a buyer puts at risk, for one job, at a node that it does not know.
const Stake = 100 * events.Sat

// worth is how many times the stake a node has earned that always delivered.
const worth = 10

// Risk is what the choice of a way to pay depends on.
type Risk struct {
	Most   events.Msat // the job may cost so much
	Stake  events.Msat // Stake if unset
	Stream bool        // the answer is wanted while it is made
	Known  Measured    // of the node that does it; nothing where several may offer
}

// Payment is how a job is to be paid, preferred first, and why in words.
type Payment struct {
	Ways []string
	Why  string
	Safe bool // nothing may be paid in advance
}

// Pay is the rule by which a way to pay is chosen, where the buyer names none. It weighs what can be lost. Sealed loses
// nothing: what is paid for is there already; but it cannot be streamed. Locked money (hold) comes back when a node crashes
// or vanishes, and is lost to a thief only. What is paid in advance is lost to a crash, too; but it is the quickest, and
// every node takes it. So
//
//   - a job that can cost no more than the stake is paid in advance, if the node takes that, else locked or sealed;
//   - at a node that did 3 or more jobs here, none of which failed, so is one of up to ten times the stake;
//   - above that nothing is paid in advance: a job is sealed, or locked; one that is streamed is locked;
//   - at a node that lied before it is sealed, whatever it costs.
func Pay(r Risk) Payment {
	stake := r.Stake
	if stake <= 0 {
		stake = Stake
	}
	known := r.Known.Jobs >= own && r.Known.Failed < 0.005
	most := "up to " + r.Most.Human() + " can be lost"
	switch {
	case r.Most == 0:
		return Payment{Why: "it is free"}
	case r.Known.caught():
		return Payment{Ways: []string{events.PaySealed}, Safe: true, Why: "the node lied before: the result first, then the money"}
	case r.Most <= stake:
		return Payment{Ways: []string{events.PayPrepaid, events.PayHold, events.PaySealed}, Why: most + ", no more than the stake of " + stake.Human()}
	case known && r.Most <= worth*stake:
		return Payment{
			Ways: []string{events.PayPrepaid, events.PayHold, events.PaySealed},
			Why:  fmt.Sprintf("%s, and the node did %d jobs here that went well: %d times the stake of %s", most, r.Known.Jobs, worth, stake.Human()),
		}
	case r.Stream:
		return Payment{Ways: []string{events.PayHold}, Safe: true, Why: most + ", more than the stake of " + stake.Human() + "; streamed, so not sealed: locked, and back if it fails"}
	}
	return Payment{Ways: []string{events.PaySealed, events.PayHold}, Safe: true, Why: most + ", more than the stake of " + stake.Human() + ": the result first, or locked money"}
}

// Of says why an offer's way to pay is taken.
func (p Payment) Of(way string) string {
	if way == events.PayFree || way == "" {
		return ""
	}
	return "paid by " + way + ", because " + p.Why
}
