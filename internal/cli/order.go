package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nbd-wtf/go-nostr"
	"github.com/nbd-wtf/go-nostr/nip19"
	"github.com/spf13/cobra"

	"infernet/consumer"
	"infernet/events"
)

// orderFlags are what a job can be told on the command line.
type orderFlags struct {
	system, node, retry string
	maxTokens, seed     int64
	temperature         float64
	kind                int
	first, noStream     bool
	asIs                bool
	open, encrypted     bool
	params              []string
	inputs              []string // small files, and what the node is to fetch
	files               []string // files of any size
	sizeIn              int64
	file, output, dir   string
	verbose             bool
	priority            string
	estimate            bool
	router              routerFlags
}

func (o *orderFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	for flag, setting := range map[string]string{
		"model": "run.model", "max-cost": "run.max_cost", "way": "run.way", "pay": "run.pay", "window": "run.window", "deadline": "run.deadline", "hedge": "run.hedge",
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
		f.Lookup(flag).DefValue = k.standard // what the help shows
	}
	f.StringVar(&o.system, "system", "", "what the model is told before the prompt")
	f.StringVar(&o.node, "node", "", "key of the node to buy from, directly, or its beginning")
	f.Int64Var(&o.maxTokens, "max-tokens", 0, "most tokens out")
	f.Int64Var(&o.seed, "seed", 0, "seed of the sampling")
	f.Float64Var(&o.temperature, "temperature", 0, "0 is the most likely text")
	f.IntVar(&o.kind, "kind", events.KindText, "kind of job: "+kindNames())
	f.BoolVar(&o.first, "first", false, "take the first offer that fits")
	f.BoolVar(&o.open, "open", false, "let nodes offer in the open, for everybody to compare")
	f.BoolVar(&o.encrypted, "encrypted", false, "encrypt a plain job to --node, whose answers come encrypted too")
	f.BoolVar(&o.noStream, "no-stream", false, "wait for the whole result")
	f.StringArrayVar(&o.params, "param", nil, "further parameter, name=value")
	f.StringArrayVar(&o.inputs, "input", nil, "file to work on, small enough to travel in an event (some 25 kB); or what the node fetches: https://…, blossom:…, event:ID, job:ID")
	f.StringVar(&o.output, "output", "", "type of the result, as audio/wav; the kind's usual one if not given")
	f.StringVarP(&o.file, "out", "o", "", "file for the result, which may be sound or a picture")
	f.StringArrayVar(&o.files, "file", nil, "file of any size to work on, sent encrypted to the node; buys directly")
	f.BoolVar(&o.asIs, "as-is", false, "send files also where this kind of job reads another sort, to a node that takes them")
	f.Int64Var(&o.sizeIn, "size-in", 0, "units of all that the node fetches; 4096 each if not given")
	f.StringVar(&o.dir, "out-dir", "", "folder for the files of the result")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print every event of the job")
	f.StringVar(&o.priority, "priority", "normal", "low, normal or high: what the price is multiplied with, and the place in the queue")
	f.BoolVar(&o.estimate, "estimate", false, "only say what it would cost, from what to what, and what that is made of")
	o.router.add(cmd)
}

// kindNames are the kinds of jobs, for people.
func kindNames() string {
	var names []string
	for _, n := range events.Sold() {
		names = append(names, fmt.Sprintf("%d %s", n, events.Kinds[n].Name))
	}
	return strings.Join(names, ", ")
}

// attach reads a file as an input that holds it.
func attach(kind events.Kind, path string, asIs bool) (events.Input, error) {
	info, err := os.Stat(path)
	if err != nil {
		return events.Input{}, usage("--input: %w", err)
	}
	if info.Size() > events.MaxEncrypted*3/4 {
		return events.Input{}, withHint(usage("--input %s: %d bytes, at most %d travel in an event", path, info.Size(), events.MaxEncrypted*3/4),
			"ffmpeg -i %s -ac 1 -c:a libopus -b:a 16k small.ogg  # 12 s of speech fit", quoted(path))
	}
	mime, err := fileType(kind, "--input", path, asIs)
	if err != nil {
		return events.Input{}, err
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return events.Input{}, err
	}
	return events.Input{Value: events.DataURL(mime, body), Type: "url"}, nil
}

// mimeOf is a file's type, by its ending, else by what is in it.
func mimeOf(path string, body []byte) string {
	for mime, ending := range events.Endings {
		if ending == strings.ToLower(filepath.Ext(path)) {
			return mime
		}
	}
	mime, _, _ := strings.Cut(http.DetectContentType(body), ";")
	return mime
}

