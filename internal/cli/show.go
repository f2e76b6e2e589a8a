package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"infernet/consumer"
	"infernet/events"
	"infernet/wallet"
)

// shower shows a job while it is done.
type shower struct {
	*app
	verbose  bool
	file     string // where the result goes; "" is stdout
	plain    bool   // plain NIP-90 knows no receipts
	poor     bool   // there is no wallet
	free     bool   // nothing is to be paid
	turn     bool   // of a conversation: what is the same each time is not said
	streamed strings.Builder
	waiting  *waiting
	stage    stage
	broken   bool // the stream's last line was ended, for a line of the conversation
}

// newShower says what is waited for, too, unless a program reads.
func (a *app) newShower(verbose bool) *shower {
	w := &shower{app: a, verbose: verbose}
	if !a.json {
		w.waiting = startWaiting(a.Err, "the relays")
		a.talk.Store(w.waiting)
	}
	return w
}

// step shows one step: text as it streams, and every event if verbose.
func (w *shower) step(s consumer.Step) {
	if s.Verdicts != nil {
		w.explainNodes(s.Verdicts)
		return
	}
	switch {
	case w.waiting == nil:
	case s.Delta != "":
		defer w.waiting.text(s.Delta)
	default:
		w.waiting.heard(w.stage.next(s))
	}
	if s.Delta != "" {
		w.streamed.WriteString(s.Delta)
		switch {
		case !w.json && w.file == "":
			fmt.Fprint(w.Out, w.shown(s.Delta))
		case w.verbose:
			w.object(w.Out, map[string]any{"job": s.Job, "delta": s.Delta})
		}
		return
	}
	if !w.verbose {
		return
	}
	if w.json {
		if s.Event != nil {
			w.object(w.Out, map[string]any{"job": s.Job, "event": s.Event})
		}
		return
	}
	if w.streamed.Len() > 0 && !w.broken {
		fmt.Fprintln(w.Out)
		w.broken = true
	}
	if s.Message != nil {
		fmt.Fprintln(w.Err, w.fold(oneLine(s.Message), "  "))
		return
	}
	fmt.Fprintf(w.Err, "          %s\n", cell(s.Note))
}

// end shows the answer, as far as it was not streamed, and the receipt line.
func (w *shower) end(d *consumer.Delivery, err error) error {
	if w.waiting != nil {
		w.waiting.end()
	}
	if err != nil {
		if w.streamed.Len() > 0 && !w.json && !w.broken {
			fmt.Fprintln(w.Out)
		}
		var none *consumer.NoOffersError
		if w.poor && wantsMoney(err) {
			return w.needsWallet(err)
		}
		if w.free && errors.As(err, &none) && none.About > 0 && slices.Contains(w.settings.list("run.pay"), events.PayFree) {
			return withHint(err, "%s", again(w.args, "--pay", events.PayPrepaid))
		}
		return err
	}
	if w.file != "" {
		if err := w.write(d); err != nil {
			return err
		}
	}
	if w.json {
		out := map[string]any{
			"job": d.Job, "node": d.Node, "model": d.Model, "content": d.Text, "usage": map[string]int64{"in": d.Usage.In, "out": d.Usage.Out},
			"pay": d.Pay, "paid_msat": d.Paid, "took_ms": d.Took.Milliseconds(), "receipt": d.Receipt != nil,
		}
		if d.First > 0 {
			out["first_ms"] = d.First.Milliseconds()
		}
		out["files"] = filesOf(d)
		if d.Paid > 0 {
			out["payment_hash"] = d.Hash.String()
			if d.Preimage != (wallet.Preimage{}) { // else it is locked, and not taken yet
				out["preimage"] = d.Preimage.String()
			}
		}
		w.object(w.Out, out)
		return nil
	}
	switch {
	case w.file != "":
		fmt.Fprintln(w.Out, w.file)
	case events.IsDataURL(d.Text) && w.onTerminal():
		fmt.Fprintf(w.Err, "the result is a file (%d characters as an address); to keep it: %s\n", len(d.Text), w.callable("infernet job watch -o FILE "+cutKey(string(d.Job))))
	case w.streamed.Len() == 0:
		fmt.Fprintln(w.Out, w.shown(d.Text))
	case !strings.HasPrefix(d.Text, w.streamed.String()):
		fmt.Fprintf(w.Err, "\nthe stream was another text than the result; the result:\n")
		fmt.Fprintln(w.Out, w.shown(d.Text))
	case w.streamed.Len() < len(d.Text): // chunks are a preview and may be lost
		fmt.Fprintln(w.Out, w.shown(d.Text[w.streamed.Len():]))
	case !w.broken:
		fmt.Fprintln(w.Out)
	}
	for _, f := range d.Files {
		fmt.Fprintf(w.Err, "file %s\n", or(f.Path, f.URI()))
	}
	line := receiptLine(d)
	if d.Receipt == nil && d.Paid > 0 && !w.plain {
		line += " · no receipt yet"
	}
	fmt.Fprintln(w.Err, w.fold(line, " · "))
	if d.Paid > 0 && d.Receipt != nil && !w.turn {
		fmt.Fprintf(w.Err, "to verify the receipt: %s\n", w.callable("infernet receipt verify "+cutKey(string(d.Job))))
	}
	return nil
}

// filesOf are a result's files, as JSON.
func filesOf(d *consumer.Delivery) []map[string]any {
	files := []map[string]any{}
	for _, f := range d.Files {
		files = append(files, map[string]any{"address": f.URI(), "type": f.Mime, "file": f.Path})
	}
	return files
}

// write writes the result into a file: the file that it holds, or its text.
func (w *shower) write(d *consumer.Delivery) error {
	body := []byte(d.Text)
	if events.IsDataURL(d.Text) {
		_, held, err := events.ParseDataURL(d.Text)
		if err != nil {
			return withHint(fmt.Errorf("the result holds no file: %w", err), "infernet job watch %s", cutKey(string(d.Job)))
		}
		body = held
	}
	if d.Text == "" && len(d.Files) == 1 && d.Files[0].Path != "" {
		return os.Rename(d.Files[0].Path, w.file)
	}
	if err := os.WriteFile(w.file, body, 0o666); err != nil {
		return withHint(fmt.Errorf("the result is paid, but not written: %w", err), "infernet job watch -o FILE %s", cutKey(string(d.Job)))
	}
	return nil
}

// receiptLine says what was bought: from whom, how fast, for how much, and the payment's hash.
func receiptLine(d *consumer.Delivery) string {
	line := []string{or(d.Model, "a model"), "node " + cutKey(string(d.Node))}
	span := d.Took - d.First
	if d.First > 0 {
		line = append(line, fmt.Sprintf("first token %d ms", d.First.Milliseconds()))
	} else {
		span = time.Duration(d.Usage.Ms) * time.Millisecond
	}
	if span > 0 && d.Usage.Out > 0 {
		line = append(line, fmt.Sprintf("%.1f tok/s", float64(d.Usage.Out)/span.Seconds()))
	}
	line = append(line, fmt.Sprintf("%.2f s", d.Took.Seconds()))
	if d.Paid == 0 {
		return strings.Join(append(line, "free"), " · ")
	}
	paid := d.Paid.Human() + " " + d.Pay
	if d.Preimage == (wallet.Preimage{}) {
		paid += ", locked and not taken yet"
	}
	return strings.Join(append(line, paid, "payment hash "+cutKey(d.Hash.String())), " · ")
}
