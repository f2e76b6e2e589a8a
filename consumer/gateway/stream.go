package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"

	"infernet/consumer"
	"infernet/events"
)

// Headers of an answer. In a stream, what is known at its end only is in the last chunk's field infernet.
const (
	headJob     = "X-Infernet-Job"
	headNode    = "X-Infernet-Node"
	headCost    = "X-Infernet-Cost-Msat"
	headPay     = "X-Infernet-Pay"
	headReceipt = "X-Infernet-Receipt"
	headHash    = "X-Infernet-Payment-Hash"
)

// bill is what a job cost and who did it, as it stands in an answer's field infernet.
type bill struct {
	Job     events.ID     `json:"job"`
	Node    events.PubKey `json:"node"`
	Cost    events.Msat   `json:"cost_msat"`
	Pay     string        `json:"pay"`
	Hash    string        `json:"payment_hash,omitempty"`
	Receipt events.ID     `json:"receipt,omitempty"`
	First   int64         `json:"first_ms,omitempty"`
	Took    int64         `json:"took_ms"`
}

func billOf(d *consumer.Delivery) *bill {
	b := &bill{Job: d.Job, Node: d.Node, Cost: d.Paid, Pay: d.Pay, First: d.First.Milliseconds(), Took: d.Took.Milliseconds()}
	if d.Paid > 0 {
		b.Hash = d.Hash.String()
	}
	if d.Receipt != nil {
		b.Receipt = d.Receipt.ID
	}
	return b
}

// heads sets what is known of a delivery.
func (b *bill) heads(h http.Header) {
	setMarket(h, b.Job, b.Node)
	h.Set(headCost, b.Cost.String())
	h.Set(headPay, b.Pay)
	if b.Receipt != "" {
		h.Set(headReceipt, string(b.Receipt))
	}
	if b.Hash != "" {
		h.Set(headHash, b.Hash)
	}
}

func setMarket(h http.Header, job events.ID, node events.PubKey) {
	if job != "" {
		h.Set(headJob, string(job))
	}
	if node != "" {
		h.Set(headNode, string(node))
	}
}

// flow is a job whose text is passed on while it is made. The job does not wait for a slow reader: pieces that have not
// been taken are taken together.
type flow struct {
	mu   sync.Mutex
	text strings.Builder
	job  events.ID
	node events.PubKey
	more chan struct{} // holds a token if there is something to take

	done chan struct{}
	got  *consumer.Delivery // once done is closed
	err  error
}

// follow buys in the background; the flow ends with ctx.
func (g *Gateway) follow(ctx context.Context, w *wish) *flow {
	f := &flow{more: make(chan struct{}, 1), done: make(chan struct{})}
	g.after.Go(func() {
		defer close(f.done)
		f.got, f.err = g.buy(ctx, w, f.hear)
	})
	return f
}

func (f *flow) hear(s consumer.Step) {
	if s.Delta == "" {
		return
	}
	f.mu.Lock()
	f.job = s.Job
	if s.Message != nil {
		f.node = s.Message.Signed().Author
	}
	f.text.WriteString(s.Delta)
	f.mu.Unlock()
	select {
	case f.more <- struct{}{}:
	default:
	}
}

// take gives the text that has come since the last call.
func (f *flow) take() (text string, job events.ID, node events.PubKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text = f.text.String()
	f.text.Reset()
	return text, f.job, f.node
}

// play passes a flow's pieces on as they come, and at its end what of the result was not among them: chunks are a preview.
// begin is called once, with the first piece or the end, if that is a good one. The error is the job's, or piece's.
func (f *flow) play(begin func(job events.ID, node events.PubKey), piece func(text string) error) (*consumer.Delivery, error) {
	var said strings.Builder
	begun := false
	give := func(text string, job events.ID, node events.PubKey) error {
		if !begun {
			begun = true
			begin(job, node)
		}
		if text == "" {
			return nil
		}
		said.WriteString(text)
		return piece(text)
	}
	for over := false; !over; {
		select {
		case <-f.more:
		case <-f.done:
			over = true
		}
		if text, job, node := f.take(); text != "" {
			if err := give(text, job, node); err != nil {
				return nil, err
			}
		}
	}
	if f.err != nil {
		return nil, f.err
	}
	rest, ok := strings.CutPrefix(f.got.Text, said.String())
	if !ok {
		return nil, &failure{Status: http.StatusBadGateway, Type: serverError, Code: "bad_result", Message: "the node's result is not what it streamed",
			Market: &marketFact{Job: f.got.Job, Node: f.got.Node, Paid: f.got.Paid}}
	}
	return f.got, give(rest, f.got.Job, f.got.Node)
}

// sse writes server-sent events, or lines.
type sse struct {
	w   http.ResponseWriter
	ctl *http.ResponseController
}

// newSSE begins a stream of events.
func newSSE(w http.ResponseWriter, mime string) *sse {
	h := w.Header()
	h.Set("Content-Type", mime)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // nginx passes on what comes, when it comes
	w.WriteHeader(http.StatusOK)
	return &sse{w, http.NewResponseController(w)}
}

// send writes one event; name may be "".
func (s *sse) send(name string, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	text := make([]byte, 0, len(body)+len(name)+16)
	if name != "" {
		text = append(append(append(text, "event: "...), name...), '\n')
	}
	text = append(append(append(text, "data: "...), body...), "\n\n"...)
	return s.raw(text)
}

// line writes one value as a line.
func (s *sse) line(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.raw(append(body, '\n'))
}

func (s *sse) raw(text []byte) error {
	if _, err := s.w.Write(text); err != nil {
		return err
	}
	return s.ctl.Flush()
}
