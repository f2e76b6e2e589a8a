package cli

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/events"
	"infernet/internal/ledger"
	"infernet/wallet"
)

// orderFlags are what a job can be told on the command line.
type orderFlags struct {
	system, node, retry string
	maxTokens, seed     int64
	temperature         float64
	kind                int
	first, noStream     bool
	params              []string
	verbose             bool
}

func (o *orderFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	for flag, setting := range map[string]string{
		"model": "run.model", "max-cost": "run.max_cost", "way": "run.way", "pay": "run.pay", "window": "run.window", "deadline": "run.deadline",
	} {
		k := settingOf(setting)
		switch k.kind {
		case "number":
			f.Int64(flag, 0, k.about)
		case "list":
			f.StringSlice(flag, nil, k.about)
		case "duration":
			f.Duration(flag, 0, k.about)
		default:
			f.String(flag, "", k.about)
		}
		f.Lookup(flag).Annotations = map[string][]string{"setting": {setting}}
	}
	f.StringVar(&o.system, "system", "", "what the model is told before the prompt")
	f.StringVar(&o.node, "node", "", "key of the node to buy from, directly")
	f.Int64Var(&o.maxTokens, "max-tokens", 0, "most tokens out")
	f.Int64Var(&o.seed, "seed", 0, "seed of the sampling")
	f.Float64Var(&o.temperature, "temperature", 0, "0 is the most likely text")
	f.IntVar(&o.kind, "kind", events.KindText, "kind of job: 5050 text, 5001 summary, 5002 translation, 5800 embeddings")
	f.BoolVar(&o.first, "first", false, "take the first offer that fits")
	f.BoolVar(&o.noStream, "no-stream", false, "wait for the whole result")
	f.StringArrayVar(&o.params, "param", nil, "further parameter, name=value")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print every event of the job")
}

// order makes the order of a prompt.
func (a *app) order(cmd *cobra.Command, o *orderFlags, prompt string) (consumer.Order, error) {
	s := a.settings
	if s.number("run.max_cost") < 0 || s.number("run.max_cost") > int64(events.MaxMsat/events.Sat) {
		return consumer.Order{}, usage("run.max_cost: %d satoshi", s.number("run.max_cost"))
	}
	order := consumer.Order{
		Kind: o.kind, Inputs: []events.Input{{Value: prompt, Type: "text"}}, MaxCost: events.Msat(s.number("run.max_cost")) * events.Sat,
		Pay: s.list("run.pay"), Way: s.text("run.way"), Node: events.PubKey(o.node), Window: s.duration("run.window"), First: o.first,
		Life: s.duration("run.deadline"),
	}
	if o.node != "" && !cmd.Flags().Changed("way") {
		order.Way = consumer.Direct
	}
	set := func(flag, name, value string) {
		if value != "" && (flag == "" || cmd.Flags().Changed(flag)) {
			order.Params = append(order.Params, events.Param{Name: name, Values: []string{value}})
		}
	}
	set("", "model", strings.ToLower(s.text("run.model")))
	set("system", "system", o.system)
	set("max-tokens", "max_tokens", strconv.FormatInt(o.maxTokens, 10))
	set("seed", "seed", strconv.FormatInt(o.seed, 10))
	set("temperature", "temperature", strconv.FormatFloat(o.temperature, 'f', -1, 64))
	for _, p := range o.params {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return order, usage("--param %s: want name=value", p)
		}
		set("", name, value)
	}
	sealed := len(order.Pay) > 0 && order.Pay[0] == events.PaySealed
	if !o.noStream && !sealed && order.Way != consumer.Plain && o.kind != events.KindEmbeddings {
		set("", "stream", "true")
	}
	return order, nil
}

func (a *app) runCommand() *cobra.Command {
	var o orderFlags
	cmd := &cobra.Command{
		Use:     "run PROMPT",
		Short:   "Buy one job: the answer on stdout, a receipt line on stderr",
		Long:    "Buys one job by auction (or directly, or as plain NIP-90), pays, streams the answer and verifies it. PROMPT - reads stdin.",
		Example: "infernet run \"Spell lantern\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd, &o, args[0])
		},
	}
	o.add(cmd)
	return cmd
}

func (a *app) run(cmd *cobra.Command, o *orderFlags, prompt string) error {
	prompt, err := a.prompt(prompt)
	if err != nil {
		return err
	}
	order, err := a.order(cmd, o, prompt)
	if err != nil {
		return err
	}
	c, done, err := a.buyer(cmd.Context())
	if err != nil {
		return err
	}
	defer done()
	show := &shower{app: a, verbose: o.verbose}
	got, err := c.Do(cmd.Context(), order, show.step)
	return show.end(got, err)
}

