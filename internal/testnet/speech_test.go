package testnet

import (
	"bytes"
	"image/png"
	"slices"
	"strings"
	"testing"

	"infernet/consumer"
	"infernet/engine/enginetest"
	"infernet/events"
)

// TestSpeechIsBoughtAndUnderstood buys a picture and a spoken sentence, encrypted to the node, and from the same market what is said in
// it: real voice, real ear, each job paid, the file inside the events.
func TestSpeechIsBoughtAndUnderstood(t *testing.T) {
	base := enginetest.MediaServer(t)
	n := Start(t)
	n.Provider("media", "openai+"+base, nil)
	buyer := n.Buyer("buyer")
	const sentence = "The quick brown fox jumps over the lazy dog."

	said, err := buyer.Do(t.Context(), Text(sentence, func(o *consumer.Order) { o.Kind, o.Way = events.KindSpeech, consumer.Direct }), nil)
	if err != nil {
		t.Fatal(err)
	}
	mime, audio, err := events.ParseDataURL(said.Text)
	if err != nil || mime != "audio/ogg" || len(audio) < 1000 || said.Paid == 0 || said.Usage.In != int64(len(sentence)) {
		t.Fatalf("%s, %d bytes, %+v, %v", mime, len(audio), said.Usage, err)
	}
	for _, way := range []string{consumer.Direct, consumer.Auction, consumer.Plain} {
		heard, err := buyer.Do(t.Context(), Text("", func(o *consumer.Order) {
			o.Kind, o.Way, o.Inputs = events.KindTranscription, way, []events.Input{{Value: said.Text, Type: "url"}}
		}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(enginetest.Words(heard.Text), enginetest.Words(sentence)) || heard.Paid == 0 || heard.Usage.In != 3 {
			t.Errorf("%s: heard %q, %+v", way, heard.Text, heard)
		}
		t.Logf("%s: %d bytes of sound, %q, %s and %s", way, len(audio), heard.Text, said.Paid.Human(), heard.Paid.Human())
	}

	painted, err := buyer.Do(t.Context(), Text("a red circle on blue", func(o *consumer.Order) {
		o.Kind, o.Params = events.KindImage, events.Params{{Name: "seed", Values: []string{"1"}}, {Name: "size", Values: []string{"64x64"}}}
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	if mime, file, err := events.ParseDataURL(painted.Text); err != nil || mime != "image/png" || painted.Paid == 0 || painted.Usage.Out != 1 {
		t.Errorf("%s, %d bytes, %+v, %v", mime, len(file), painted.Usage, err)
	} else if img, err := png.Decode(bytes.NewReader(file)); err != nil || img.Bounds().Dx() != 64 {
		t.Errorf("the picture: %v", err)
	}

	// what is no sound is refused before anything is paid
	_, err = buyer.Do(t.Context(), Text("", func(o *consumer.Order) {
		o.Kind, o.Way = events.KindTranscription, consumer.Direct
		o.Inputs = []events.Input{{Value: events.DataURL("image/png", []byte("\x89PNG")), Type: "url"}}
	}), nil)
	if err == nil || !strings.Contains(err.Error(), "INVALID_PARAMETER") {
		t.Errorf("a picture: %v", err)
	}
	// an address is not fetched
	_, err = buyer.Do(t.Context(), Text("", func(o *consumer.Order) {
		o.Kind, o.Way, o.Inputs = events.KindTranscription, consumer.Direct, []events.Input{{Value: "http://127.0.0.1/", Type: "url"}}
	}), nil)
	if err == nil {
		t.Errorf("an address: %v", err)
	}
}