// order makes the order of a prompt.
func (a *app) order(cmd *cobra.Command, o *orderFlags, prompt string) (consumer.Order, error) {
	s := a.settings
	if s.number("run.max_cost") < 0 || s.number("run.max_cost") > int64(events.MaxMsat/events.Sat) {
		return consumer.Order{}, usage("run.max_cost: %d satoshi", s.number("run.max_cost"))
	}
	order := consumer.Order{
		Kind: o.kind, Output: o.output, MaxCost: events.Msat(s.number("run.max_cost")) * events.Sat,
		Pay: s.list("run.pay"), Way: s.text("run.way"), Node: events.PubKey(o.node), Window: s.duration("run.window"), First: o.first,
		Open: o.open, Encrypted: o.encrypted,
		Life: s.duration("run.deadline"), Hedge: s.duration("run.hedge"),
	}
	if _, ok := events.Priorities[o.priority]; !ok {
		return order, usage("--priority: %q is none of low, normal, high", o.priority)
	}
	if o.priority != "normal" {
		order.Priority = o.priority
	}
	if err := checkOrder(&order); err != nil {
		return order, err
	}
	if err := checkOut("--out", o.file); err != nil {
		return order, err
	}
	if err := checkOutDir("--out-dir", o.dir); err != nil {
		return order, err
	}
	if prompt != "" {
		order.Inputs = append(order.Inputs, events.Input{Value: prompt, Type: "text"})
	}
	for _, raw := range o.inputs {
		in, err := input(events.Kinds[o.kind], raw, o.asIs)
		if err != nil {
			return order, err
		}
		order.Inputs = append(order.Inputs, in)
	}
	if s.text("wallet") == qrScheme { // what is only shown gives nobody the preimage
		if len(order.Pay) == 0 {
			order.Pay = []string{events.PayPrepaid}
		}
		if slices.Contains(order.Pay, events.PaySealed) || slices.Contains(order.Pay, events.PayHold) || order.Hedge > 0 {
			return order, withHint(usage("with the wallet qr: jobs are prepaid, to one node"), "infernet run --pay prepaid --hedge 0s %s", quoted(tryPrompt))
		}
	}
	if slices.Contains(order.Pay, events.PayFree) {
		order.MaxCost, order.Pay = 0, nil
	}
	if (o.node != "" || len(o.files) > 0) && !cmd.Flags().Changed("way") {
		order.Way = consumer.Direct
	}
	if err := o.addFiles(&order); err != nil {
		return order, err
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
	if err := o.router.apply(cmd, &order); err != nil {
		return order, err
	}
	sealed := len(order.Pay) > 0 && order.Pay[0] == events.PaySealed
	if !o.noStream && !sealed && order.Way != consumer.Plain && events.Kinds[o.kind].Takes("stream") {
		set("", "stream", "true")
	}
	return order, checkKind(&order)
}

// checkKind holds an order against the table of its kind, before any of its files is sent.
func checkKind(o *consumer.Order) error {
	req := &events.Request{Kind: o.Kind, Inputs: o.Inputs, Params: o.Params, Output: o.Output, SizeIn: o.SizeIn}
	for range o.Files { // as they will be
		req.Inputs = append(slices.Clip(req.Inputs), events.Input{Value: strings.Repeat("0", 64), Type: "blob"})
	}
	if err := events.Kinds[o.Kind].Check(req); err != nil {
		return err
	}
	for _, p := range o.Params {
		for _, value := range p.Values {
			if err := checkText(p.Name, value); err != nil {
				return err
			}
		}
	}
	return checkJSON(events.Kinds[o.Kind], o.Params)
}

// keyStart is the beginning of a key, as tables print it, or more of it.
var keyStart = regexp.MustCompile(`^[0-9a-f]{8,63}$`)

// input reads what --input says: a small file, or what the node is to fetch.
func input(of events.Kind, raw string, asIs bool) (events.Input, error) {
	kind, value, _ := strings.Cut(raw, ":")
	switch kind {
	case "http", "https":
		return events.Input{Value: raw, Type: "url"}, nil
	case "blossom":
		if _, err := events.ParseBlob(raw); err != nil {
			return events.Input{}, usage("--input: %w", err)
		}
		return events.Input{Value: raw, Type: "blob"}, nil
	case "event", "job":
		if !nostr.IsValid32ByteHex(value) {
			return events.Input{}, usage("--input %s: no id of 64 hex characters", raw)
		}
		return events.Input{Value: value, Type: kind}, nil
	}
	return attach(of, raw, asIs)
}

// addFiles adds files of any size, and where those of the result go.
func (o *orderFlags) addFiles(order *consumer.Order) (err error) {
	if len(o.files) > 0 && order.Way != consumer.Direct {
		return usage("--file: files travel with their keys, and only a direct job is encrypted; leave --way out")
	}
	for _, path := range o.files {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			return usage("--file %s: there is no such file", path)
		}
		mime, err := fileType(events.Kinds[order.Kind], "--file", path, o.asIs)
		if err != nil {
			return err
		}
		order.Files = append(order.Files, consumer.InFile{Path: path, Mime: mime})
	}
	if order.SizeIn = o.sizeIn; o.sizeIn < 0 {
		return usage("--size-in %d is below 0", o.sizeIn)
	}
	switch {
	case o.dir != "":
		order.Out, err = filepath.Abs(o.dir)
	case o.file != "" && !events.Kinds[order.Kind].GivesText(): // a large one may come from a file server
		order.Out, err = filepath.Abs(filepath.Dir(o.file))
	}
	return err
}

