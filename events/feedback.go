package events

import (
	"fmt"
	"strings"

	"github.com/nbd-wtf/go-nostr"
)

// Steps: which message a kind 7000 is.
const (
	stepOffer    = "offer"
	stepAward    = "award"
	stepInvoice  = "invoice"
	stepRunning  = "running"
	stepProgress = "progress"
	stepRefusal  = "refusal"
	stepReceipt  = "receipt"

	stepStatement = "statement"
)

// Statuses of NIP-90.
const (
	statusPaymentRequired = "payment-required"
	statusProcessing      = "processing"
	statusError           = "error"
	statusSuccess         = "success"
	statusPartial         = "partial"
)

// parseFeedback reads a kind 7000, or a kind 21999 that is no chunk. Without a step it is a plain NIP-90 party's.
func parseFeedback(r *reader) (Message, error) {
	status, text := r.status()
	if !r.has("step") {
		return parsePlainFeedback(r, status, text)
	}
	switch step := r.text("step"); step {
	case stepOffer:
		return parseOffer(r, status)
	case stepAward:
		return parseAward(r, status)
	case stepInvoice:
		return parseInvoice(r, status)
	case stepRunning, stepProgress:
		return parseRunning(r, status, step)
	case stepRefusal:
		return parseRefusal(r, status, text)
	case stepReceipt:
		return parseReceipt(r, status)
	case stepStatement:
		return parseStatement(r, status)
	default:
		return nil, fmt.Errorf("tag %q: %s is unknown", "step", quote(step))
	}
}

// parsePlainFeedback reads what plain NIP-90 providers say: a price is an offer, an error a refusal, processing means
// it runs. Everything else is a notice.
func parsePlainFeedback(r *reader, status, text string) (Message, error) {
	if text == "" {
		text = r.ev.Content
	}
	h, job, to, encrypted := r.head(), r.needID("e"), r.key("p"), r.has("encrypted")
	switch status {
	case statusPaymentRequired:
		amount, bolt11 := r.amount(false)
		return &Offer{Head: h, Job: job, To: to, Plain: true, Amount: amount, Cap: amount, Bolt11: bolt11, Text: text, Encrypted: encrypted}, r.err
	case statusError:
		m := refusal(h, job, to, text)
		m.Encrypted = encrypted
		return m, r.err
	case statusProcessing:
		return &Running{Head: h, Job: job, To: to, Plain: true, Text: text, Encrypted: encrypted}, r.err
	}
	return &Notice{Head: h, Job: job, To: to, Status: status, Text: text}, r.err
}

// expect checks that a step has the status that plain clients need to see.
func (r *reader) expect(status, want string) {
	if status != want {
		r.fail("tag %q is %s, this step has %s", "status", quote(status), want)
	}
}

func feedback(h Head, job ID, to PubKey, status, step string) *writer {
	w := write(KindFeedback, h)
	w.tag("e", string(job))
	w.tag("p", string(to))
	w.tag("status", status)
	w.text("step", step)
	return w
}

// Offer says what a job would cost at one node (7000). A plain provider's payment-required is one too: there, paying
// its bolt11 is the award.
type Offer struct {
	Head
	Job       ID
	To        PubKey // the customer
	Amount    Msat   // what is paid if all goes as quoted
	Cap       Msat   // the most that can be paid
	Model     string
	ETA       int64 // milliseconds from the award to the result, expected
	Until     Unix  // the offer holds until then
	Delivery  string
	Pay       string // one of the ways to pay
	Encrypted bool

	Plain  bool   // of a node that does not speak this profile
	Bolt11 string // plain only
	Text   string // human words; plain only
}

// How a result comes, as the `delivery` tag names it.
const (
	DeliverPlain     = "plain"
	DeliverEncrypted = "encrypted"
	DeliverSealed    = "sealed"
)

// About is the job's id.
func (m *Offer) About() ID { return m.Job }

func (m *Offer) Event() *nostr.Event {
	if m.Plain {
		w := write(KindFeedback, m.Head)
		w.tag("e", string(m.Job))
		w.text("p", string(m.To))
		w.tag("status", statusPaymentRequired)
		w.amount(m.Amount, m.Bolt11)
		w.ev.Content = m.Text
		return w.end(m.Head, m.Encrypted)
	}
	w := feedback(m.Head, m.Job, m.To, statusPaymentRequired, stepOffer)
	w.amount(m.Amount, "")
	w.tag("cap", m.Cap.String())
	w.text("model", m.Model)
	w.number("eta", m.ETA)
	w.number("until", int64(m.Until))
	w.text("delivery", m.Delivery)
	w.text("pay", m.Pay)
	return w.end(m.Head, m.Encrypted)
}

