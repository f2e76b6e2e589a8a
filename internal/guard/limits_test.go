package guard

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// member is 10 MiB of zeros as one gzip member; members may follow each other.
func member(t *testing.T) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(make([]byte, 10<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// TestBombsStopAtTheLimit serves 1 GiB of zeros, packed about 1,000:1, to guards with either limit.
func TestBombsStopAtTheLimit(t *testing.T) {
	tenMiB := member(t)
	serve := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		for range 103 {
			if _, err := w.Write(tenMiB); err != nil {
				return
			}
		}
	}
	for _, c := range []struct {
		name   string
		config Config
		want   error
		most   int64
	}{
		{"ratio", Config{Bytes: 8 << 30}, ErrBomb, 2 << 20},
		{"bytes", Config{Bytes: 8 << 20, Ratio: 1 << 40}, ErrTooLarge, 8<<20 + 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			g, at := open(t, c.config, serve)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			var to counted
			_, err := g.Fetch(t.Context(), at, &to)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, c.want) || to.n > c.most {
				t.Errorf("%d bytes came out, %v", to.n, err)
			}
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
				t.Errorf("%d bytes were allocated", grown)
			}
			t.Logf("%d KiB that would become 1,030 MiB: stopped after %d KiB, %v", 103*len(tenMiB)>>10, to.n>>10, err)
		})
	}
}

type counted struct{ n int64 }

func (c *counted) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

func TestBytesAreBounded(t *testing.T) {
	body := strings.Repeat("x", 1000)
	for _, announced := range []bool{true, false} {
		serve := func(w http.ResponseWriter, _ *http.Request) {
			if !announced {
				w.(http.Flusher).Flush()
			}
			io.WriteString(w, body)
		}
		g, at := open(t, Config{Bytes: 999}, serve)
		if _, err := g.Fetch(t.Context(), at, io.Discard); !errors.Is(err, ErrTooLarge) {
			t.Errorf("999 allowed, 1000 came (announced: %v): %v", announced, err)
		}
		g, at = open(t, Config{Bytes: 1000}, serve)
		if got, err := g.Fetch(t.Context(), at, io.Discard); err != nil || got.Size != 1000 {
			t.Errorf("1000 allowed, 1000 came (announced: %v): %+v, %v", announced, got, err)
		}
	}
}

func TestPackedTextIsRead(t *testing.T) {
	text := strings.Repeat("all work and no play ", 40_000) // it shrinks more than a hundredfold, and is no bomb
	g, at := open(t, Config{}, func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			t.Errorf("Accept-Encoding %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		io.WriteString(z, text)
		z.Close()
	})
	var to strings.Builder
	if _, err := g.Fetch(t.Context(), at, &to); err != nil || to.String() != text {
		t.Errorf("%d bytes of %d, %v", to.Len(), len(text), err)
	}
	g, at = open(t, Config{}, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "zstd")
		w.Write([]byte("what?"))
	})
	if _, err := g.Fetch(t.Context(), at, io.Discard); err == nil || !strings.Contains(err.Error(), "zstd") {
		t.Errorf("an unknown encoding: %v", err)
	}
}

// header is a PNG's first 33 bytes: what it says of its size, and nothing behind.
func header(width, height uint32) []byte {
	ihdr := binary.BigEndian.AppendUint32([]byte("IHDR"), width)
	ihdr = append(binary.BigEndian.AppendUint32(ihdr, height), 8, 6, 0, 0, 0)
	out := append([]byte("\x89PNG\r\n\x1a\n"), 0, 0, 0, 13)
	return binary.BigEndian.AppendUint32(append(out, ihdr...), crc32.ChecksumIEEE(ihdr))
}

func TestPicturesAreMeasuredBeforeTheyAreDecoded(t *testing.T) {
	g := New(Config{})
	if err := g.CheckPicture(bytes.NewReader(header(60_000, 60_000))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("33 bytes that claim 13.4 GiB: %v", err)
	}
	var small bytes.Buffer
	if err := png.Encode(&small, image.NewGray(image.Rect(0, 0, 30, 20))); err != nil {
		t.Fatal(err)
	}
	if err := g.CheckPicture(bytes.NewReader(small.Bytes())); err != nil {
		t.Errorf("a small picture: %v", err)
	}
	if err := New(Config{Pixels: 599}).CheckPicture(bytes.NewReader(small.Bytes())); !errors.Is(err, ErrTooLarge) {
		t.Errorf("600 pixels of 599: %v", err)
	}
	if err := g.CheckPicture(bytes.NewReader(small.Bytes()[:20])); err == nil {
		t.Error("a cut picture passes")
	}
	if err := g.CheckPicture(strings.NewReader("no picture at all")); err != nil {
		t.Errorf("text: %v", err)
	}
	if err := g.CheckPicture(strings.NewReader("")); err != nil {
		t.Errorf("nothing: %v", err)
	}
}
