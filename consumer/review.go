package consumer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"infernet/consumer/choose"
	"infernet/events"
	"infernet/wallet"
)

// A review says what was measured of one job: it rates no taste. It is signed by the key that bought the job, or it would
// not count: who wants to be known by his reviews buys with a key of his own (Config.Signer).

// reviewIn is how long the relays have to take a review.
const reviewIn = 3 * time.Second

// reviewed writes a review's rating and words from what was measured.
func reviewed(o choose.Outcome, d *Delivery, err error) (rating int64, text string) {
	var facts []string
	if err != nil {
		return 1, "refused: " + err.Error()
	}
	rating = 5
	if o.Took > 0 {
		fact := fmt.Sprintf("delivered in %.1f s", o.Took.Seconds())
		if o.ETA > 0 {
			fact += fmt.Sprintf(", said were %.1f s", o.ETA.Seconds())
			if o.Took > 3*max(o.ETA, time.Second) {
				rating--
			}
		}
		facts = append(facts, fact)
	}
	if o.First > 0 {
		facts = append(facts, fmt.Sprintf("first token after %.2f s", o.First.Seconds()))
	}
	if o.Rate > 0 {
		facts = append(facts, fmt.Sprintf("%.1f tokens a second", o.Rate))
	}
	if d.Result.X != "" {
		facts = append(facts, "its hash is right")
	}
	if o.Paid > 0 && o.Said > 0 {
		facts = append(facts, fmt.Sprintf("paid %s, said were %s", o.Paid.Human(), o.Said.Human()))
		if float64(o.Paid) > 1.05*float64(o.Said.CeilSat()) {
			rating--
		}
	}
	return rating, strings.Join(facts, "; ")
}

// review publishes what was measured of the job, if its buyer wants that and its node has given a result: without one no
// review counts.
func (j *job) review(ctx context.Context, o choose.Outcome, d *Delivery, err error) {
	var bad *BadResultError
	if !j.c.Reviews || !j.req.Profile || err != nil && !errors.As(err, &bad) || j.mine().Result() == nil {
		return
	}
	rating, text := reviewed(o, d, err)
	if err := j.publish(ctx, rating, text); err != nil {
		j.c.Log.Warn("the review is not published", "job", j.req.ID, "err", err)
	}
}

// publish signs a review, keeps it, and hands it to the relays.
func (j *job) publish(ctx context.Context, rating int64, text string) error {
	m := &events.Review{
		Head: events.Head{At: events.At(j.c.Now())}, Job: j.req.ID, Node: j.node, Rating: rating, Role: "customer", JobKind: j.req.Kind, Text: text,
	}
	for _, receipt := range j.mine().Receipts {
		m.Receipt = receipt.ID
	}
	if invoice := j.invoice(); m.Receipt == "" && invoice != nil && j.preimage != (wallet.Preimage{}) && !j.sealed() { // a sealed result's preimage is its key
		m.Invoice, m.Preimage = invoice.ID, j.preimage.String()
	}
	for _, old := range j.said { // a newer one takes the place of an older
		if r, ok := old.(*events.Review); ok && r.At >= m.At {
			m.At = r.At + 1
		}
	}
	ev, err := events.Sign(ctx, m, j.signer)
	if err != nil {
		return err
	}
	if err := j.c.Ledger.Keep(j.req.ID, ev); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	j.said = append(j.said, m)
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), reviewIn)
	defer stop()
	return j.c.Pool.Publish(ctx, ev)
}

// ErrNoResult says that a job has no result that could be reviewed.
var ErrNoResult = errors.New("the job has no result, and a review of it would not count")

// Review publishes a review of a job of the ledger: of rating 1 to 5, or as was measured if it is 0.
func (c *Consumer) Review(ctx context.Context, id events.ID, rating int64, text string) (*events.Review, error) {
	j, err := c.recall(ctx, id, nil)
	if err != nil {
		return nil, fmt.Errorf("review job %s: %w", short(id), err)
	}
	if !j.req.Profile {
		return nil, errors.New("a plain job has no reviews")
	}
	found, err := c.Pool.Query(ctx, j.filter())
	if err != nil {
		return nil, fmt.Errorf("review job %s: ask the relays: %w", short(id), err)
	}
	for _, ev := range found {
		j.hear(ctx, ev)
	}
	at := j.mine()
	result := at.Result()
	if result == nil {
		return nil, ErrNoResult
	}
	o := choose.Outcome{Said: j.quote(), Paid: j.paid, Took: max(result.At.Time().Sub(j.req.At.Time()), time.Duration(result.Usage.Ms)*time.Millisecond)}
	if j.offer != nil {
		o.ETA = time.Duration(j.offer.ETA) * time.Millisecond
	}
	measured, facts := reviewed(o, &Delivery{Result: &events.Result{}}, nil) // its hash was looked at when it came
	if rating == 0 {
		rating = measured
	}
	if text == "" {
		text = facts
	}
	if err := j.publish(ctx, rating, text); err != nil {
		return nil, fmt.Errorf("review job %s: %w", short(id), err)
	}
	return j.said[len(j.said)-1].(*events.Review), nil
}