func parseOffer(r *reader, status string) (Message, error) {
	r.expect(status, statusPaymentRequired)
	m := &Offer{
		Head: r.head(), Job: r.needID("e"), To: r.needKey("p"),
		Model: r.text("model"), ETA: r.number("eta"), Until: r.needMoment("until"),
		Delivery: r.oneOf("delivery", r.needText("delivery"), DeliverPlain, DeliverEncrypted, DeliverSealed),
		Pay:      r.oneOf("pay", r.needText("pay"), PayFree, PayPrepaid, PayHold, PaySealed, PayCredit, PayZap),
		Cap:      Msat(r.needNumber("cap")), Encrypted: r.has("encrypted"),
	}
	m.Amount, _ = r.amount(true)
	if m.Cap < m.Amount {
		r.fail("cap %s is below amount %s", m.Cap, m.Amount)
	}
	if (m.Pay == PayFree) != (m.Cap == 0) {
		r.fail("pay %s with cap %s", m.Pay, m.Cap)
	}
	return m, r.err
}

// Codes of refusals.
const (
	CodeUnderbid         = "UNDERBID"
	CodeRateLimited      = "RATE_LIMITED"
	CodeUnsupportedModel = "UNSUPPORTED_MODEL"
	CodeUnavailable      = "UNAVAILABLE"
	CodeInvalidParameter = "INVALID_PARAMETER"
	CodeTooLarge         = "TOO_LARGE"
	CodePriceChanged     = "PRICE_CHANGED"
	CodeExpired          = "EXPIRED"
	CodePOW              = "POW"
	CodeDenied           = "DENIED"
	CodeConflict         = "CONFLICT"
	CodeInsufficient     = "INSUFFICIENT"
)

// Refusal says why a node does not do what was addressed to it, or that it failed (7000). As an error it reads
// "CODE: text".
type Refusal struct {
	Head
	Job       ID
	To        PubKey // the customer
	Code      string // "" from plain providers
	Text      string
	Owed      Msat // what the node owes back after its own failure
	Encrypted bool
}

// About is the job's id.
func (m *Refusal) About() ID { return m.Job }

func (m *Refusal) Error() string {
	if m.Code == "" {
		return m.Text
	}
	return m.Code + ": " + m.Text
}

func (m *Refusal) Event() *nostr.Event {
	w := write(KindFeedback, m.Head)
	w.tag("e", string(m.Job))
	w.text("p", string(m.To))
	w.tag("status", statusError, m.Error())
	if m.Code != "" && m.To != "" { // else it is a plain provider's
		w.tag("step", stepRefusal)
	}
	w.number("owed", int64(m.Owed))
	return w.end(m.Head, m.Encrypted)
}

func parseRefusal(r *reader, status, text string) (Message, error) {
	r.expect(status, statusError)
	m := refusal(r.head(), r.needID("e"), r.needKey("p"), text)
	m.Owed = Msat(r.number("owed"))
	m.Encrypted = r.has("encrypted")
	if m.Code == "" {
		r.fail("tag %q: %s is not CODE: text", "status", quote(text))
	}
	return m, r.err
}

func refusal(h Head, job ID, to PubKey, text string) *Refusal {
	m := &Refusal{Head: h, Job: job, To: to, Text: text}
	code, rest, ok := strings.Cut(text, ": ")
	if ok && code != "" && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == "" {
		m.Code, m.Text = code, rest
	}
	return m
}

// Award says whose offer the customer takes (7000). Always clear.
type Award struct {
	Head
	Job    ID
	Offer  ID
	Node   PubKey
	Amount Msat
	Until  Unix // the node must have answered by then
}

// About is the job's id.
func (m *Award) About() ID { return m.Job }

func (m *Award) Event() *nostr.Event {
	w := feedback(m.Head, m.Job, m.Node, statusProcessing, stepAward)
	w.tag("offer", string(m.Offer))
	w.amount(m.Amount, "")
	w.number("until", int64(m.Until))
	return w.end(m.Head, false)
}