// prompt reads stdin for "-".
func (a *app) prompt(arg string) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	body, err := io.ReadAll(io.LimitReader(a.In, events.MaxEvent+1))
	if err != nil {
		return "", fmt.Errorf("read the prompt: %w", err)
	}
	if len(body) > events.MaxEvent {
		return "", usage("the prompt on stdin has more than %d bytes", events.MaxEvent)
	}
	return string(body), nil
}

// buyer opens what is needed to buy: ledger, relays, wallet.
func (a *app) buyer(ctx context.Context) (*consumer.Consumer, func(), error) {
	if err := a.settings.makeDataDir(); err != nil {
		return nil, nil, err
	}
	l, err := ledger.Open(a.settings.path("customer.db"))
	if err != nil {
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // a cancellation is still said after an interrupt
	done := func() { stop(); l.Close() }
	p, err := a.connect(ctx, nil)
	if err != nil {
		done()
		return nil, nil, err
	}
	done = func() { p.Close(); stop(); l.Close() }
	w, err := a.openWallet(ctx, "wallet", a.settings.path("customer.wallet"))
	if err != nil {
		done()
		return nil, nil, err
	}
	config := consumer.Config{Pool: p, Relays: a.settings.list("relays"), Ledger: l, Log: a.log}
	if w != nil {
		payer, ok := w.(wallet.Payer)
		if !ok {
			done()
			return nil, nil, usage("wallet: %s cannot pay", w.Describe())
		}
		config.Wallet = payer
		done = func() { w.Close(); p.Close(); stop(); l.Close() }
	}
	c, err := consumer.New(config)
	if err != nil {
		done()
		return nil, nil, err
	}
	return c, done, nil
}

// shower shows a job while it is done.
type shower struct {
	*app
	verbose  bool
	streamed strings.Builder
	chunks   int
}

func (w *shower) step(s consumer.Step) {
	if s.Delta != "" {
		w.streamed.WriteString(s.Delta)
		if w.json {
			w.object(w.Out, map[string]any{"job": s.Job, "delta": s.Delta})
		} else {
			fmt.Fprint(w.Out, s.Delta)
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
	if w.streamed.Len() > 0 && w.chunks == 0 {
		fmt.Fprintln(w.Out)
		w.chunks++
	}
	if s.Message != nil {
		fmt.Fprintln(w.Err, oneLine(s.Message))
		return
	}
	fmt.Fprintf(w.Err, "          %s\n", s.Note)
}

// end shows the answer, as far as it was not streamed, and the receipt line.
func (w *shower) end(d *consumer.Delivery, err error) error {
	if err != nil {
		if w.streamed.Len() > 0 && !w.json && w.chunks == 0 {
			fmt.Fprintln(w.Out)
		}
		return err
	}
	rate := 0.0
	if span := d.Took - d.First; d.First > 0 && span > 0 {
		rate = float64(d.Usage.Out) / span.Seconds()
	} else if d.Usage.Ms > 0 {
		rate = float64(d.Usage.Out) / (float64(d.Usage.Ms) / 1000)
	}
	if w.json {
		out := map[string]any{
			"job": d.Job, "node": d.Node, "model": d.Model, "content": d.Text, "usage": map[string]int64{"in": d.Usage.In, "out": d.Usage.Out},
			"pay": d.Pay, "paid_msat": d.Paid, "took_ms": d.Took.Milliseconds(), "first_ms": d.First.Milliseconds(), "receipt": d.Receipt != nil,
		}
		if d.Paid > 0 {
			out["payment_hash"], out["preimage"] = d.Hash.String(), d.Preimage.String()
		}
		w.object(w.Out, out)
		return nil
	}
	switch {
	case w.streamed.Len() == 0:
		fmt.Fprintln(w.Out, d.Text)
	case w.streamed.String() != d.Text:
		fmt.Fprintf(w.Err, "\nthe stream was not complete; the whole result:\n")
		fmt.Fprintln(w.Out, d.Text)
	case w.chunks == 0:
		fmt.Fprintln(w.Out)
	}
	line := []string{or(d.Model, "a model"), "node " + cutKey(string(d.Node))}
	if d.First > 0 {
		line = append(line, fmt.Sprintf("first token %d ms", d.First.Milliseconds()))
	}
	line = append(line, fmt.Sprintf("%.1f tok/s", rate), fmt.Sprintf("%.2f s", d.Took.Seconds()), d.Paid.Human()+" "+d.Pay)
	if d.Paid > 0 {
		line = append(line, "payment hash "+d.Hash.String())
	}
	if d.Receipt == nil && d.Paid > 0 {
		line = append(line, "no receipt yet")
	}
	fmt.Fprintln(w.Err, strings.Join(line, " · "))
	return nil
}
