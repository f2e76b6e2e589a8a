package gateway

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"

	"infernet/consumer"
	"infernet/events"
)

// serveEmbeddings is POST /v1/embeddings: all its texts are one job.
func (g *Gateway) serveEmbeddings(rw http.ResponseWriter, r *http.Request) {
	b, err := readBody(r)
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	w, packed, err := g.readEmbeddings(r, b)
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	got, err := g.buy(r.Context(), w, func(consumer.Step) {})
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	vectors, err := readVectors(got, len(w.order.Inputs))
	if err != nil {
		g.fail(rw, r, err)
		return
	}
	type row struct {
		Object    string `json:"object"`
		Index     int    `json:"index"`
		Embedding any    `json:"embedding"`
	}
	rows := make([]row, len(vectors))
	for i, v := range vectors {
		rows[i] = row{"embedding", i, v}
		if packed {
			rows[i].Embedding = pack(v)
		}
	}
	bill := billOf(got)
	bill.heads(rw.Header())
	writeJSON(rw, http.StatusOK, map[string]any{
		"object": "list", "data": rows, "model": got.Model, "infernet": bill,
		"usage": map[string]any{"prompt_tokens": got.Usage.In, "total_tokens": got.Usage.In},
	})
}

func (g *Gateway) readEmbeddings(r *http.Request, b body) (w *wish, packed bool, err error) {
	var model, format string
	if _, err := b.read("model", &model); err != nil {
		return nil, false, err
	}
	options, err := b.options(r.Header)
	if err != nil {
		return nil, false, err
	}
	if w, err = g.wish(r, events.KindEmbeddings, model, options); err != nil {
		return nil, false, err
	}
	raw, ok := b["input"]
	delete(b, "input")
	if !ok {
		return nil, false, invalid("input", "input is missing")
	}
	var one string
	var texts []string
	if json.Unmarshal(raw, &one) == nil {
		texts = []string{one}
	} else if json.Unmarshal(raw, &texts) != nil {
		return nil, false, invalid("input", "input is neither a text nor an array of texts; tokens are not taken")
	}
	size := 0
	for i, text := range texts {
		if text == "" {
			return nil, false, invalid("input", "text %d of input is empty", i)
		}
		size += len(text) + 16
		w.order.Inputs = append(w.order.Inputs, events.Input{Value: text, Type: "text"})
	}
	if most := events.Kinds[events.KindEmbeddings].Inputs.Max; len(texts) == 0 || len(texts) > most {
		return nil, false, invalid("input", "input has %d texts; 1 to %d are one job", len(texts), most)
	}
	if size > maxTalk {
		f := tooLong(size)
		*f.Param, f.Message = "input", fmt.Sprintf("the texts take %d bytes of a job, at most %d travel; send fewer at once", size, maxTalk)
		return nil, false, f
	}
	if _, err := b.read("encoding_format", &format); err != nil {
		return nil, false, err
	}
	if format != "" && format != "float" && format != "base64" {
		return nil, false, invalid("encoding_format", "encoding_format %.40q is neither float nor base64", format)
	}
	var dimensions int64
	if ok, err := b.read("dimensions", &dimensions); err != nil {
		return nil, false, err
	} else if ok {
		w.set("dimensions", strconv.FormatInt(dimensions, 10))
	}
	if err := b.refuseWhatIsNotCarried(); err != nil {
		return nil, false, err
	}
	return w, format == "base64", b.params(w)
}

// readVectors reads a result: one vector for each text, of numbers.
func readVectors(got *consumer.Delivery, want int) (vectors [][]float64, err error) {
	bad := func(why string) error {
		return &failure{Status: http.StatusBadGateway, Type: serverError, Code: "bad_result", Message: "the node's result is " + why,
			Market: &marketFact{Job: got.Job, Node: got.Node, Paid: got.Paid}}
	}
	if err := json.Unmarshal([]byte(got.Text), &vectors); err != nil {
		return nil, bad("no array of vectors")
	}
	if len(vectors) != want {
		return nil, bad(fmt.Sprintf("%d vectors for %d texts", len(vectors), want))
	}
	return vectors, nil
}

// pack is a vector as clients of the API ask for it to save bytes: 32 bit floats, little-endian, in base64.
func pack(vector []float64) string {
	raw := make([]byte, 0, 4*len(vector))
	for _, x := range vector {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(float32(x)))
	}
	return base64.StdEncoding.EncodeToString(raw)
}
