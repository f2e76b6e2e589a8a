package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"infernet/consumer"
	"infernet/consumer/choose"
	"infernet/events"
)

// NewJob is what is asked for over /api/v1: an order in the words that apps use.
type NewJob struct {
	Model     string          `json:"model,omitempty" maxLength:"200" doc:"id of a model; any that serves the kind if missing"`
	Type      string          `json:"type,omitempty" enum:"text,summary,translation,image,speech,transcription,embeddings" doc:"what is wanted; what the model gives if missing"`
	Kind      int             `json:"kind,omitempty" doc:"the same by the number of the request event"`
	Input     json.RawMessage `json:"input" doc:"A text, a list of texts, or an object: prompt, text, texts, messages, system, url or file (data: address) say what to work on, every other field is a parameter of the job, as temperature or negative_prompt."`
	Params    map[string]any  `json:"params,omitempty" doc:"further parameters of the job"`
	Format    string          `json:"output_format,omitempty" maxLength:"100" doc:"MIME type of the result"`
	Stream    *bool           `json:"stream,omitempty" doc:"whether a text comes in pieces while it is made; true if missing"`
	Resources Resources       `json:"resources,omitempty"`
	Budget    JobBudget       `json:"budget,omitempty"`
	Priority  string          `json:"priority,omitempty" enum:"low,normal,medium,high" doc:"medium is normal"`
	Deadline  float64         `json:"deadline_s,omitempty" minimum:"0" maximum:"604800" doc:"seconds from now; the gateway's own if missing"`
	Pay       []string        `json:"pay,omitempty" enum:"prepaid,hold,sealed,free" doc:"ways to pay, preferred first"`
	Way       string          `json:"way,omitempty" enum:"direct,auction" doc:"direct: encrypted, to the best node. auction: in the open"`
	Sort      string          `json:"sort,omitempty" enum:"best,price,throughput,latency"`
	Only      []events.PubKey `json:"only,omitempty" doc:"these nodes and no others; keys or their first 8 or more characters"`
	Ignore    []events.PubKey `json:"ignore,omitempty" doc:"not these nodes"`
	Order     []events.PubKey `json:"order,omitempty" doc:"these nodes first"`
}

// Resources are what the machine has to have.
type Resources struct {
	GPU      string  `json:"gpu_type,omitempty" maxLength:"100" doc:"words of the card's name, as NVIDIA_A100"`
	VRAMMB   int     `json:"vram_mb,omitempty" minimum:"0" doc:"memory of one card"`
	VRAMGB   float64 `json:"gpu_memory_gb,omitempty" minimum:"0" maximum:"100000" doc:"the same in GiB"`
	Region   string  `json:"region,omitempty" maxLength:"100"`
	Priority string  `json:"priority,omitempty" enum:"low,normal,medium,high"`
}

// JobBudget is what a job may cost.
type JobBudget struct {
	MaxCostSats *float64 `json:"max_cost_sats,omitempty" minimum:"0" maximum:"9007199254740" doc:"the gateway's own if missing; 0 is only for free"`
}

// kindNames are the kinds by the words that orders use.
var kindNames = map[string]int{
	"text": events.KindText, "summary": events.KindSummary, "translation": events.KindTranslation, "image": events.KindImage,
	"speech": events.KindSpeech, "transcription": events.KindTranscription, "embeddings": events.KindEmbeddings,
}

// params by the names that other libraries have for them.
var otherNames = map[string]string{
	"num_inference_steps": "steps", "guidance_scale": "guidance", "cfg_scale": "guidance", "max_new_tokens": "max_tokens", "max_length": "max_tokens",
	"max_completion_tokens": "max_tokens", "target_language": "language",
}