func parseAward(r *reader, status string) (Message, error) {
	r.expect(status, statusProcessing)
	m := &Award{
		Head: r.head(), Job: r.needID("e"), Offer: r.needID("offer"), Node: r.needKey("p"), Until: r.needMoment("until"),
	}
	m.Amount, _ = r.amount(true)
	if r.has("encrypted") {
		r.fail("an award is always clear")
	}
	return m, r.err
}

// Invoice asks for payment of an awarded job (7000).
type Invoice struct {
	Head
	Job       ID
	To        PubKey // the customer
	Amount    Msat
	Bolt11    string
	Pay       string
	Until     Unix
	Encrypted bool
}

// About is the job's id.
func (m *Invoice) About() ID { return m.Job }

func (m *Invoice) Event() *nostr.Event {
	w := feedback(m.Head, m.Job, m.To, statusPaymentRequired, stepInvoice)
	w.amount(m.Amount, m.Bolt11)
	w.text("pay", m.Pay)
	w.number("until", int64(m.Until))
	return w.end(m.Head, m.Encrypted)
}

func parseInvoice(r *reader, status string) (Message, error) {
	r.expect(status, statusPaymentRequired)
	m := &Invoice{
		Head: r.head(), Job: r.needID("e"), To: r.needKey("p"), Until: r.needMoment("until"), Encrypted: r.has("encrypted"),
		Pay: r.oneOf("pay", r.needText("pay"), PayPrepaid, PayHold, PayZap, PayCredit),
	}
	if m.Amount, m.Bolt11 = r.amount(true); m.Bolt11 == "" {
		r.fail("tag %q has no bolt11", "amount")
	}
	return m, r.err
}

// Running says that a node works on the job (7000): with a lease it promises to be done or to renew by then.
type Running struct {
	Head
	Job       ID
	To        PubKey // the customer
	Lease     Unix   // 0 in a mere progress report
	Progress  int64  // percent; 0 if not said
	Text      string // plain only
	Plain     bool
	Encrypted bool
}

// About is the job's id.
func (m *Running) About() ID { return m.Job }

func (m *Running) Event() *nostr.Event {
	if m.Plain {
		w := write(KindFeedback, m.Head)
		w.tag("e", string(m.Job))
		w.text("p", string(m.To))
		w.tag("status", statusProcessing)
		w.ev.Content = m.Text
		return w.end(m.Head, m.Encrypted)
	}
	step := stepRunning
	if m.Lease == 0 {
		step = stepProgress
	}
	w := feedback(m.Head, m.Job, m.To, statusProcessing, step)
	w.number("lease", int64(m.Lease))
	w.number("progress", m.Progress)
	return w.end(m.Head, m.Encrypted)
}

func parseRunning(r *reader, status, step string) (Message, error) {
	r.expect(status, statusProcessing)
	m := &Running{
		Head: r.head(), Job: r.needID("e"), To: r.needKey("p"), Progress: r.number("progress"), Encrypted: r.has("encrypted"),
	}
	if step == stepRunning {
		m.Lease = r.needMoment("lease")
	}
	if m.Progress > 100 {
		r.fail("progress of %d percent", m.Progress)
	}
	return m, r.err
}

// Receipt says that a result was paid in full (7000). Always encrypted to the customer; it holds no preimage.
type Receipt struct {
	Head
	Job    ID
	To     PubKey // the customer
	Result ID
	Amount Msat
}

// About is the job's id.
func (m *Receipt) About() ID { return m.Job }

func (m *Receipt) Event() *nostr.Event {
	w := feedback(m.Head, m.Job, m.To, statusSuccess, stepReceipt)
	w.tag("result", string(m.Result))
	w.amount(m.Amount, "")
	return w.end(m.Head, true)
}

func parseReceipt(r *reader, status string) (Message, error) {
	r.expect(status, statusSuccess)
	m := &Receipt{Head: r.head(), Job: r.needID("e"), To: r.needKey("p"), Result: r.needID("result")}
	m.Amount, _ = r.amount(true)
	if !r.has("encrypted") {
		r.fail("a receipt is always encrypted")
	}
	return m, r.err
}

// Notice is feedback of a plain provider that moves nothing: another status, or words on the way.
type Notice struct {
	Head
	Job    ID
	To     PubKey
	Status string
	Text   string
}

// About is the job's id.
func (m *Notice) About() ID { return m.Job }

func (m *Notice) Event() *nostr.Event {
	w := write(KindFeedback, m.Head)
	w.tag("e", string(m.Job))
	w.text("p", string(m.To))
	w.text("status", m.Status)
	w.ev.Content = m.Text
	return w.end(m.Head, false)
}
