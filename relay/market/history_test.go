package market

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"infernet/events"
)

func TestHistoryOutlivesARestart(t *testing.T) {
	path, now := filepath.Join(t.TempDir(), "market.jsonl"), time.Now()
	h, err := OpenHistory(path, now)
	if err != nil || h.Last() != 0 {
		t.Fatal(err)
	}
	for i := 200; i > 0; i-- { // more than 30 days, a sample every 6 hours
		v := &View{At: events.At(now.Add(-time.Duration(i) * 6 * time.Hour)), Alive: i, Models: []Model{{ID: "llama", Nodes: i, Price: Spread{1, 2, 3}}, {ID: "qwen"}}}
		if err := h.Add(SampleOf(v, 5, 4)); err != nil {
			t.Fatal(err)
		}
	}
	f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString(`{"at":17`) // the power went
	f.Close()
	h, err = OpenHistory(path, now)
	if err != nil {
		t.Fatal(err)
	}
	all := h.Between(0, 0, "llama", 0)
	if len(all) != 119 || all[118].Alive != 1 || len(all[0].Models) != 1 || all[0].Models["llama"].Median != 2 || all[0].Jobs != 5 {
		t.Errorf("%d samples, the last %+v", len(all), all[len(all)-1])
	}
	few := h.Between(events.At(now.Add(-10*24*time.Hour)), 0, "", 5)
	if len(few) != 5 || few[0].Alive != 40 || few[4].Alive != 1 {
		t.Errorf("thinned to %d: %+v", len(few), few)
	}
	if again, err := OpenHistory(path, now); err != nil || len(again.all) != 119 {
		t.Errorf("after it was written anew: %d, %v", len(again.all), err)
	}
}
