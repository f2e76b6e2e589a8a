package eventlog

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/bits"
	"os"
	"runtime"
	"slices"
	"sort"
)

// sealed is the index of a segment that is written no more: a file beside it, mapped into memory, that can always be
// made again from the segment:
//
//	magic, length of the segment u64, seed 16, keys u32, entries u32, words of the filter u32, kills u32, crc32c of these u32
//	keys: key u64, where its entries begin u32, how many u32; in order
//	entries: at u32, offset u32; those of one key in order
//	filter: 64-bit words; a Bloom filter of the keys, for what is looked for is in few segments
//	kills: segment u32, offset u32
type sealed struct {
	b       []byte
	keys    []byte
	entries []byte
	filter  []byte
	kills   []byte
	n       int
	words   uint64
}

const (
	sealedMagic = "inftidx1"
	sealedHead  = 8 + 8 + 16 + 4*4 + 4
	bitsEach    = 12
)

// seal writes the index of a segment into a file.
func (x *fresh) seal(path string, size int64, seed [16]byte, kills []place) error {
	x.mu.RLock()
	keys := make([]key, 0, len(x.lists))
	entries := 0
	for k, l := range x.lists {
		keys = append(keys, k)
		entries += max(1, len(l.more))
	}
	slices.Sort(keys)
	words := max(1, len(keys)*bitsEach/64)
	le := binary.LittleEndian
	b := make([]byte, 0, sealedHead+16*len(keys)+8*entries+8*words+8*len(kills))
	b = append(b, sealedMagic...)
	b = le.AppendUint64(b, uint64(size))
	b = append(b, seed[:]...)
	for _, n := range []int{len(keys), entries, words, len(kills)} {
		b = le.AppendUint32(b, uint32(n))
	}
	b = le.AppendUint32(b, crc32.Checksum(b, castagnoli))
	filter := make([]uint64, words)
	at := 0
	for _, k := range keys {
		n := max(1, len(x.lists[k].more))
		b = le.AppendUint64(b, uint64(k))
		b = le.AppendUint32(b, uint32(at))
		b = le.AppendUint32(b, uint32(n))
		at += n
		for i := range uint64(hashes) {
			word, bit := place64(k, i, uint64(words))
			filter[word] |= 1 << bit
		}
	}
	var room [1]entry
	for _, k := range keys {
		for _, e := range x.lists[k].all(&room) {
			b = le.AppendUint32(b, e.at)
			b = le.AppendUint32(b, e.offset)
		}
	}
	x.mu.RUnlock()
	for _, w := range filter {
		b = le.AppendUint64(b, w)
	}
	for _, k := range kills {
		b = le.AppendUint32(b, k.segment)
		b = le.AppendUint32(b, k.offset)
	}
	return writeFile(path, b)
}

const hashes = 6

// place64 is a bit of the filter; keys are hashes already.
func place64(k key, i, words uint64) (word, bit uint64) {
	h := (uint64(k) + i*0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9
	h ^= h >> 31
	word, _ = bits.Mul64(h*0x94d049bb133111eb, words)
	return word, h & 63
}

// writeFile writes a file whole or not at all: on the disk under another name first.
func writeFile(path string, b []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path + ".tmp")
		return err
	}
	return os.Rename(path+".tmp", path)
}

var errIndex = errors.New("the index does not belong to its segment")

// openSealed opens an index; it fails if it is not whole, or was made with another seed. size is up to where it describes
// its segment.
func openSealed(path string, seed [16]byte) (x *sealed, size int64, err error) {
	b, err := mapFile(path)
	if err != nil {
		return nil, 0, err
	}
	x = &sealed{b: b}
	runtime.AddCleanup(x, unmap, b)
	le := binary.LittleEndian
	if len(b) < sealedHead || string(b[:8]) != sealedMagic || [16]byte(b[16:32]) != seed ||
		crc32.Checksum(b[:sealedHead-4], castagnoli) != le.Uint32(b[sealedHead-4:]) {
		return nil, 0, errIndex
	}
	n, entries, words, kills := int(le.Uint32(b[32:])), int(le.Uint32(b[36:])), int(le.Uint32(b[40:])), int(le.Uint32(b[44:]))
	if len(b) != sealedHead+16*n+8*entries+8*words+8*kills || words == 0 {
		return nil, 0, errIndex
	}
	x.n, x.words = n, uint64(words)
	rest := b[sealedHead:]
	take := func(n int) (part []byte) { part, rest = rest[:n:n], rest[n:]; return part }
	x.keys, x.entries, x.filter, x.kills = take(16*n), take(8*entries), take(8*words), take(8*kills)
	return x, int64(le.Uint64(b[8:])), nil
}

func (x *sealed) killed() (all []place) {
	for b := x.kills; len(b) > 0; b = b[8:] {
		all = append(all, place{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])})
	}
	return all
}

func (x *sealed) key(i int) key { return key(binary.LittleEndian.Uint64(x.keys[16*i:])) }

func (x *sealed) entry(i int) entry {
	b := x.entries[8*i:]
	return entry{binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])}
}

func (x *sealed) find(k key, since, until uint32) cursor {
	for i := range uint64(hashes) {
		word, bit := place64(k, i, x.words)
		if binary.LittleEndian.Uint64(x.filter[8*word:])>>bit&1 == 0 {
			return nil
		}
	}
	// keys are spread evenly: it is near where its value says
	guess, _ := bits.Mul64(uint64(k), uint64(x.n))
	lo, hi := 0, x.n
	for step := 32; ; step *= 4 {
		l, h := int(guess)-step, int(guess)+step
		if l > lo && x.key(l) < k {
			lo = l
		}
		if h < hi && x.key(h) >= k {
			hi = h + 1
		}
		if (lo > 0 || l <= 0) && (hi < x.n || h >= x.n) {
			break
		}
	}
	i := lo + sort.Search(hi-lo, func(i int) bool { return x.key(lo+i) >= k })
	if i >= x.n || x.key(i) != k {
		return nil
	}
	begin := int(binary.LittleEndian.Uint32(x.keys[16*i+8:]))
	n := int(binary.LittleEndian.Uint32(x.keys[16*i+12:]))
	from := sort.Search(n, func(i int) bool { return x.entry(begin+i).at >= since })
	to := sort.Search(n, func(i int) bool { return x.entry(begin+i).at > until })
	if from >= to {
		return nil
	}
	return &sealedCursor{of: x, from: begin + from, to: begin + to}
}

type sealedCursor struct {
	of       *sealed
	from, to int
}

func (c *sealedCursor) size() int { return c.to - c.from }

func (c *sealedCursor) next() (entry, bool) {
	if c.to <= c.from {
		return entry{}, false
	}
	c.to--
	return c.of.entry(c.to), true
}
