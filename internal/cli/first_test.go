package cli

import (
	"testing"

	"infernet/engine"
	"infernet/events"
)

func TestPricesAreSuggested(t *testing.T) {
	for id, want := range map[string]float64{
		"smollm2-135m-instruct.q4_1": 0.135, "llama-3.1-8b-instruct": 8, "qwen2.5:0.5b": 0.5, "mixtral-8x7b": 7, "gpt-oss-120b": 120, "phi": 7, "b1m2": 7,
	} {
		if got := sizeOf(id); got != want {
			t.Errorf("%s has %g B, want %g", id, got, want)
		}
	}
	at := func(out events.Msat) asked {
		return asked{Model: events.ModelOffer{ID: "m", Price: events.Price{Out: out}}}
	}
	other := asked{Model: events.ModelOffer{ID: "other", Price: events.Price{Out: 1}}}
	free := asked{Model: events.ModelOffer{ID: "m"}}
	if got, _ := priceOf(engine.Model{ID: "m"}, []asked{free, other, at(100), at(200), at(900)}); got.Out != 200 {
		t.Errorf("suggested %+v, want the median", got)
	}
	small, _ := priceOf(engine.Model{ID: "x-1b"}, nil)
	large, _ := priceOf(engine.Model{ID: "x-70b"}, nil)
	if small.Out == 0 || small.Out >= large.Out {
		t.Errorf("small %+v, large %+v", small, large)
	}
}
