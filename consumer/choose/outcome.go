package choose

import (
	"time"

	"infernet/events"
)

// Outcome is how one try at one node ended, as its buyer measured it.
type Outcome struct {
	Node   events.PubKey
	Model  string // that was agreed on; "" if none was
	At     time.Time
	Failed string        // how; "" if it delivered, or only gave nothing for a while
	Lied   bool          // the failure is a wrong invoice or result
	Silent time.Duration // it gave nothing for so long, and was not waited for any longer
	First  time.Duration // from the award to the first token; 0 if not known
	Rate   float64       // tokens a second; 0 if not known
	Said   events.Msat   // what the job was to cost, by its offer or its announcement
	Paid   events.Msat
	ETA    time.Duration // from the award to the result, as its offer said; 0 if it did not
	Took   time.Duration // and as it was
}
