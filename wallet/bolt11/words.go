package bolt11

import "errors"

// words is data in groups of five bits, as bech32 carries it.
type words []byte

// number reads big-endian groups.
func (w words) number() (n uint64, err error) {
	if len(w) > 12 {
		return 0, errors.New("number of more than 60 bits")
	}
	for _, five := range w {
		n = n<<5 | uint64(five)
	}
	return n, nil
}

// bytes packs groups into bytes; bits left over are dropped, as fields are padded with zeros.
func (w words) bytes() []byte {
	out, acc, bits := make([]byte, 0, len(w)*5/8), uint(0), 0
	for _, five := range w {
		acc, bits = acc<<5|uint(five), bits+5
		if bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
			acc &= 1<<bits - 1
		}
	}
	return out
}

// whole is bytes, where what is left over is less than a group, and zeros: what else stands there was not written by who
// pads with zeros, and others refuse it.
func (w words) whole() ([]byte, error) {
	rest := len(w) * 5 % 8
	if rest >= 5 || rest > 0 && w[len(w)-1]&(1<<rest-1) != 0 {
		return nil, errors.New("a field is not padded with zeros")
	}
	return w.bytes(), nil
}

// padded packs all groups into bytes, the last one filled with zeros: what the signature covers.
func (w words) padded() []byte {
	out := w.bytes()
	if rest := len(w) * 5 % 8; rest != 0 {
		var acc uint
		for _, five := range w[max(0, len(w)-2):] {
			acc = acc<<5 | uint(five)
		}
		out = append(out, byte(acc<<(8-rest)))
	}
	return out
}

// wordsOf splits bytes into groups, the last one filled with zeros.
func wordsOf(data []byte) words {
	out, acc, bits := make(words, 0, (len(data)*8+4)/5), uint(0), 0
	for _, b := range data {
		acc, bits = acc<<8|uint(b), bits+8
		for bits >= 5 {
			bits -= 5
			out = append(out, byte(acc>>bits)&31)
		}
		acc &= 1<<bits - 1
	}
	if bits > 0 {
		out = append(out, byte(acc<<(5-bits))&31)
	}
	return out
}

// wordsOfNumber writes a number in as few groups as it needs.
func wordsOfNumber(n uint64) words {
	var out words
	for ; n > 0; n >>= 5 {
		out = append(words{byte(n & 31)}, out...)
	}
	return out
}

// wordsOfFixed writes a number in exactly size groups.
func wordsOfFixed(n uint64, size int) words {
	out := make(words, size)
	for i := size - 1; i >= 0; i-- {
		out[i], n = byte(n&31), n>>5
	}
	return out
}
