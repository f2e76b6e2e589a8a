package testnet

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"infernet/consumer/gateway"
	"infernet/events"
	"infernet/internal/httpd"
	"infernet/internal/testnet/peers"
	"infernet/provider"
)

// painter is a server of pictures that says it is stable-diffusion-xl, and draws something else: what is tried is the way
// there and back. It keeps what it was asked last.
func painter(t *testing.T) (url string, asked *atomic.Value) {
	t.Helper()
	asked = &atomic.Value{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"object":"list","data":[{"id":"stable-diffusion-xl","object":"model"}]}`)
	})
	mux.HandleFunc("POST /v1/images/generations", func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		asked.Store(body)
		sky := image.NewRGBA(image.Rect(0, 0, 64, 64))
		for i := range 64 * 64 {
			sky.Set(i%64, i/64, color.RGBA{uint8(4 * (i / 64)), 0, uint8(i * 7), 255})
		}
		w.Header().Set("Content-Type", "application/json")
		var text strings.Builder
		to := base64To(&text)
		if err := png.Encode(to, sky); err != nil {
			t.Error(err)
		}
		to.Close()
		fmt.Fprintf(w, `{"created":1,"data":[{"b64_json":%q}]}`, text.String())
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, asked
}

// TestSDKRunsTheGuide runs the two JavaScript samples of the consumer guide, unchanged and in their order, with the SDK as npm
// installs it. With an A100 that nobody has the same ends at once, and says so.
func TestSDKRunsTheGuide(t *testing.T) {
	t.Parallel()
	dir := peers.SDK(t)
	n := Start(t)
	url, asked := painter(t)
	n.Provider("artist", "openai+"+url+"/v1?kinds=5100", func(c *provider.Config) {
		c.GPUs, c.Price = []events.GPU{{Name: "NVIDIA A100-SXM4-80GB", VRAMMB: 81920}}, events.Price{Base: 20 * events.Sat}
	})
	d := n.gateway(t, nil)
	out, err := peers.Run(t, dir, []string{"INFERNET_URL=" + d.URL}, "--import", "./ui.mjs", "guide.mjs")
	t.Log(out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, want := range []string{d.URL + "/api/v1/jobs/", "Job progress: 0%", "Job progress: 100%", "partial: {", "Job completed: {", "paid_msat: 20000", `"file":{"url":"` + d.URL} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not print %q", want)
		}
	}
	if got := d.ask(ctx, "GET", strings.TrimPrefix(lines[0], d.URL), nil); got.code != 200 || got.head.Get("Content-Type") != "image/png" || !strings.HasPrefix(got.text, "\x89PNG") {
		t.Errorf("result.output leads to %d %s", got.code, got.head)
	}
	if body, _ := asked.Load().(map[string]any); body["prompt"] != "A futuristic city with flying cars and neon lights" || body["negative_prompt"] != "blurry, low quality" || fmt.Sprint(body["steps"]) != "50" {
		t.Errorf("the engine was asked %v", body)
	}

	poor := Start(t)
	poor.Provider("artist", "openai+"+url+"/v1?kinds=5100", func(c *provider.Config) { c.GPUs = []events.GPU{{Name: "NVIDIA GeForce RTX 3060", VRAMMB: 12288}} })
	d = poor.gateway(t, nil)
	out, err = peers.Run(t, dir, []string{"INFERNET_URL=" + d.URL}, "refused.mjs")
	if err != nil || !strings.HasPrefix(out, "true 404 no_hardware ") || !strings.Contains(out, "RTX 3060, 12288 MB") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err = peers.Run(t, dir, []string{"INFERNET_URL=" + d.URL}, "--import", "./ui.mjs", "guide.mjs"); err == nil || !strings.Contains(out, "no_hardware") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestSDKClient has the SDK order, listen, wait, cancel and be refused, by key and by signature, as ES module and by require.
func TestSDKClient(t *testing.T) {
	t.Parallel()
	dir := peers.SDK(t)
	n := Start(t)
	free := func(c *provider.Config) { c.Price, c.Wallet = events.Price{}, nil }
	n.Provider("echo", "echo:?delay=20ms", free)
	n.Provider("other", "echo:?model=other", free)
	owner := events.GenerateKeys()
	d := n.gateway(t, func(c *gateway.Config) { c.Owners = []events.PubKey{owner.PublicKey()} })
	key, _ := d.key(httpd.AppKey{Name: "app"})
	out, err := peers.Run(t, dir, []string{"INFERNET_URL=" + d.URL}, "client.mjs", key, owner.Secret())
	t.Log(out)
	if works := strings.Count(out, "ok: "); err != nil || works != 8 || !strings.HasSuffix(out, "end 0\n") {
		t.Errorf("%d things work, want 8: %v", works, err)
	}
}

// TestSDKReplaysTheVectors holds the SDK's events and Fold to events/testdata/vectors.
func TestSDKReplaysTheVectors(t *testing.T) {
	t.Parallel()
	dir := peers.SDK(t)
	vectors, err := filepath.Abs("../../events/testdata/vectors")
	if err != nil {
		t.Fatal(err)
	}
	ordered := slices.DeleteFunc(slices.Sorted(maps.Keys(events.Kinds)), func(kind int) bool { return events.Kinds[kind].Own })
	kinds, err := json.Marshal(ordered)
	if err != nil {
		t.Fatal(err)
	}
	out, err := peers.Run(t, dir, nil, "vectors.mjs", vectors, string(kinds))
	t.Log(out)
	if err != nil || !strings.Contains(out, " 72 folds,") {
		t.Error(err)
	}
}

// TestSDKTypes holds src/api.ts against the document that it is generated from, and the types that users have against what they
// write, as ES modules and CommonJS.
func TestSDKTypes(t *testing.T) {
	t.Parallel()
	dir := peers.SDK(t)
	made := exec.Command("node", "node_modules/openapi-typescript/bin/cli.js", "openapi.json")
	made.Dir = filepath.Dir(dir)
	want, err := made.Output()
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile("../../sdk/js/src/api.ts")
	if err != nil || strings.TrimSpace(string(have)) != strings.TrimSpace(string(want)) {
		t.Errorf("sdk/js/src/api.ts is stale (%v); make sdk writes it anew", err)
	}
	out, err := peers.Run(t, dir, nil, "node_modules/typescript/bin/tsc", "--noEmit", "--strict", "--module", "nodenext", "--target", "es2022", "--lib", "es2022,dom,dom.iterable", "--skipLibCheck", "types.mts", "types.cts")
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// base64To writes what it is given as base64.
func base64To(to *strings.Builder) io.WriteCloser { return base64.NewEncoder(base64.StdEncoding, to) }
