package fleet

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"infernet/events"
	"infernet/internal/notify"
	"infernet/internal/store"
)

// Limits are beyond what an owner is told. Those that are 0 are not looked at.
type Limits struct {
	Hot      float64     // °C of a card
	Free     int64       // bytes on the disk where the node keeps its data
	Success  int         // percent of a day's jobs that are to be delivered
	Earnings events.Msat // of a day
}

// Alarms tells the owner when something at a running node goes wrong, once, and once when it is over. What wavers around a
// limit, or fails a single time, is told of neither. Which incidents have begun is in the outbox: they end after a restart, too.
type Alarms struct {
	Name   string                // the node's: an owner has several
	Limits func() Limits         // in force now
	Outbox func() *notify.Outbox // nil while it is not open: then nothing is judged
	Log    *slog.Logger

	mu      sync.Mutex
	open    map[string]bool // nil until it was read
	strikes map[string]int
	failed  []events.ID // that were told of, the newest
}

// Names of incidents; those of cards and models have what they are about behind them.
const (
	cardLost  = "gpu lost/"
	cardHot   = "gpu hot/"
	diskLow   = "disk"
	jobsFail  = "failing/"
	fewWell   = "success"
	fewEarned = "earnings"
)

// Patience: how often in a row something is seen before it is told.
const (
	twice    = 2
	fourfold = 4
)

// cooler is by how many °C a card has to be below its limit again before it is not hot any more.
const cooler = 5

// judge begins an incident that was seen bad often enough in a row, and ends one that is good again. What is neither stays.
func (a *Alarms) judge(incident string, bad, good bool, patience int, n notify.Notice, over string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	outbox := a.Outbox()
	if outbox == nil {
		return
	}
	if a.open == nil {
		all, err := outbox.Open()
		if err != nil {
			a.Log.Error("which incidents have begun is not known", "err", err)
			return
		}
		a.open, a.strikes = map[string]bool{}, map[string]int{}
		for _, name := range all {
			a.open[name] = true
		}
	}
	if !bad {
		delete(a.strikes, incident)
	} else if !a.open[incident] {
		a.strikes[incident]++
	}
	n.Incident = incident
	switch {
	case good && a.open[incident]:
		n = notify.Notice{Incident: incident, Over: true, Level: notify.Info, Title: over, Job: n.Job}
	case bad && !a.open[incident] && a.strikes[incident] >= patience:
	default:
		return
	}
	n.Title = cut(a.Name+": "+n.Title, 190)
	n.Text = cut(n.Text, 2000)
	if _, err := outbox.Tell(n); err != nil {
		a.Log.Error("the owner cannot be told", "incident", incident, "err", err)
		return // the next look tries again
	}
	delete(a.strikes, incident)
	if a.open[incident] = !n.Over; n.Over {
		delete(a.open, incident)
	}
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && text[end]&0xc0 == 0x80 { // not within a character
		end--
	}
	return text[:end] + "…"
}

// Sampled judges the machine: cards that are lost or hot, and room on the disk.
func (a *Alarms) Sampled(s Sample, cards []Card) {
	limits := a.Limits()
	for _, c := range cards {
		lost := slices.Contains(s.Lost, c.ID)
		a.judge(cardLost+c.ID, lost, !lost, twice, notify.Notice{
			Level: notify.Urgent, Title: c.Name + " is lost: it says nothing any more",
			Text: "The card " + c.ID + " was there when the node began. Jobs that need it fail, or run on the processor.",
		}, c.Name+" is back")
		for _, r := range s.Cards {
			if r.ID != c.ID || r.Celsius < 0 {
				continue
			}
			hot := limits.Hot > 0 && r.Celsius >= limits.Hot
			a.judge(cardHot+c.ID, hot, limits.Hot == 0 || r.Celsius < limits.Hot-cooler, twice, notify.Notice{
				Level: notify.Warning, Title: fmt.Sprintf("%s is hot: %.0f °C", c.Name, r.Celsius),
				Text: fmt.Sprintf("The limit is %.0f °C (provide.alert.hot).", limits.Hot),
			}, fmt.Sprintf("%s has cooled down: %.0f °C", c.Name, r.Celsius))
		}
	}
	if s.Free >= 0 {
		a.judge(diskLow, s.Free < limits.Free, s.Free >= limits.Free+limits.Free/10, 1, notify.Notice{
			Level: notify.Urgent, Title: fmt.Sprintf("the disk is nearly full: %d MiB are free", s.Free>>20),
			Text: fmt.Sprintf("The limit is %d MiB (provide.alert.free). A node that cannot write takes no money for what it cannot remember.", limits.Free>>20),
		}, fmt.Sprintf("the disk has room again: %d MiB", s.Free>>20))
	}
}

// Asked judges a part that the node needs, by the last time that it was asked how it is: the engine, the wallet, the relays.
func (a *Alarms) Asked(part string, err error) {
	n := notify.Notice{Level: notify.Urgent}
	if err != nil {
		n.Title, n.Text = part+": "+err.Error(), err.Error()
	}
	patience := twice
	if part == "relays" { // they come and go
		patience = fourfold
	}
	a.judge(part, err != nil, err == nil, patience, n, part+": well again")
}

// Ended judges a job that has come to its end: of jobs of one model that fail, the first is told, and the next that is delivered.
func (a *Alarms) Ended(j *store.Job) {
	switch {
	case Failed(j):
		a.mu.Lock()
		again := slices.Contains(a.failed, j.ID)
		if !again {
			a.failed = append(a.failed[max(0, len(a.failed)-999):], j.ID)
		}
		a.mu.Unlock()
		if !again {
			a.judge(jobsFail+j.Model, true, false, 1, notify.Notice{
				Level: notify.Warning, Job: j.ID, Title: "a job failed: " + j.End,
				Text: "Model " + j.Model + ". As long as its jobs fail, no other is told of.",
			}, "")
		}
	case j.End == "delivered":
		a.judge(jobsFail+j.Model, false, true, 1, notify.Notice{Job: j.ID}, "jobs of "+j.Model+" are delivered again")
	}
}

// fewest is how many jobs have to have ended before their share means something.
const fewest = 10

// Day judges the last 24 hours. whole says that the node is older than that.
func (a *Alarms) Day(s Sum, whole bool) {
	limits := a.Limits()
	if ended := s.Delivered + s.Failed; ended >= fewest || limits.Success == 0 {
		percent := 100 * s.Delivered / max(1, ended)
		a.judge(fewWell, limits.Success > 0 && percent < limits.Success, percent >= limits.Success, 1, notify.Notice{
			Level: notify.Warning, Title: fmt.Sprintf("only %d %% of the last day's jobs were delivered, %d of %d", percent, s.Delivered, ended),
			Text: fmt.Sprintf("The limit is %d %% (provide.alert.success).", limits.Success),
		}, fmt.Sprintf("%d %% of the last day's jobs were delivered", percent))
	}
	a.judge(fewEarned, whole && s.Paid < limits.Earnings, s.Paid >= limits.Earnings, 1, notify.Notice{
		Level: notify.Warning, Title: "the last day has earned " + s.Paid.Human(),
		Text: "The limit is " + limits.Earnings.Human() + " a day (provide.alert.earnings).",
	}, "the last day has earned "+s.Paid.Human())
}
