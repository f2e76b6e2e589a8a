package testnet

import (
	"fmt"
	"testing"
	"time"

	"infernet/events"
)

// TestWrongClocks has one party's clock off by five minutes. What is signed in the future is refused and what is long
// past is over, so a job may find nobody; but what is paid is delivered, and the books agree. The clock is set right
// before the customer looks again.
func TestWrongClocks(t *testing.T) {
	for _, pay := range []string{events.PayPrepaid, events.PaySealed, events.PayHold} {
		for _, role := range []string{"relay", "bank", "provider", "consumer"} {
			for _, skew := range []time.Duration{-5 * time.Minute, 5 * time.Minute} {
				t.Run(fmt.Sprintf("%s %s %s", pay, role, skew), func(t *testing.T) {
					t.Parallel()
					m := startParties(t, fault{Pay: pay}, func(of string, p *process) {
						if of == role {
							p.Skew = skew
						}
						if p.Order != nil {
							p.Order.Life, p.Order.Window = 8*time.Second, 3*time.Second
						}
					})
					m.order()
					m.all[role].change(func(own *process) { own.Skew = 0 })
					if role != "consumer" {
						m.kill(role) // it is started again
					}
					for try := 0; try < 8 && !m.over(); try++ {
						resume := m.taken()
						m.all["consumer"].change(func(own *process) { own.Resume = resume })
						m.order()
					}
					if !m.over() {
						t.Fatalf("the job has no end: %+v", m.jobs())
					}
					t.Logf("delivered: %v, it ended with %q", m.check(), m.jobs()[0].End)
				})
			}
		}
	}
}