// read makes a wish of an order.
func (g *Gateway) read(ctx context.Context, who string, in *NewJob) (w *wish, err error) {
	defer func() {
		if err != nil && w != nil && w.dir != "" {
			os.RemoveAll(w.dir)
		}
	}()
	fields, err := in.fields()
	if err != nil {
		return nil, err
	}
	kind, err := g.kindOf(ctx, in, fields)
	if err != nil {
		return nil, err
	}
	model := in.Model
	if model == "" {
		model = anyModel
	}
	options, err := in.options()
	if err != nil {
		return nil, err
	}
	if w, err = g.wishOf(who, kind, model, options); err != nil {
		return nil, err
	}
	w.order.Output, w.order.Require, w.cards = in.Format, in.require(), gpuWords(in.Resources.GPU)
	if events.Kinds[kind].Takes("stream") && (in.Stream == nil || *in.Stream) && !(len(w.order.Pay) > 0 && w.order.Pay[0] == events.PaySealed) {
		w.set("stream", "true")
	}
	for name, value := range in.Params {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		fields[name] = raw
	}
	if err := w.inputs(fields); err != nil {
		return w, err
	}
	return w, fields.parameters(w)
}

// fields are the input's: a text is the prompt, a list of them are texts.
func (in *NewJob) fields() (body, error) {
	raw := bytes.TrimSpace(in.Input)
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return nil, invalid("input", "input is missing: a text, a list of texts, or an object with prompt, messages, url or file")
	case raw[0] == '"':
		return body{"prompt": raw}, nil
	case raw[0] == '[':
		return body{"texts": raw}, nil
	case raw[0] != '{':
		return nil, invalid("input", "input is neither a text, nor a list of texts, nor an object")
	}
	b := body{}
	if err := json.Unmarshal(raw, &b); err != nil {
		return nil, invalid("input", "input: %v", err)
	}
	for name, value := range b {
		if string(value) == "null" {
			delete(b, name)
		}
	}
	return b, nil
}

// kindOf is what is wanted: as it was said, else what living nodes give with the model, text before all else.
func (g *Gateway) kindOf(ctx context.Context, in *NewJob, fields body) (int, error) {
	if in.Type != "" {
		if kind := kindNames[in.Type]; in.Kind == 0 || in.Kind == kind {
			return kind, nil
		}
		return 0, invalid("kind", "kind %d is not of type %s (%d); leave one of both out", in.Kind, in.Type, kindNames[in.Type])
	}
	if in.Kind != 0 {
		if _, ok := events.Kinds[in.Kind]; !ok {
			return 0, invalid("kind", "kind %d is not known; there are %s", in.Kind, strings.Join(slices.Sorted(maps.Keys(kindNames)), ", "))
		}
		return in.Kind, nil
	}
	painted := false
	for _, name := range []string{"negative_prompt", "num_inference_steps", "guidance_scale"} {
		_, ok := fields[name]
		painted = painted || ok
	}
	model := strings.ToLower(in.Model)
	if model == "" || model == anyModel {
		if painted {
			return events.KindImage, nil
		}
		return events.KindText, nil
	}
	nodes, err := g.roster.living(ctx)
	if err != nil {
		return 0, err
	}
	var kinds []int
	for _, n := range nodes {
		if m := n.Model(model); m != nil {
			kinds = append(kinds, m.Kinds...)
		}
	}
	kinds = slices.DeleteFunc(kinds, func(kind int) bool { _, ok := events.Kinds[kind]; return !ok })
	slices.Sort(kinds)
	switch {
	case len(kinds) == 0:
		all := models(nodes, 0)
		near := events.Near(model, all)
		if len(near) == 0 {
			near = all[:min(3, len(all))]
		}
		return 0, unknownModel(model, near)
	case painted && slices.Contains(kinds, events.KindImage):
		return events.KindImage, nil
	case slices.Contains(kinds, events.KindText):
		return events.KindText, nil
	}
	return kinds[0], nil
}