// checkOrder says what is wrong with an order before anything is opened for it.
func checkOrder(o *consumer.Order) error {
	if kind, ok := events.Kinds[o.Kind]; !ok || kind.Own {
		return usage("--kind %d: there are %s", o.Kind, strings.Trim(strings.ReplaceAll(fmt.Sprint(events.Sold()), " ", ", "), "[]"))
	}
	if ways := []string{consumer.Auction, consumer.Direct, consumer.Plain}; !slices.Contains(ways, o.Way) {
		return usage("run.way: %q is none of %s", o.Way, strings.Join(ways, ", "))
	}
	for _, pay := range o.Pay {
		if modes := []string{events.PayPrepaid, events.PayHold, events.PaySealed, events.PayCredit, events.PayFree}; !slices.Contains(modes, pay) {
			return usage("run.pay: %q is none of %s", pay, strings.Join(modes, ", "))
		}
	}
	if o.Life <= 0 {
		return withHint(usage("run.deadline: %s is over at once", o.Life), "infernet run --deadline 5m %s", quoted(tryPrompt))
	}
	if window := max(o.Window, time.Second); o.Way == consumer.Auction && !o.First && o.Life <= window {
		return usage("run.deadline: %s is no longer than the %s in which offers are collected", o.Life, window)
	}
	if o.Hedge < 0 {
		return usage("run.hedge: %s is below 0", o.Hedge)
	}
	if o.Hedge > 0 && (o.Way == consumer.Plain || o.Node != "") {
		return withHint(usage("run.hedge: a second node cannot be asked in a plain job, or one for --node"), "infernet run --hedge 0s %s", quoted(tryPrompt))
	}
	if o.Window < 0 {
		return usage("run.window: %s is below 0", o.Window)
	}
	if strings.HasPrefix(string(o.Node), "npub1") {
		if _, key, err := nip19.Decode(string(o.Node)); err == nil {
			o.Node = events.PubKey(key.(string))
		}
	}
	if o.Encrypted && (o.Way != consumer.Plain || o.Node == "") {
		return withHint(usage("--encrypted is for plain jobs to one node; direct jobs are encrypted always"), "infernet run --way direct %s", quoted(tryPrompt))
	}
	o.Node = events.PubKey(strings.ToLower(string(o.Node)))
	if o.Node != "" && !nostr.IsValidPublicKey(string(o.Node)) && !keyStart.MatchString(string(o.Node)) {
		return withHint(usage("--node %s: neither a key in hex or npub, nor the first 8 or more characters of one", o.Node), "infernet market nodes")
	}
	return nil
}

// prompt reads stdin for "-". Without an argument there are only files.
func (a *app) prompt(ctx context.Context, args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	arg := args[0]
	if arg != "-" {
		if len(arg) > events.MaxEvent {
			return "", usage("the prompt has %d bytes, no event carries more than %d", len(arg), events.MaxEvent)
		}
		if err := notEmpty(arg); err != nil {
			return "", err
		}
		return arg, checkText("the prompt", arg)
	}
	if _, typed := a.terminal(); typed {
		fmt.Fprintln(a.Err, "the prompt; ctrl-D ends it:")
	}
	body, err := until(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(a.In, events.MaxEvent+1)) })
	if err != nil {
		return "", fmt.Errorf("read the prompt: %w", err)
	}
	if len(body) > events.MaxEvent {
		return "", withHint(usage("the prompt on stdin has more than %d bytes, which no event carries", events.MaxEvent), "head -c 40000 FILE | infernet run -")
	}
	if strings.TrimSpace(string(body)) == "" {
		return "", withHint(usage("nothing came on stdin"), "echo %s | infernet run -", quoted(tryPrompt))
	}
	return string(body), checkText("what came on stdin", string(body))
}

// onePrompt wants the prompt as one argument, which newcomers forget to quote; none where a file is the input.
func onePrompt(cmd *cobra.Command, args []string) error {
	files, _ := cmd.Flags().GetStringArray("input")
	large, _ := cmd.Flags().GetStringArray("file")
	files = append(files, large...)
	switch len(args) {
	case 1:
		return nil
	case 0:
		kind, _ := cmd.Flags().GetInt("kind")
		if k, known := events.Kinds[kind]; len(files) > 0 || known && k.Inputs.Min == 0 {
			return nil
		}
		return withHint(usage("there is no prompt"), "infernet run %s", quoted(tryPrompt))
	}
	return withHint(usage("the prompt is %d arguments, not one", len(args)), "infernet run %s", quoted(strings.Join(args, " ")))
}

func notEmpty(prompt string) error {
	if strings.TrimSpace(prompt) == "" {
		return withHint(usage("the prompt is empty"), "infernet run %s", quoted(tryPrompt))
	}
	return nil
}
