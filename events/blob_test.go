package events

import (
	"reflect"
	"strings"
	"testing"
)

// A file in clear, and one that is encrypted.
var (
	clearBlob = Blob{
		Sum: strings.Repeat("ab", 32), Size: 184_292, Mime: "image/png", Servers: []string{"https://files.example", "https://more.example:8443"},
	}
	sampleBlob = Blob{
		Sum: strings.Repeat("cd", 32), Size: 50_024_416, Mime: "text/csv", Servers: []string{"https://files.example"},
		Key: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
	}
)

func TestBlobAndURIArePairs(t *testing.T) {
	for _, b := range []Blob{clearBlob, sampleBlob, {Sum: clearBlob.Sum}, {Sum: clearBlob.Sum, Key: sampleBlob.Key}} {
		have, err := ParseBlob(b.URI())
		if err != nil || !reflect.DeepEqual(have, b) {
			t.Errorf("%s reads as %+v, %v", b.URI(), have, err)
		}
	}
	want := "blossom:" + clearBlob.Sum + ".png?m=image%2Fpng&sz=184292&xs=https%3A%2F%2Ffiles.example&xs=https%3A%2F%2Fmore.example%3A8443"
	if have := clearBlob.URI(); have != want {
		t.Errorf("have %s, want %s", have, want)
	}
	if have := clearBlob.URL(); have != "https://files.example/"+clearBlob.Sum+".png" {
		t.Errorf("URL %s", have)
	}
	if b, err := ParseBlob("blossom:" + clearBlob.Sum + ".pdf?xs=cdn.example.com&as=whoever&sz=5"); err != nil || b.Servers[0] != "https://cdn.example.com" || b.Size != 5 {
		t.Errorf("BUD-10's own form: %+v, %v", b, err)
	}
}

func TestBadBlobs(t *testing.T) {
	sum := clearBlob.Sum
	for _, raw := range []string{
		"", "blossom:", sum, "blossom:" + sum, "blossom:" + sum[1:] + ".bin", "blossom:" + strings.ToUpper(sum) + ".bin", "blossom:" + sum + ".bin?sz=-1",
		"blossom:" + sum + ".bin?sz=1e9", "blossom:" + sum + ".bin?xs=ftp://x", "blossom:" + sum + ".bin?xs=https://x/path", "blossom:" + sum + ".bin?xs=https://user@x",
		"blossom:" + sum + ".bin?xs=%5Bfe80::1%2525lo%5D", "blossom:" + sum + ".bin#key", "blossom:" + sum + ".bin#dare2:short", "blossom:" + sum + ".bin?%zz",
		"blossom:" + sum + ".bin?" + strings.Repeat("xs=a&", 6), "blossom:" + sum + ".bin?" + strings.Repeat("a", 5000),
	} {
		if b, err := ParseBlob(raw); err == nil {
			t.Errorf("%.100q reads as %+v", raw, b)
		}
	}
}

// TestSplit takes contents apart: the node's own, and those that try to look like one.
func TestSplit(t *testing.T) {
	closed := sampleBlob.closed()
	forged := sampleBlob
	forged.Sum = clearBlob.Sum
	for name, c := range map[string]struct {
		files   []Blob
		content string
		text    string
		keys    []string
	}{
		"no files":           {nil, "text\n", "text\n", nil},
		"clear":              {[]Blob{clearBlob}, WithFiles("text", []Blob{clearBlob}), "text", []string{""}},
		"encrypted":          {[]Blob{closed}, WithFiles("text", []Blob{sampleBlob}), "text", []string{sampleBlob.Key}},
		"both":               {[]Blob{clearBlob, closed}, WithFiles("a\nb", []Blob{clearBlob, sampleBlob}), "a\nb", []string{"", sampleBlob.Key}},
		"only files":         {[]Blob{closed}, WithFiles("", []Blob{sampleBlob}), "", []string{sampleBlob.Key}},
		"an engine's line":   {nil, "see\n" + sampleBlob.URI(), "see\n" + sampleBlob.URI(), nil},
		"another file":       {[]Blob{closed}, WithFiles("text", []Blob{forged}), WithFiles("text", []Blob{forged}), []string{""}},
		"foreign, no lines":  {[]Blob{clearBlob}, "just a text", "just a text", []string{""}},
		"more than is there": {[]Blob{closed, closed}, WithFiles("", []Blob{sampleBlob}), WithFiles("", []Blob{sampleBlob}), []string{"", ""}},
	} {
		text, files := (&Result{Files: c.files}).Split(c.content)
		var keys []string
		for _, f := range files {
			keys = append(keys, f.Key)
		}
		if text != c.text || !reflect.DeepEqual(keys, c.keys) {
			t.Errorf("%s: %q with keys %q", name, text, keys)
		}
	}
}

// TestOutsidersLearnNoKey looks at what travels in clear beside an encrypted result.
func TestOutsidersLearnNoKey(t *testing.T) {
	m := &Result{Kind: KindText + 1000, Job: jobID, To: customer.PublicKey(), Status: "success", Content: WithFiles("a", []Blob{sampleBlob}), Files: []Blob{sampleBlob}, Encrypted: true}
	ev, err := Sign(ctx, m, node)
	if err != nil {
		t.Fatal(err)
	}
	if raw := ev.String(); strings.Contains(raw, sampleBlob.Key) || strings.Contains(raw, "csv") || !strings.Contains(raw, "imeta") {
		t.Errorf("it shows %s", raw)
	}
}