func (in *NewJob) options() (o Options, err error) {
	o = Options{MaxCostSats: in.Budget.MaxCostSats, Pay: in.Pay, Way: in.Way, Deadline: in.Deadline, Priority: in.Priority,
		Controls: choose.Controls{Sort: in.Sort, Only: in.Only, Ignore: in.Ignore, Order: in.Order}}
	if o.Priority == "" {
		o.Priority = in.Resources.Priority
	}
	if o.Priority == "medium" {
		o.Priority = "normal"
	}
	return o, o.check()
}

// require is what the machine must have, in the market's words: of a card's name the word that says most. The others were
// held against what the node announces.
func (in *NewJob) require() (all []events.Require) {
	r := in.Resources
	if words := gpuWords(r.GPU); len(words) > 0 {
		most := words[0]
		for _, word := range words {
			if strings.ContainsAny(word, "0123456789") {
				most = word
				break
			}
		}
		all = append(all, events.Require{Name: "gpu", Value: most})
	}
	if mb := max(r.VRAMMB, int(math.Ceil(r.VRAMGB*1024))); mb > 0 {
		all = append(all, events.Require{Name: "vram_mb", Value: strconv.Itoa(mb)})
	}
	if r.Region != "" {
		all = append(all, events.Require{Name: "region", Value: r.Region})
	}
	return all
}

// gpuWords are the words of a card's name: NVIDIA_A100 is nvidia and a100.
func gpuWords(name string) []string {
	return strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune(" _-/", r) })
}

// inputs takes out of the fields what is worked on.
func (w *wish) inputs(fields body) (err error) {
	said := ""
	for _, name := range []string{"prompt", "text", "input"} {
		var text string
		if ok, err := fields.read(name, &text); err != nil {
			return err
		} else if ok {
			said = text
			w.order.Inputs = append(w.order.Inputs, events.Input{Value: text, Type: "text"})
		}
	}
	var texts, urls []string
	if _, err := fields.read("texts", &texts); err != nil {
		return err
	}
	for _, text := range texts {
		w.order.Inputs = append(w.order.Inputs, events.Input{Value: text, Type: "text"})
	}
	for _, name := range []string{"url", "urls"} {
		var one string
		raw, ok := fields[name]
		if delete(fields, name); !ok {
			continue
		}
		if json.Unmarshal(raw, &one) == nil {
			urls = append(urls, one)
		} else if json.Unmarshal(raw, &urls) != nil {
			return invalid("input."+name, "%s is neither an address nor a list of them", name)
		}
	}
	for _, url := range urls {
		w.order.Inputs = append(w.order.Inputs, events.Input{Value: url, Type: "url"})
	}
	var messages []json.RawMessage
	if ok, err := fields.read("messages", &messages); err != nil {
		return err
	} else if ok {
		if w.order.Kind != events.KindText {
			return invalid("input.messages", "messages are for text, not for %s", events.Kinds[w.order.Kind].Name)
		}
		turns := make([]turn, len(messages))
		for i, m := range messages {
			if turns[i], err = readTurn(i, m); err != nil {
				return err
			}
		}
		if said != "" {
			turns = append(turns, turn{Role: "user", Content: said})
		}
		w.order.Inputs = nil
		if err := w.talk(turns); err != nil {
			return err
		}
	}
	var file string
	if ok, err := fields.read("file", &file); err != nil {
		return err
	} else if ok {
		if err = w.attached(file); err != nil {
			return err
		}
	}
	size := 0
	for i, in := range w.order.Inputs {
		if size += len(in.Value); in.Value == "" {
			return invalid("input", "input %d of %d is empty", i+1, len(w.order.Inputs))
		}
	}
	switch {
	case len(w.order.Inputs)+len(w.order.Files) == 0:
		return invalid("input", "input has nothing to work on: prompt, texts, messages, url or file")
	case size > maxTalk:
		f := tooLong(size)
		*f.Param, f.Message = "input", fmt.Sprintf("the input takes %d bytes of a job, at most %d travel; send it as a file (input.file, a data: address)", size, maxTalk)
		return f
	}
	return nil
}

