package guard

import (
	"bytes"
	"compress/gzip"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// FuzzCheck reads anything as an address that a stranger named: what passes has a host that is no private address, in
// whatever way it is written, and passes again when it is written down.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		"https://example.com/x?y#z", "http://127.0.0.1", "http://2130706433/", "http://0x7f.1", "http://017700000001", "http://[::ffff:10.0.0.1]:80/", "http://[64:ff9b::7f00:1]",
		"http://[fe80::1%25eth0]", "http://u@example.com", "http://example.com:99999", "ws://169.254.169.254", "http://127.0.0.1.", "http://a\u3002b", "http://\uff11\uff12\uff17.0.0.1", "HTTP://[::]",
		"http:///x", "//x", "http://1.1.1.1%2f@x", "http://0", "https://8.8.8.8:443/",
	} {
		f.Add(s)
	}
	g := New(Config{})
	f.Fuzz(func(t *testing.T, s string) {
		u, err := g.Check(s)
		if err != nil {
			return
		}
		host := strings.TrimSuffix(u.Hostname(), ".")
		if ip := net.ParseIP(host); ip != nil {
			if ip.IsLoopback() || ip.IsPrivate() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsMulticast() {
				t.Fatalf("%q passes with the address %s", s, ip)
			}
		}
		if ip, err := netip.ParseAddr(host); err == nil && !Public(ip) {
			t.Fatalf("%q passes with the address %s", s, ip)
		}
		again, err := g.Check(u.String())
		if err != nil || again.Hostname() != u.Hostname() {
			t.Fatalf("%q passes, and written down as %q: %v", s, u, err)
		}
		if _, err := url.Parse(u.String()); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzUnpack unpacks anything: no more comes out than may, and the whole of it is what was packed.
func FuzzUnpack(f *testing.F) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write([]byte("some text"))
	w.Close()
	f.Add(packed.Bytes(), "gzip")
	f.Add(packed.Bytes()[:12], "x-gzip")
	f.Add([]byte{0x78, 0x9c, 3, 0, 0, 0, 0, 1}, "deflate")
	f.Add([]byte("text"), "")
	f.Add([]byte("text"), "br")
	g := New(Config{Bytes: 1 << 12})
	f.Fuzz(func(t *testing.T, body []byte, encoding string) {
		r, err := g.unpack(bytes.NewReader(body), encoding)
		if err != nil {
			return
		}
		out, err := io.ReadAll(r)
		if len(out) > 1<<12 {
			t.Fatalf("%d bytes came out, %v", len(out), err)
		}
		if identity := strings.Trim(strings.ToLower(encoding), " \t\r\n\v\f"); err == nil && (identity == "" || identity == "identity") && !bytes.Equal(out, body) {
			t.Fatalf("%q came out as %q", body, out)
		}
	})
}

// FuzzPicture reads anything as a picture: its size is told without decoding it, or it is refused, or it is none.
func FuzzPicture(f *testing.F) {
	f.Add([]byte("GIF89a\xff\xff\xff\xff\x00\x00\x00"))
	f.Add([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\x00\x00\x00"))
	f.Add([]byte("RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\xff\xff\xff\x0f"))
	f.Add([]byte("\xff\xd8\xff\xc0\x00\x11\x08\xff\xff\xff\xff\x03"))
	f.Add([]byte("text"))
	g := New(Config{})
	f.Fuzz(func(t *testing.T, body []byte) { g.CheckPicture(bytes.NewReader(body)) })
}
