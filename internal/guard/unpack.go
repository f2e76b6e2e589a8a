package guard

import (
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strings"
)

// free is how many unpacked bytes are never a bomb: a short text may well shrink a thousandfold.
const free = 1 << 20

// unpack reads a body as its Content-Encoding says, bounded in bytes and in how much it grows.
func (g *Guard) unpack(r io.Reader, encoding string) (io.Reader, error) {
	counted := &counter{Reader: r}
	out := &bounded{in: counted, most: g.Bytes, ratio: g.Ratio}
	var err error
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		out.Reader, out.ratio = counted, 0
	case "gzip", "x-gzip":
		out.Reader, err = gzip.NewReader(counted)
	case "deflate":
		out.Reader, err = zlib.NewReader(counted)
	default:
		return nil, fmt.Errorf("content encoding %.40q is not read here, only gzip and deflate", encoding)
	}
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	return out, nil
}

// Unpack reads gzip that came in a file, bounded as a body is.
func (g *Guard) Unpack(r io.Reader) (io.Reader, error) { return g.unpack(r, "gzip") }

type counter struct {
	io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

// bounded stops once more has come out than may.
type bounded struct {
	io.Reader
	in    *counter
	out   int64
	most  int64
	ratio int64 // 0: nothing was packed
}

func (b *bounded) Read(p []byte) (int, error) {
	if left := b.most - b.out + 1; int64(len(p)) > left {
		p = p[:left] // one byte more tells too large from just fitting
	}
	n, err := b.Reader.Read(p)
	b.out += int64(n)
	switch {
	case b.ratio > 0 && b.out > free && b.out > b.ratio*b.in.n:
		return 0, fmt.Errorf("%w: %d bytes became more than %d", ErrBomb, b.in.n, b.out)
	case b.out > b.most:
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, b.most)
	}
	return n, err
}