// attached puts a file, as it stands in a data: address, into the job: a small one as it is, a larger one over a file server,
// encrypted.
func (w *wish) attached(address string) error {
	mime, content, err := events.ParseDataURL(address)
	if err != nil {
		return invalid("input.file", "file: %v; it reads data:<type>;base64,<content>", err)
	}
	if len(content) == 0 {
		return invalid("input.file", "the file is empty")
	}
	if len(address) <= maxTalk {
		w.order.Inputs = append(w.order.Inputs, events.Input{Value: address, Type: "url"})
		return nil
	}
	if w.order.Way != consumer.Direct {
		return invalid("way", "files travel encrypted, so only directly to one node")
	}
	return w.file(mime, content)
}

// parameters puts all other fields into the job.
func (b body) parameters(w *wish) error {
	for other, name := range otherNames {
		if raw, ok := b[other]; ok && events.Kinds[w.order.Kind].Takes(name) {
			delete(b, other)
			b[name] = raw
		}
	}
	if kind := events.Kinds[w.order.Kind]; kind.Takes("size") {
		width, height := string(b["width"]), string(b["height"])
		if width != "" && height != "" {
			delete(b, "width")
			delete(b, "height")
			b["size"] = json.RawMessage(strconv.Quote(width + "x" + height))
		}
	}
	if system, ok := b["system"]; ok && w.order.Kind == events.KindText {
		delete(b, "system")
		var text string
		if err := json.Unmarshal(system, &text); err != nil {
			return invalid("input.system", "system is no text")
		}
		w.set("system", text)
	}
	if kind := events.Kinds[w.order.Kind]; kind.Takes("stop") {
		stops, err := b.stops()
		if err != nil {
			return err
		}
		if len(stops) > 0 {
			w.set("stop", stops...)
		}
	}
	return b.params(w)
}

// hardware leaves the nodes that have what a job requires; if none does, it says who comes nearest.
func hardware(nodes []consumer.Node, w *wish) ([]consumer.Node, error) {
	if len(w.order.Require) == 0 {
		return nodes, nil
	}
	wants := map[string]string{}
	for _, r := range w.order.Require {
		wants[r.Name] = r.Value
	}
	words := w.cards
	least, _ := strconv.Atoi(wants["vram_mb"])
	fits := func(card events.GPU) bool {
		name := strings.ToLower(card.Name)
		return card.VRAMMB >= least && !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(name, word) })
	}
	var with []consumer.Node
	var near []string
	for _, n := range nodes {
		if !runs(n, w.order.Kind, w.model) {
			continue
		}
		if wants["region"] == "" && slices.ContainsFunc(n.Profile.Market.GPUs, fits) {
			with = append(with, n)
			continue
		}
		cards := "no card"
		if len(n.Profile.Market.GPUs) > 0 {
			card := n.Profile.Market.GPUs[0]
			cards = fmt.Sprintf("%s, %d MB", card.Name, card.VRAMMB)
		}
		near = append(near, fmt.Sprintf("%.8s has %s", n.Author, cards))
	}
	if len(with) > 0 || len(near) == 0 { // without any node, another error says so
		return with, nil
	}
	var wish []string
	if len(words) > 0 {
		wish = append(wish, "a card named "+strings.Join(words, " "))
	}
	if least > 0 {
		wish = append(wish, fmt.Sprintf("a card with %d MB", least))
	}
	if region := wants["region"]; region != "" {
		wish = append(wish, "the region "+region+" (nodes do not say where they are)")
	}
	param := "resources"
	model := w.name()
	return nil, &failure{Status: http.StatusNotFound, Type: invalidRequest, Code: "no_hardware", Param: &param, Message: fmt.Sprintf(
		"no living node that serves the model %q has %s; of those that do, %s. Ask for less in resources, or leave it out; GET /api/v1/nodes shows who has what",
		model, strings.Join(wish, " and "), strings.Join(near[:min(3, len(near))], "; "))}
}
