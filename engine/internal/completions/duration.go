package completions

import (
	"bytes"
	"encoding/binary"
	"math"
)

// thinnest is the fewest bytes that a second of sound takes, in any format that can be understood: 4 kbit/s.
const thinnest = 500

// duration gives the whole seconds of an audio file, at least 1, before anybody decodes it: exactly for WAV and for Opus
// and Vorbis in Ogg, elsewhere the most that so many bytes can hold. Whoever writes a lie into the header is cut off there.
func duration(audio []byte) int64 {
	most := int64(len(audio)/thinnest) + 1
	if seconds := wav(audio); seconds > 0 {
		return min(seconds, most)
	}
	if seconds := ogg(audio); seconds > 0 {
		return min(seconds, most)
	}
	return most
}

func wholeSeconds(s float64) int64 {
	if math.IsNaN(s) || s <= 0 || s > 1e9 {
		return 1
	}
	return int64(math.Ceil(s))
}

// wav reads a RIFF file: the bytes of its data over those of a second. What stands after a lying size is data too.
func wav(audio []byte) int64 {
	if len(audio) < 44 || string(audio[:4]) != "RIFF" || string(audio[8:12]) != "WAVE" {
		return 0
	}
	rate := uint32(0)
	for at := 12; at+8 <= len(audio); {
		size := int(binary.LittleEndian.Uint32(audio[at+4:]))
		switch body := audio[at+8:]; string(audio[at : at+4]) {
		case "fmt ":
			if len(body) >= 16 {
				rate = binary.LittleEndian.Uint32(body[8:])
			}
		case "data":
			if rate == 0 {
				return 0
			}
			return wholeSeconds(float64(len(body)) / float64(rate))
		}
		if size < 0 || size > len(audio) {
			return 0
		}
		at += 8 + size + size&1
	}
	return 0
}

// ogg reads an Ogg file (RFC 3533): the last page's position over the samples of a second.
func ogg(audio []byte) int64 {
	if len(audio) < 64 || string(audio[:4]) != "OggS" {
		return 0
	}
	rate := 0.0
	switch first := audio[27:64]; { // after one lacing value or so
	case bytes.Contains(first, []byte("OpusHead")):
		rate = 48_000 // RFC 7845
	case bytes.Contains(first, []byte("\x01vorbis")):
		at := bytes.Index(audio[:64], []byte("\x01vorbis"))
		if at+16 > len(audio) {
			return 0
		}
		rate = float64(binary.LittleEndian.Uint32(audio[at+12:]))
	}
	last := bytes.LastIndex(audio, []byte("OggS"))
	if rate == 0 || last+14 > len(audio) {
		return 0
	}
	return wholeSeconds(float64(binary.LittleEndian.Uint64(audio[last+6:])) / rate)
}
